"""What a change did to a running hub, for people."""

from lkhub.checks.checks import describe_cut, describe_people, describe_retired
from lkhub.cli.shared.show import err
from lkhub.wire.control import Outcome


def show_outcome(outcome: Outcome, now: str = "--now") -> None:
    """Say on stderr which processes were restarted, started and ended, what waits, and how many people it has cut off.
    `now` is what does not wait."""
    made = outcome.describe_made()
    if outcome.later:
        if made:
            err.print(made)
        people, later = describe_people(outcome.people), " and ".join(outcome.later)
        err.print(
            f"the spec is in force; {people}: {later} can get the new program {_say_when(outcome)}, or with {now}"
        )
    elif outcome.pending and outcome.retired:
        err.print(f"pending: {describe_retired(outcome.people, outcome.retired)}; applied then, or with {now}")
    elif outcome.pending:
        people = describe_people(outcome.people)
        waiting = outcome.waiting.describe()
        err.print(f"pending: {waiting}, and {people}; applied {_say_when(outcome)}, or with {now}")
    elif outcome.cut:
        # Of the process that was cut off, the one that takes its place may run already, and nothing else was made.
        err.print("; ".join(filter(None, (made, describe_cut(outcome.cut, outcome.only_through)))))
    elif made:
        err.print(made)
    for line in outcome.describe_uncut():
        err.print(line)


def _say_when(outcome: Outcome) -> str:
    return "when they left" if outcome.people else "when it is known that nobody is"
