"""Where the programs and the files of a hub are: on this machine, or on another one that the plan is for."""

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal, TypeAlias

from lkhub.plan.paths import StatePaths

AGENTS_VARIABLE = "LKHUB_AGENTS"
"""The variable with which a unit or a container tells the hub in it how its agents run, and where its web sites are
built: the value is an AgentsRun."""

AgentsRun: TypeAlias = Literal["here", "apart", "containers", "pods"]
"""How agents run: as processes of the hub, each in a unit of its own, each in a container of its own, each in a pod of
its own. The builds of web sites run beside them, but in a pod as processes of the hub."""


@dataclass(frozen=True)
class Installation:
    """All paths are absolute. `engine` is the bundled engine, `python` the interpreter that runs lkhub, `state` the
    state directory, `folder` the spec's folder, from which the spec's relative paths start. `user` is the name of the
    user that the hub runs as. `spec` is the spec itself, "" for the defaults. `agents`: how its agents run.
    `low_uids`: no user can have a high number, as in a container of an ordinary user."""

    engine: str
    python: str
    state: str
    folder: str
    user: str
    spec: str = ""
    agents: AgentsRun = "here"
    low_uids: bool = False

    @property
    def agents_apart(self) -> bool:
        """Whether each agent is run by a unit or a container of its own, and not by the hub."""
        return self.agents != "here"

    @property
    def runs_images(self) -> bool:
        """Whether an agent can be a container of an image of its own."""
        return self.agents in ("containers", "pods")

    @property
    def runs_projects(self) -> bool:
        """Whether an agent can be the code in a folder."""
        return self.agents != "pods"

    @property
    def paths(self) -> StatePaths:
        """Where the files of the state directory are."""
        return StatePaths(self.state)

    def beside_spec(self, path: str) -> str:
        """The absolute form of a path in the spec."""
        return str(PurePosixPath(self.folder, path))
