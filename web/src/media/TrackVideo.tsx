import type { LocalVideoTrack } from 'livekit-client';
import { useEffect, useRef } from 'react';

/** The picture of this person's own camera, whether or not it is sent. */
export function TrackVideo({ track }: { track: LocalVideoTrack }) {
  const element = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    const video = element.current;
    if (!video) return;
    track.attach(video);
    return () => {
      track.detach(video);
    };
  }, [track]);
  return <video ref={element} muted playsInline aria-label="Your camera’s picture" />;
}
