/** The words of the part that failed, folded away: they help whoever runs the hub. */
export function Detail({ text }: { text: string | undefined }) {
  if (!text) return null;
  return (
    <details>
      <summary>What the computer said</summary>
      <code>{text}</code>
    </details>
  );
}
