import type { TrackReferenceOrPlaceholder } from '@livekit/components-core';
import { Participant, Track } from 'livekit-client';
import { expect, test } from 'vitest';

import { findPinned, pickTiles } from './stageTracks';

function ref(identity: string, source: Track.Source, trackSid: string, kind = Track.Kind.Video) {
  const participant = new Participant('', identity);
  return { participant, source, publication: { trackSid, source, kind } } as TrackReferenceOrPlaceholder;
}

function placeholder(identity: string): TrackReferenceOrPlaceholder {
  return { participant: new Participant('', identity), source: Track.Source.Camera };
}

const camera = ref('ann', Track.Source.Camera, 'TR_camera');
const screen = ref('ann', Track.Source.ScreenShare, 'TR_screen');
const front = ref('robot', Track.Source.Unknown, 'TR_front');
const back = ref('robot', Track.Source.Unknown, 'TR_back');
const sound = ref('robot', Track.Source.Unknown, 'TR_sound', Track.Kind.Audio);

test('every picture has a tile, sound has none', () => {
  expect(pickTiles([camera, screen, front, back, sound])).toEqual([camera, screen, front, back]);
});

test('who sends nothing, or only sound, has a tile as well', () => {
  const [ann, robot] = [placeholder('ann'), placeholder('robot')];
  expect(pickTiles([sound, ann, robot])).toEqual([ann, robot]);
});

test('who sends a picture without a source needs no empty tile beside it', () => {
  const ann = placeholder('ann');
  expect(pickTiles([front, ann, placeholder('robot')])).toEqual([front, ann]);
});

test('a camera that was off for a while is still the pinned one', () => {
  const again = ref('ann', Track.Source.Camera, 'TR_again');
  expect(findPinned([front, again, screen], camera)).toBe(again);
  const off = placeholder('ann');
  expect(findPinned([front, off], camera)).toBe(off);
  expect(findPinned([front, screen], camera)).toBeUndefined();
});

test('one of several pictures without a source is pinned, and no other takes its place', () => {
  expect(findPinned([front, back], back)).toBe(back);
  expect(findPinned([front], back)).toBeUndefined();
  expect(findPinned([front, back], undefined)).toBeUndefined();
});
