import type { TrackReferenceOrPlaceholder } from '@livekit/components-core';
import { isTrackReference } from '@livekit/components-core';
import { useEnsureTrackRef, useFocusToggle, useParticipantTile, VideoTrack } from '@livekit/components-react';
import { LocalVideoTrack, Track } from 'livekit-client';
import type { HTMLAttributes } from 'react';
import { useRef } from 'react';

import { TrackVideo } from '../media/TrackVideo';
import { Cover } from './Cover';
import { useEncryption } from './encryptionContext';
import { TileActions } from './TileActions';
import { TileLabel } from './TileLabel';
import { useHeld } from './useHeld';
import { useIsAway } from './useIsAway';
import { useIsSilent } from './useIsSilent';

interface TileProps {
  /** Omitted when the track comes from a TrackLoop. */
  trackRef?: TrackReferenceOrPlaceholder;
  /** The large tile in the middle of the stage. */
  large?: boolean;
}

/** A participant's camera, a shared screen, or another video track. */
export function Tile({ trackRef, large }: TileProps) {
  const track = useEnsureTrackRef(trackRef);
  const { participant, source } = track;
  const root = useRef<HTMLDivElement>(null);
  const encryption = useEncryption();
  const silent = useHeld(useIsSilent(participant), false);
  const away = useIsAway(participant);
  const isScreen = source === Track.Source.ScreenShare;
  const problem = encryption.undecodable.has(participant.identity)
    ? 'mismatch'
    : encryption.foreign.has(participant.identity)
      ? 'locked-out'
      : undefined;

  const { elementProps } = useParticipantTile<HTMLDivElement>({
    trackRef: track,
    disableSpeakingIndicator: isScreen,
    htmlProps: { className: 'tile', ...tileData(participant.identity, source, problem, away) },
  });
  const flags = elementProps as Record<string, unknown>;
  const { mergedProps: pinProps, inFocus } = useFocusToggle({ trackRef: track, props: {} });
  const mirrored = useHeld(flags['data-lk-facing-mode'] === 'user') && participant.isLocal;
  const ownScreen = isScreen && participant.isLocal;
  const off = useHeld(!isTrackReference(track) || flags['data-lk-video-muted'] === true, true);
  // This person's own camera keeps running during a reconnect, although its picture is not sent.
  const own = useHeld(track.publication?.track);
  const mirror = away && participant.isLocal && !off && own instanceof LocalVideoTrack ? own : undefined;
  const covered = off || ownScreen || problem !== undefined || (away && !mirror);

  return (
    <div {...elementProps} ref={root} data-large={large === true} data-mirrored={mirrored}>
      {mirror ? (
        <TrackVideo track={mirror} />
      ) : (
        isTrackReference(track) && !ownScreen && <VideoTrack trackRef={track} />
      )}
      {covered && <Cover participant={participant} ownScreen={ownScreen} problem={problem} />}
      <TileLabel participant={participant} isScreen={isScreen} muted={silent && (!away || participant.isLocal)} away={away} />
      <TileActions tile={root} pinned={inFocus} mayGrow={large === true && !ownScreen} onPin={pinProps.onClick} />
    </div>
  );
}

/** Marks for tests and style sheets; React takes any `data-` attribute, its types only in JSX. */
function tileData(
  identity: string,
  source: Track.Source,
  problem: string | undefined,
  away: boolean,
): HTMLAttributes<HTMLDivElement> {
  return {
    'data-testid': 'tile',
    'data-identity': identity,
    'data-source': source,
    'data-encryption': problem,
    'data-away': away,
  } as HTMLAttributes<HTMLDivElement>;
}
