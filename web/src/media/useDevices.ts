import { Room } from 'livekit-client';
import { useEffect, useState } from 'react';

/**
 * The devices of one kind. Browsers give their names only once a page may use one of them: pass a value as `known` that
 * changes then, and the list is read again. This never asks for permission.
 */
export function useDevices(kind: MediaDeviceKind, known: unknown): MediaDeviceInfo[] {
  const [devices, setDevices] = useState<MediaDeviceInfo[]>([]);

  useEffect(() => {
    // Typed as always present, missing without TLS.
    const media = navigator.mediaDevices as MediaDevices | undefined;
    if (!media) return;
    let current = true;
    const read = () => {
      Room.getLocalDevices(kind, false).then(
        (found) => {
          if (current) setDevices(found.filter((device) => device.deviceId !== ''));
        },
        () => {
          if (current) setDevices([]);
        },
      );
    };
    read();
    media.addEventListener('devicechange', read);
    return () => {
      current = false;
      media.removeEventListener('devicechange', read);
    };
  }, [kind, known]);

  return devices;
}
