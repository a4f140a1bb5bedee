import { expect, test } from 'vitest';

import type { StatsEntry } from './icePath';
import { leastDirect, readIcePath } from './icePath';

const REMOTE: StatsEntry = { id: 'R', type: 'remote-candidate', candidateType: 'host', protocol: 'udp' };
const PAIR: StatsEntry = {
  id: 'P',
  type: 'candidate-pair',
  state: 'succeeded',
  nominated: true,
  localCandidateId: 'L',
  remoteCandidateId: 'R',
  currentRoundTripTime: 0.0042,
};
const TRANSPORT: StatsEntry = { id: 'T', type: 'transport', selectedCandidatePairId: 'P' };

function local(fields: Partial<StatsEntry>): StatsEntry {
  return { id: 'L', type: 'local-candidate', candidateType: 'host', protocol: 'udp', ...fields };
}

test('direct over UDP', () => {
  expect(readIcePath([TRANSPORT, PAIR, local({}), REMOTE])).toEqual({
    kind: 'udp',
    local: 'host udp',
    remote: 'host udp',
    rttMs: 4.2,
  });
});

test.each([
  [{ candidateType: 'prflx' }, 'udp', 'prflx udp'],
  [{ candidateType: 'srflx' }, 'udp', 'srflx udp'],
  [{ protocol: 'tcp' }, 'tcp', 'host tcp'],
  // A relay that is reached over TLS speaks UDP to the hub: what counts is the transport between client and relay.
  [{ candidateType: 'relay', protocol: 'udp', relayProtocol: 'tls' }, 'relay', 'relay tls'],
  [{ candidateType: 'relay', protocol: 'udp', relayProtocol: 'udp' }, 'relay', 'relay udp'],
])('%j is %s', (fields, kind, description) => {
  expect(readIcePath([TRANSPORT, PAIR, local(fields), REMOTE])).toMatchObject({ kind, local: description });
});

test('the pair in use counts, not the first that worked', () => {
  const other: StatsEntry = { ...PAIR, id: 'P0', localCandidateId: 'L0' };
  const tcp = { ...local({ protocol: 'tcp' }), id: 'L0' };
  expect(readIcePath([other, tcp, TRANSPORT, PAIR, local({}), REMOTE])?.kind).toBe('udp');
});

test('Firefox has no transport entry and marks the pair itself', () => {
  const other: StatsEntry = { ...PAIR, id: 'P0', localCandidateId: 'L0' };
  const tcp = { ...local({ protocol: 'tcp' }), id: 'L0' };
  expect(readIcePath([other, tcp, { ...PAIR, selected: true }, local({}), REMOTE])?.kind).toBe('udp');
});

test('nothing is known before a pair is chosen', () => {
  expect(readIcePath([])).toBeUndefined();
  expect(readIcePath([{ ...PAIR, state: 'in-progress' }, local({}), REMOTE])).toBeUndefined();
});

test('the least direct path is the one to tell about', () => {
  const path = (kind: 'udp' | 'tcp' | 'relay') => ({ kind, local: '', remote: '', rttMs: undefined });
  expect(leastDirect([])).toBeUndefined();
  expect(leastDirect([path('udp'), path('tcp')])?.kind).toBe('tcp');
  expect(leastDirect([path('relay'), path('tcp')])?.kind).toBe('relay');
});
