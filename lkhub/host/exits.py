"""How a process ended, in words."""


def describe_exit(code: int | None) -> str:
    """`code` is as in subprocess.Popen, None if it is not known."""
    if code is None:
        return "ended"
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
