import type { LocalAudioTrack, LocalVideoTrack } from 'livekit-client';
import { createLocalAudioTrack, createLocalTracks, createLocalVideoTrack, Track, VideoPresets } from 'livekit-client';

import { PreviewTrack } from './previewTrack';

/** Which devices to open; "default" and "" leave the choice to the browser. */
export interface DeviceChoice {
  microphone: string;
  camera: string;
}

/** Microphone and camera of a person who has not joined yet. */
export class Preview {
  readonly microphone = new PreviewTrack<LocalAudioTrack>();
  readonly camera = new PreviewTrack<LocalVideoTrack>();

  startMicrophone(deviceId: string): void {
    void this.microphone.start(() => createLocalAudioTrack(audioOptions(deviceId)));
  }

  startCamera(deviceId: string): void {
    void this.camera.start(() => createLocalVideoTrack(videoOptions(deviceId)));
  }

  /** Opens both with a single question to the person; if that fails, opens each alone, to learn which one failed. */
  startBoth(choice: DeviceChoice): void {
    const both = createLocalTracks({ audio: audioOptions(choice.microphone), video: videoOptions(choice.camera) });
    void this.microphone.start(async () => {
      const tracks = await both.catch(orUnlessDenied);
      const track = tracks?.find((candidate) => candidate.kind === Track.Kind.Audio);
      return (track as LocalAudioTrack | undefined) ?? createLocalAudioTrack(audioOptions(choice.microphone));
    });
    void this.camera.start(async () => {
      const tracks = await both.catch(orUnlessDenied);
      const track = tracks?.find((candidate) => candidate.kind === Track.Kind.Video);
      return (track as LocalVideoTrack | undefined) ?? createLocalVideoTrack(videoOptions(choice.camera));
    });
  }

  stop(): void {
    this.microphone.stop();
    this.camera.stop();
  }
}

export function audioOptions(deviceId: string) {
  return isChosen(deviceId) ? { deviceId } : {};
}

export function videoOptions(deviceId: string) {
  return { resolution: VideoPresets.h720.resolution, ...(isChosen(deviceId) ? { deviceId } : {}) };
}

function isChosen(deviceId: string): boolean {
  return deviceId !== '' && deviceId !== 'default';
}

/** A refusal counts for both devices: asking twice more would only nag. */
function orUnlessDenied(error: unknown): undefined {
  if (error instanceof Error && error.name === 'NotAllowedError') throw error;
  return undefined;
}
