interface NameFieldProps {
  id: string;
  name: string;
  /** A join link contains the person's name. */
  fixed: boolean;
  missing: boolean;
  onName: (name: string) => void;
}

// LiveKit accepts longer names; a tile shows less.
const LONGEST_NAME = 64;

export function NameField({ id, name, fixed, missing, onName }: NameFieldProps) {
  const noteId = `${id}-note`;
  return (
    <div className="field" data-invalid={missing}>
      <label htmlFor={id}>Your name</label>
      <input
        id={id}
        data-testid="name-input"
        value={name}
        readOnly={fixed}
        maxLength={LONGEST_NAME}
        autoComplete="name"
        aria-invalid={missing}
        aria-describedby={fixed || missing ? noteId : undefined}
        onChange={(event) => {
          onName(event.target.value);
        }}
      />
      {missing && (
        <p className="field-note error" id={noteId} role="alert">
          Type a name, so that the others know who you are.
        </p>
      )}
      {fixed && (
        <p className="field-note" id={noteId}>
          Set by your join link.
        </p>
      )}
    </div>
  );
}
