export function ReloadButton() {
  return (
    <button
      type="button"
      className="button primary"
      data-testid="reload"
      onClick={() => {
        location.reload();
      }}
    >
      Reload
    </button>
  );
}
