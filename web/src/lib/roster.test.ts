import { expect, test } from 'vitest';

import { ALL_COME_BACK_MS, COMES_BACK_MS, Roster } from './roster';

const ann = { identity: 'ann', name: 'Ann' };
const bob = { identity: 'bob', name: 'Bob' };

function told(roster: Roster): string[] {
  return roster.takeComings().map(({ name, came }) => `${name} ${came ? 'came' : 'left'}`);
}

function shown(roster: Roster): string[] {
  return roster.people().map(({ name, away }) => (away ? `${name} away` : name));
}

test('who was there before does not come; others do, and leave', () => {
  const roster = new Roster();
  roster.see([ann], 0);
  expect(told(roster)).toEqual([]);
  roster.see([ann, bob], 1);
  roster.leave('ann');
  roster.see([bob], 2);
  expect(told(roster)).toEqual(['Bob came', 'Ann left']);
  expect(shown(roster)).toEqual(['Bob']);
});

test('into an empty room, the first one comes', () => {
  const roster = new Roster();
  roster.see([], 0);
  roster.see([ann], 1);
  expect(told(roster)).toEqual(['Ann came']);
});

test('who vanishes and is soon back was only away', () => {
  const roster = new Roster();
  roster.see([ann], 0);
  roster.see([], 1);
  expect(shown(roster)).toEqual(['Ann away']);
  expect(roster.nextLook(1)).toBe(COMES_BACK_MS);
  roster.see([ann], 1000);
  expect(shown(roster)).toEqual(['Ann']);
  expect(roster.nextLook(1000)).toBeUndefined();
  expect(told(roster)).toEqual([]);
});

test('who does not come back has left', () => {
  const roster = new Roster();
  roster.see([ann], 0);
  roster.see([], 1);
  roster.see([], 1 + COMES_BACK_MS);
  expect(told(roster)).toEqual(['Ann left']);
  expect(shown(roster)).toEqual([]);
});

test('a connection made anew makes nobody leave and come, however slowly they are back', () => {
  const roster = new Roster();
  roster.see([ann, bob], 0);
  // livekit-client empties its list before it reports the reason.
  roster.see([bob], 10);
  roster.see([], 10);
  roster.lose();
  expect(shown(roster)).toEqual(['Ann away', 'Bob away']);
  roster.see([], 60_000);
  expect(roster.nextLook(60_000)).toBeUndefined();
  roster.find(60_000);
  roster.see([], 60_000);
  expect(shown(roster)).toEqual(['Ann away', 'Bob away']);
  roster.see([bob], 61_000);
  expect(shown(roster)).toEqual(['Ann away', 'Bob']);
  roster.see([bob], 60_000 + ALL_COME_BACK_MS - 1);
  expect(told(roster)).toEqual([]);
  roster.see([bob], 60_000 + ALL_COME_BACK_MS);
  expect(told(roster)).toEqual(['Ann left']);
});

test('later, patience is short again', () => {
  const roster = new Roster();
  roster.see([ann], 0);
  roster.lose();
  roster.find(0);
  roster.see([ann], 0);
  roster.see([], 100_000);
  expect(roster.nextLook(100_000)).toBe(COMES_BACK_MS);
});

test('another name is the same person', () => {
  const roster = new Roster();
  roster.see([ann], 0);
  roster.see([{ identity: 'ann', name: 'Anna' }], 1);
  expect(shown(roster)).toEqual(['Anna']);
  expect(told(roster)).toEqual([]);
});
