/** The message of the part that failed, folded away: it helps the hub's operator. */
export function Detail({ text }: { text: string | undefined }) {
  if (!text) return null;
  return (
    <details>
      <summary>What the computer said</summary>
      <code>{text}</code>
    </details>
  );
}
