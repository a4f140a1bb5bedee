import { useId } from 'react';

interface DeviceSelectProps {
  label: string;
  testId: string;
  devices: MediaDeviceInfo[];
  value: string;
  onChange: (deviceId: string) => void;
  disabled?: boolean;
}

/** A native list, since it works everywhere, on phones and with screen readers too. */
export function DeviceSelect({ label, testId, devices, value, onChange, disabled }: DeviceSelectProps) {
  const id = useId();
  const known = devices.some((device) => device.deviceId === value);
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <select
        id={id}
        data-testid={testId}
        value={known ? value : 'default'}
        disabled={disabled === true || devices.length === 0}
        onChange={(event) => {
          onChange(event.target.value);
        }}
      >
        {!devices.some((device) => device.deviceId === 'default') && (
          <option value="default">{devices.length === 0 ? 'None known yet' : 'Default'}</option>
        )}
        {devices.map((device, index) => (
          <option key={device.deviceId} value={device.deviceId}>
            {device.label || `${label} ${index + 1}`}
          </option>
        ))}
      </select>
    </div>
  );
}
