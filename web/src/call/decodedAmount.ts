import type { RemoteParticipant } from 'livekit-client';

interface Inbound {
  type: string;
  framesDecoded?: number;
  totalSamplesReceived?: number;
  concealedSamples?: number;
}

/** A number that grows while something of a participant is really decoded: frames, and sound that isn't made up. */
export async function decodedAmount(participant: RemoteParticipant): Promise<number> {
  let amount = 0;
  for (const { track } of participant.trackPublications.values()) {
    const report = await track?.getRTCStatsReport();
    report?.forEach((entry: Inbound) => {
      if (entry.type !== 'inbound-rtp') return;
      amount += entry.framesDecoded ?? 0;
      amount += Math.max(0, (entry.totalSamplesReceived ?? 0) - (entry.concealedSamples ?? 0));
    });
  }
  return amount;
}
