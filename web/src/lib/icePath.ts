/** How media travels between this browser and the hub, read from WebRTC statistics. */
export type PathKind = 'udp' | 'tcp' | 'relay';

export interface IcePath {
  kind: PathKind;
  /** Candidate types and protocols, such as "host udp". */
  local: string;
  remote: string;
  rttMs: number | undefined;
}

/** The fields of RTCStatsReport entries that are read here; browsers fill different ones. */
export interface StatsEntry {
  id: string;
  type: string;
  selectedCandidatePairId?: string;
  localCandidateId?: string;
  remoteCandidateId?: string;
  currentRoundTripTime?: number;
  nominated?: boolean;
  /** Firefox marks the pair in use with this field, and has no transport entry. */
  selected?: boolean;
  state?: string;
  candidateType?: string;
  protocol?: string;
  /** How the browser reaches the relay: udp, tcp or tls. */
  relayProtocol?: string;
}

export function readIcePath(entries: readonly StatsEntry[]): IcePath | undefined {
  const byId = new Map(entries.map((entry) => [entry.id, entry]));
  const pair = selectedPair(entries, byId);
  const local = byId.get(pair?.localCandidateId ?? '');
  const remote = byId.get(pair?.remoteCandidateId ?? '');
  if (!pair || !local) return undefined;
  return {
    kind: kindOf(local),
    local: describe(local),
    remote: remote ? describe(remote) : 'unknown',
    rttMs: pair.currentRoundTripTime === undefined ? undefined : pair.currentRoundTripTime * 1000,
  };
}

const COST: Record<PathKind, number> = { udp: 0, tcp: 1, relay: 2 };

/** The least direct of the paths in use, which is the one to show. */
export function leastDirect(paths: readonly IcePath[]): IcePath | undefined {
  return paths.reduce<IcePath | undefined>(
    (worst, path) => (worst && COST[worst.kind] >= COST[path.kind] ? worst : path),
    undefined,
  );
}

function selectedPair(entries: readonly StatsEntry[], byId: ReadonlyMap<string, StatsEntry>): StatsEntry | undefined {
  const transport = entries.find((entry) => entry.type === 'transport' && entry.selectedCandidatePairId);
  if (transport?.selectedCandidatePairId) return byId.get(transport.selectedCandidatePairId);
  const pairs = entries.filter((entry) => entry.type === 'candidate-pair' && entry.state === 'succeeded');
  return pairs.find((pair) => pair.selected) ?? pairs.find((pair) => pair.nominated);
}

function kindOf(local: StatsEntry): PathKind {
  if (local.candidateType === 'relay') return 'relay';
  return local.protocol === 'tcp' ? 'tcp' : 'udp';
}

function describe(candidate: StatsEntry): string {
  const type = candidate.candidateType ?? 'unknown';
  // A relayed candidate's own protocol is the one between relay and hub; the client may use another one to the relay.
  const protocol = (type === 'relay' ? candidate.relayProtocol : undefined) ?? candidate.protocol ?? '';
  return `${type} ${protocol}`.trim();
}
