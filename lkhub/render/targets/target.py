"""What a target of `lkhub render` is."""

from collections.abc import Callable
from dataclasses import dataclass, field

from lkhub.errors import InputError
from lkhub.plan.installation import Installation
from lkhub.plan.model import Plan
from lkhub.plan.network import Interface
from lkhub.render.files import RenderedFile
from lkhub.shown import printable


@dataclass(frozen=True)
class Forms:
    """The forms of a target, one of which may be asked for alone. `option` is how, as `--format`; `first` is the form
    that a terminal gets by default; None: the forms can only be written into a folder."""

    option: str
    names: tuple[str, ...]
    first: str | None = None


@dataclass(frozen=True)
class Given:
    """What a plan was made from: the interfaces of the machine that it is for, and the text of the spec, empty for
    the defaults. The text may hold secrets."""

    interfaces: tuple[Interface, ...] = ()
    spec: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Target:
    """`render` makes the files from a plan, what the plan was made from, and the one form that is asked for (None:
    all). It raises InputError where the plan has nothing to render.

    `judges_keys`: the spec's keys, certificates and raw keys are judged too, as for `up`. `installation`: the plan is
    for this installation, and not for the one that runs the command; with `elsewhere` it is also for another machine,
    whose network is not known here. `starts`: what is rendered starts the hub and its agents. `beside_spec`: that hub
    reads `hub.yaml` in the folder of the rendered files.
    """

    name: str
    help: str
    render: Callable[[Plan, Given, str | None], tuple[RenderedFile, ...]]
    forms: Forms | None = None
    judges_keys: bool = False
    installation: Installation | None = None
    elsewhere: bool = False
    starts: bool = False
    beside_spec: bool = False

    def require_form(self, option: str, form: str | None) -> None:
        """Raise InputError where `form`, given with `option`, is not a form of this target."""
        known = self.forms.names if self.forms and self.forms.option == option else ()
        if form is not None and form not in known:
            hints = (f"of {self.name}: {', '.join(known)}",) if known else ()
            raise InputError(f"{self.name} has no {option} {printable(form)}", hints=hints)
