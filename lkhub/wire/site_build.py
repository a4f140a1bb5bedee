"""What `lkhub build-site` knows of a site that it builds: the content of site-NAME.json. It is not in lkhub.render,
because that process needs no plan."""

from typing import Literal, TypeAlias

from msgspec import Struct

from lkhub.source.json_text import parse_finite_json
from lkhub.source.typed import unpack
from lkhub.wire.application import Role
from lkhub.wire.message import dump_message

# Longer than any front end takes on a small machine; a build that waits for a key waits for ever.
BUILD_SECONDS = 15 * 60

# A builder is started anew after each build, and may start with the machine.
COME_SECONDS = 60.0

# The project is copied before the build begins, and its files after it.
COPY_SECONDS = 60.0

# A builder that is killed is started anew, and one that its build kills each time must not go on for ever.
MOST_TRIES = 3


Builder: TypeAlias = Literal["", "unit", "container"]
"""What makes the builds that a hub gives out; "" where the hub makes them itself."""


class MadeToken(Struct, frozen=True):
    """A token that is made for each build. `ttl` is in seconds. `role` is its role by name, "" for all that a plain
    participant may; `allows` is what the role allows. `opens`: only who has the grant for it opens a room."""

    room: str
    identity: str
    name: str
    ttl: int
    role: str = ""
    allows: Role | None = None
    opens: bool = False


class SiteVariable(Struct, frozen=True):
    """A variable of a build: a text, or a token."""

    name: str
    text: str = ""
    token: MadeToken | None = None


class SiteBuild(Struct, frozen=True):
    """How the files of the site `name` are made: `command` runs in a copy of the folder `project`, and makes the folder
    `output` in it, a relative path. `skipped` are absolute paths that are not copied. `state` is the state directory.
    The command runs as the user and the group `uid`; None: as the hub's own, unless the hub gives the build out: then
    `given` is the folder of the socket for it, and `builder` what asks there.

    `files` is a digest of the project's files, and `inputs` one of all that the build depends on, except tokens.
    `again` is "", or tells this build from one with the same inputs that failed, or whose tokens are no longer good."""

    name: str
    command: str
    project: str
    output: str
    variables: tuple[SiteVariable, ...]
    skipped: tuple[str, ...]
    state: str
    uid: int | None = None
    files: str = ""
    inputs: str = ""
    again: str = ""
    given: str = ""
    builder: Builder = ""

    @property
    def apart(self) -> bool:
        """Whether the command runs as another user than the hub."""
        return self.uid is not None or bool(self.given)

    @property
    def texts(self) -> dict[str, str]:
        """The variables that are texts."""
        return {variable.name: variable.text for variable in self.variables if not variable.token}

    @property
    def tokens(self) -> tuple[MadeToken, ...]:
        """The tokens that are built into the site."""
        return tuple(variable.token for variable in self.variables if variable.token)


SOCKET = "build.sock"
"""The name of that socket."""


class BuildRequest(Struct, frozen=True):
    """What the hub gives out: a command line, with the variables that are its alone. Those in `secrets` are in no log.
    With it come two descriptors: the folder of the project, and what the build's output is written to."""

    command: str
    output: str
    variables: dict[str, str]
    secrets: dict[str, str]


class BuildResult(Struct, frozen=True):
    """What comes back: why the build failed, "" where it succeeded. With it comes the descriptor of the folder that has
    `output` in it."""

    problem: str = ""


def name_site_process(site: str) -> str:
    """The name of the process, and of the container, that builds a site."""
    return f"site-{site}"


def name_site_file(site: str) -> str:
    """The name of the rendered file."""
    return f"{name_site_process(site)}.json"


def dump_site_build(build: SiteBuild) -> str:
    return dump_message(build, indent=2)


def parse_site_build(text: str) -> SiteBuild:
    """The inverse of `dump_site_build`. Raises ValueError."""
    return unpack(SiteBuild, parse_finite_json(text))
