"""What keeps a file from being edited."""


class EditError(ValueError):
    """The text can't be edited. `line` is the number of the line at fault, from 1; 0 for none. The message repeats no
    value of the file, since any of them may be a secret."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
