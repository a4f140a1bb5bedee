import { useDisconnectButton, useLocalParticipantPermissions } from '@livekit/components-react';
import { Track } from 'livekit-client';
import { MessageSquare, Mic, MicOff, MonitorUp, MonitorX, PhoneOff, Video, VideoOff } from 'lucide-react';

import { mayPublish } from '../lib/permissions';
import { explainMedia } from '../texts/mediaProblem';
import type { Problem } from '../texts/problem';
import { Control } from './Control';
import { DeviceMenu } from './DeviceMenu';
import { useCallShortcuts } from './useCallShortcuts';
import { useSwitch } from './useSwitch';

interface ControlsProps {
  onProblem: (problem: Problem) => void;
  chatOpen: boolean;
  unread: number;
  onChat: (button: HTMLElement) => void;
  /** The element that Escape closes; undefined if nothing is open. */
  onEscape: (() => void) | undefined;
}

/** The bar at the bottom. */
export function Controls({ onProblem, chatOpen, unread, onChat, onEscape }: ControlsProps) {
  const permissions = useLocalParticipantPermissions();
  const may = (source: Track.Source) => window.isSecureContext && mayPublish(permissions, source);
  const maySpeak = may(Track.Source.Microphone);
  const mayShow = may(Track.Source.Camera);
  const mayShare = may(Track.Source.ScreenShare);
  const microphone = useSwitch(Track.Source.Microphone, (error) => {
    onProblem(explainMedia('microphone', error));
  });
  const camera = useSwitch(Track.Source.Camera, (error) => {
    onProblem(explainMedia('camera', error));
  });
  const screen = useSwitch(Track.Source.ScreenShare, (error) => {
    // Closing the browser's picker is a "no" as well, and needs no message.
    if (error.name !== 'NotAllowedError' || error.message.includes('system')) onProblem(explainMedia('screen', error));
  });
  const leave = useDisconnectButton({}).buttonProps;

  useCallShortcuts({
    m: maySpeak ? microphone.toggle : undefined,
    v: mayShow ? camera.toggle : undefined,
    Escape: onEscape,
  });

  return (
    <footer className="controls" aria-label="Call controls">
      {maySpeak && (
        <Control
          testId="microphone"
          label={microphone.on ? 'Mute' : 'Unmute'}
          title={microphone.on ? 'Mute (M)' : 'Unmute (M)'}
          shortcut="m"
          icon={microphone.on ? <Mic /> : <MicOff />}
          pressed={microphone.on}
          off={!microphone.on}
          disabled={microphone.pending}
          onClick={microphone.toggle}
        />
      )}
      {mayShow && (
        <Control
          testId="camera"
          label="Camera"
          title={camera.on ? 'Turn the camera off (V)' : 'Turn the camera on (V)'}
          shortcut="v"
          icon={camera.on ? <Video /> : <VideoOff />}
          pressed={camera.on}
          off={!camera.on}
          disabled={camera.pending}
          onClick={camera.toggle}
        />
      )}
      {mayShare && 'getDisplayMedia' in navigator.mediaDevices && (
        <Control
          testId="screenshare"
          label={screen.on ? 'Stop' : 'Share'}
          title={screen.on ? 'Stop sharing your screen' : 'Share your screen'}
          icon={screen.on ? <MonitorX /> : <MonitorUp />}
          pressed={screen.on}
          active={screen.on}
          disabled={screen.pending}
          onClick={screen.toggle}
        />
      )}
      <Control
        testId="chat"
        label="Chat"
        title={unread > 0 ? `Chat: ${unread} new` : 'Chat'}
        icon={<MessageSquare />}
        pressed={chatOpen}
        active={chatOpen}
        count={unread}
        onClick={onChat}
      />
      <DeviceMenu canPublish={maySpeak || mayShow} onProblem={onProblem} />
      <Control testId="leave" label="Leave" title="Leave the call" icon={<PhoneOff />} danger onClick={leave.onClick} />
    </footer>
  );
}
