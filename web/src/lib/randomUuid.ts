type Uuid = `${string}-${string}-${string}-${string}-${string}`;

/**
 * Browsers offer crypto.randomUUID only to pages with TLS or on this machine, and livekit-client needs it to send a
 * chat message. On a LAN hub without TLS people can still listen, watch and chat.
 */
export function ensureRandomUuid(target: Crypto): void {
  if (!('randomUUID' in target)) {
    Object.defineProperty(target, 'randomUUID', { value: () => uuidV4(target), configurable: true });
  }
}

/** RFC 9562, version 4. */
export function uuidV4(source: Pick<Crypto, 'getRandomValues'>): Uuid {
  const bytes = source.getRandomValues(new Uint8Array(16));
  const hex = [...bytes].map((byte, index) => {
    if (index === 6) return ((byte & 0x0f) | 0x40).toString(16).padStart(2, '0');
    if (index === 8) return ((byte & 0x3f) | 0x80).toString(16).padStart(2, '0');
    return byte.toString(16).padStart(2, '0');
  });
  const part = (from: number, to: number) => hex.slice(from, to).join('');
  return `${part(0, 4)}-${part(4, 6)}-${part(6, 8)}-${part(8, 10)}-${part(10, 16)}`;
}
