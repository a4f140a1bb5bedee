import type { TrackReferenceOrPlaceholder } from '@livekit/components-core';
import { isTrackReference } from '@livekit/components-core';
import { useEnsureTrackRef, useFocusToggle, useParticipantTile, VideoTrack } from '@livekit/components-react';
import { Track } from 'livekit-client';
import { Maximize, Pin, PinOff } from 'lucide-react';
import type { HTMLAttributes } from 'react';
import { useRef } from 'react';

import { useEncryption } from './encryptionContext';
import { Cover } from './Cover';
import { TileLabel } from './TileLabel';
import { useIsSilent } from './useIsSilent';

interface TileProps {
  /** Left out where the track comes from a TrackLoop. */
  trackRef?: TrackReferenceOrPlaceholder;
  /** The one in the middle of the stage. */
  large?: boolean;
}

/** A participant's camera, a shared screen, or another picture that somebody sends. */
export function Tile({ trackRef, large }: TileProps) {
  const track = useEnsureTrackRef(trackRef);
  const { participant, source } = track;
  const root = useRef<HTMLDivElement>(null);
  const encryption = useEncryption();
  const silent = useIsSilent(participant);
  const isScreen = source === Track.Source.ScreenShare;
  const problem = encryption.undecodable.has(participant.identity)
    ? 'mismatch'
    : encryption.foreign.has(participant.identity)
      ? 'locked-out'
      : undefined;

  const { elementProps } = useParticipantTile<HTMLDivElement>({
    trackRef: track,
    disableSpeakingIndicator: isScreen,
    htmlProps: { className: 'tile', ...tileData(participant.identity, source, problem) },
  });
  const flags = elementProps as Record<string, unknown>;
  const { mergedProps: pinProps, inFocus } = useFocusToggle({ trackRef: track, props: {} });
  const ownScreen = isScreen && participant.isLocal;
  const covered =
    !isTrackReference(track) || flags['data-lk-video-muted'] === true || ownScreen || problem !== undefined;

  return (
    <div {...elementProps} ref={root} data-large={large === true}>
      {isTrackReference(track) && !ownScreen && <VideoTrack trackRef={track} />}
      {covered && <Cover participant={participant} ownScreen={ownScreen} problem={problem} />}
      <TileLabel participant={participant} isScreen={isScreen} muted={silent} />
      <div className="tile-actions">
        {large && document.fullscreenEnabled && !ownScreen && (
          <button
            type="button"
            className="button icon"
            aria-label="Full screen"
            title="Full screen"
            onClick={() => void root.current?.requestFullscreen()}
          >
            <Maximize aria-hidden="true" />
          </button>
        )}
        <button
          type="button"
          className="button icon"
          data-testid="pin"
          aria-pressed={inFocus}
          aria-label={inFocus ? 'Back to the grid' : 'Make large'}
          title={inFocus ? 'Back to the grid' : 'Make large'}
          onClick={pinProps.onClick}
        >
          {inFocus ? <PinOff aria-hidden="true" /> : <Pin aria-hidden="true" />}
        </button>
      </div>
    </div>
  );
}

/** Marks for tests and style sheets; React takes any `data-` attribute, its types only in JSX. */
function tileData(identity: string, source: Track.Source, problem: string | undefined): HTMLAttributes<HTMLDivElement> {
  return {
    'data-testid': 'tile',
    'data-identity': identity,
    'data-source': source,
    'data-encryption': problem,
  } as HTMLAttributes<HTMLDivElement>;
}
