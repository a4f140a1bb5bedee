import { useRoomContext } from '@livekit/components-react';
import { Route, ShieldAlert, Zap } from 'lucide-react';

import type { PathKind } from '../lib/icePath';
import { Popover } from '../ui/Popover';
import { useIsCutOff } from './callContext';
import type { IcePaths } from './useIcePath';
import { useIcePath } from './useIcePath';

interface PathText {
  label: string;
  text: string;
  Icon: typeof Zap;
}

const TEXTS: Record<PathKind, PathText> = {
  udp: {
    label: 'Direct UDP',
    text: 'Sound and picture go straight to the hub over UDP: the best way there is.',
    Icon: Zap,
  },
  tcp: {
    label: 'TCP',
    text: 'UDP does not get through to the hub from this network, so TCP carries the call. On a bad line it stutters sooner.',
    Icon: Route,
  },
  relay: {
    label: 'Relayed',
    text: 'No direct way to the hub gets through from this network, so its relay carries the call. That adds some delay.',
    Icon: ShieldAlert,
  },
};

const NONE: IcePaths = { shown: undefined, all: [] };

/** Shows the path of media, with details on demand. */
export function IcePathBadge() {
  const found = useIcePath(useRoomContext());
  // Statistics still show the old path, which carries no media any more.
  const { shown, all } = useIsCutOff() ? NONE : found;
  const text = shown ? TEXTS[shown.kind] : undefined;
  const Icon = text?.Icon ?? Route;
  const details = all.map((path) => `${path.local} → ${path.remote}${rtt(path.rttMs)}`);

  return (
    <Popover
      label="How sound and picture travel"
      side="below"
      buttonClass="badge"
      buttonTitle={text ? `${text.label}: ${details.join('; ')}` : 'No media path yet'}
      testId="ice-path"
      data={{ 'data-path': shown?.kind ?? 'none' }}
      button={
        <>
          <Icon aria-hidden="true" />
          <span>{text?.label ?? 'Connecting'}</span>
        </>
      }
    >
      <h2>{text?.label ?? 'No media path yet'}</h2>
      <p>{text?.text ?? 'The browser and the hub are looking for a way for sound and picture.'}</p>
      {all.length > 0 && (
        <dl className="facts" data-testid="ice-details">
          {all.map((path, index) => (
            <div key={index}>
              <dt>{all.length === 1 ? 'Candidates' : index === 0 ? 'Sending' : 'Receiving'}</dt>
              <dd>
                {path.local} → {path.remote}
              </dd>
              {path.rttMs !== undefined && (
                <>
                  <dt>Round trip</dt>
                  <dd>{milliseconds(path.rttMs)}</dd>
                </>
              )}
            </div>
          ))}
        </dl>
      )}
    </Popover>
  );
}

function rtt(value: number | undefined): string {
  return value === undefined ? '' : `, round trip ${milliseconds(value)}`;
}

function milliseconds(value: number): string {
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}
