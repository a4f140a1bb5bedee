import type { RemoteParticipant } from 'livekit-client';

interface Inbound {
  type: string;
  framesDecoded?: number;
  totalSamplesReceived?: number;
  concealedSamples?: number;
}

/**
 * For each encrypted track of a participant, by SID, a number that grows while the track is really decoded: frames, and
 * samples that are not concealed. Tracks that are muted are left out: the hub sends silence in their place, which is
 * not encrypted.
 */
export async function decodedAmounts(participant: RemoteParticipant): Promise<Map<string, number>> {
  const amounts = new Map<string, number>();
  for (const { isEncrypted, isMuted, track, trackSid } of participant.trackPublications.values()) {
    if (!isEncrypted || isMuted || !track) continue;
    let amount = 0;
    const report = await track.getRTCStatsReport();
    report?.forEach((entry: Inbound) => {
      if (entry.type !== 'inbound-rtp') return;
      amount += entry.framesDecoded ?? 0;
      amount += Math.max(0, (entry.totalSamplesReceived ?? 0) - (entry.concealedSamples ?? 0));
    });
    amounts.set(trackSid, amount);
  }
  return amounts;
}
