const STORAGE_KEY = 'lkhub.speaker';

/** Whether the browser lets a page choose the speaker (Safari and older Firefox don't). */
export function canChooseSpeaker(): boolean {
  return 'setSinkId' in HTMLMediaElement.prototype;
}

export function savedSpeaker(): string {
  try {
    return localStorage.getItem(STORAGE_KEY) ?? 'default';
  } catch {
    return 'default';
  }
}

export function saveSpeaker(deviceId: string): void {
  try {
    localStorage.setItem(STORAGE_KEY, deviceId);
  } catch {
    // Storage is forbidden: the choice holds for this visit.
  }
}

/** Two notes, a fifth apart: frequency in Hz and start in seconds. */
const CHIME = [
  [523.25, 0],
  [783.99, 0.18],
] as const;
const CHIME_SECONDS = 1;

/** Plays a short chime through a speaker; resolves when it has ended. */
export async function playChime(deviceId: string): Promise<void> {
  const context = new AudioContext();
  // Through an audio element, because every browser with a choice of speakers supports it there.
  const output = context.createMediaStreamDestination();
  const audio = new Audio();
  audio.srcObject = output.stream;
  if (canChooseSpeaker() && deviceId !== 'default') await audio.setSinkId(deviceId);
  for (const [frequency, start] of CHIME) ring(context, output, frequency, start);
  await audio.play();
  await new Promise((resolve) => setTimeout(resolve, CHIME_SECONDS * 1000));
  audio.pause();
  await context.close();
}

function ring(context: AudioContext, output: AudioNode, frequency: number, start: number): void {
  const from = context.currentTime + 0.05 + start;
  const tone = new OscillatorNode(context, { frequency });
  const gain = new GainNode(context, { gain: 0 });
  gain.gain.setValueAtTime(0, from);
  gain.gain.linearRampToValueAtTime(0.25, from + 0.01);
  gain.gain.exponentialRampToValueAtTime(0.001, from + 0.7);
  tone.connect(gain).connect(output);
  tone.start(from);
  tone.stop(from + 0.75);
}
