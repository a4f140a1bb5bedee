"""What a change did to a running hub, for people."""

from lkhub.checks.checks import describe_cut, describe_people
from lkhub.cli.shared.show import err
from lkhub.wire.control import Outcome


def show_outcome(outcome: Outcome, now: str = "--now") -> None:
    """Say on stderr which processes were restarted, what waits, and how many people it has cut off. `now` is what does
    not wait."""
    names = ", ".join(outcome.changed)
    if outcome.pending:
        when = "when they left" if outcome.people else "when it is known that nobody is"
        people = describe_people(outcome.people)
        err.print(f"pending: {names} would restart, and {people}; applied {when}, or with {now}")
    elif outcome.cut:
        err.print(f"restarted {names}; {describe_cut(outcome.cut, outcome.only_through)}")
    elif outcome.changed:
        err.print(f"restarted {names}")
    if outcome.reloaded:
        err.print(f"{', '.join(outcome.reloaded)} took its change over without a restart")
