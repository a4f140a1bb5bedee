import type { Concern, Problem } from './problem';
import { messageOf } from './problem';

export type DeviceKind = Exclude<Concern, 'speaker' | 'low-power' | 'chat'>;

/** A device that was in use and is gone. */
export class UnpluggedError extends Error {
  override readonly name = 'UnpluggedError';
}

/** Why a browser gives a page no camera and microphone at all, or undefined if it does. */
export function insecureContext(secure: boolean): Problem | undefined {
  if (secure) return undefined;
  return {
    title: 'No camera and microphone without TLS',
    text:
      'Browsers refuse camera and microphone to pages from another device unless the address begins with https://. ' +
      'You can still join to listen, watch and chat. To be heard and seen, open the page on the hub’s own machine, ' +
      'or ask whoever runs this hub to give it TLS.',
  };
}

/** Explains why a device could not be opened. `error` is what getUserMedia or getDisplayMedia threw. */
export function explainMedia(kind: DeviceKind, error: unknown): Problem {
  return { ...explain(kind, error), about: kind };
}

function explain(kind: DeviceKind, error: unknown): Problem {
  switch (error instanceof Error ? error.name : '') {
    case 'NotAllowedError':
    case 'PermissionDeniedError':
    case 'SecurityError':
      return {
        title: `No permission for the ${kind}`,
        text:
          kind === 'screen'
            ? 'The browser or the system did not allow the screen to be shared. Try again and choose what to share; on macOS, allow the browser in System Settings → Privacy → Screen Recording.'
            : `The browser blocks the ${kind} for this page. Allow it with the icon beside the address (or in the system’s privacy settings), then try again.`,
      };
    case 'NotFoundError':
    case 'DevicesNotFoundError':
    case 'OverconstrainedError':
      return { title: `No ${kind} found`, text: 'Connect one, or choose another. You can also go on without.' };
    case 'NotReadableError':
    case 'TrackStartError':
    case 'AbortError':
      return {
        title: `The ${kind} is busy`,
        text: `Another program or tab seems to use the ${kind}. Close it there, then try again.`,
        detail: messageOf(error),
      };
    case 'UnpluggedError':
      return {
        title: `The ${kind} is gone`,
        text: 'It was unplugged or taken away by the system. Connect it again, or choose another one.',
      };
    default:
      return {
        title: `The ${kind} did not start`,
        text: 'Try again, or choose another device.',
        detail: messageOf(error),
      };
  }
}
