"""Starts an agent: a copy of its project, its dependencies, and then the agent itself in place of this process.

What is other people's code, its build too, gets no variable but its own. Where this process is root, that code runs as
a user of its own without any capability, and can't gain one.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

from lkhub.errors import EXIT_MACHINE, MachineError
from lkhub.host.agent_home import AgentHome, can_reach, can_read
from lkhub.host.environ import tool_environ
from lkhub.host.files import explain_os_errors
from lkhub.host.held_signal import exit_at_sigterm, hold_sigterm
from lkhub.host.limits import limit_user
from lkhub.host.processes import MARK
from lkhub.host.rights import adopt_left, prepare_to_become, prepare_to_die_with_parent
from lkhub.host.session import end_descendants
from lkhub.plan.agents import name_held
from lkhub.wire.agent import AgentConfig, GivenAgent

# A model of some gigabytes over a slow line. The supervisor waits for none of it.
INSTALL_SECONDS = 3600

# What the hub's own user has, and the agent's does not.
_OF_OUR_USER = ("USER", "LOGNAME", "TMPDIR", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "DBUS_SYSTEM_BUS_ADDRESS")

# Nothing that is installed needs the hub's key.
_NOT_FOR_BUILDS = ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", MARK)

# A program that can't read them fails, also where it needs no certificate.
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")

# How the operator reaches package indexes and models. The hub's own secrets have no such names.
_FOR_INSTALLERS = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", *_CERTIFICATES)
_OF_UV, _NOT_OF_INSTALLERS = "UV_", "UV_PUBLISH_"


def run_agent(config: AgentConfig, environ: Mapping[str, str]) -> None:
    """Install the agent if that was not done yet, and become the agent. Returns only by MachineError."""
    if config.uid is None and os.geteuid() == 0:
        raise MachineError(f"{config.name} would run as root", hints=("`lkhub up` plans a user for it",))
    # As the default, but installers end too.
    exit_at_sigterm()
    # The agent stays the parent of what it leaves running, so that this is found and ended with it.
    adopt_left()
    if config.uid is not None:
        limit_user()
    agent = _Agent(config, environ)
    agent.install()
    argv, variables = agent.start()
    # Python ignores it, and what takes the place of this process would do so too.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    with explain_os_errors(argv[0], "start"):
        os.chdir(agent.copy.project)
    if config.uid is not None:
        _become(config.uid)
    try:
        os.execve(argv[0], argv, variables)  # noqa: S606 (the agent takes the place of this process)
    except OSError as error:
        # This user may not be able to read what shows an error.
        _say(f"error: can't start {argv[0]}: {(error.strerror or str(error)).lower()}")
        os._exit(EXIT_MACHINE)


def run_given(agent: GivenAgent, port: int, given: str, home: str, environ: Mapping[str, str]) -> None:
    """As `run_agent`, for an agent that a unit or a container of its own runs as the user of this process. `given` is
    the folder that the hub fills, and `home` the agent's own."""
    config = AgentConfig(
        name=agent.name,
        project=f"{given}/{agent.project}",
        command=agent.command,
        home=home,
        uid=None,
        port=port,
        variables={name: name_held(name) for name in agent.variables},
        inputs=agent.inputs,
        uv=agent.uv,
        entry=agent.entry,
    )
    held = {name_held(name): value for name, value in agent.variables.items()}
    run_agent(config, {**environ, **held})


def _become(uid: int) -> None:
    try:
        prepare_to_become(uid)()
    except OSError as error:
        raise MachineError(
            f"can't become the user {uid} of the agent: {(error.strerror or str(error)).lower()}",
            hints=("the hub needs the capabilities CHOWN, SETUID, SETGID and SETPCAP, or to run as an ordinary user",),
        ) from error


class _Agent:
    """What is known of an agent before it starts."""

    def __init__(self, config: AgentConfig, environ: Mapping[str, str]) -> None:
        self._config = config
        self._home = AgentHome(config.home, config.uid)
        self.copy = self._home.find_copy(config.inputs)
        self._python = f"{self.copy.environment}/bin/python"
        path = environ.get("PATH", os.defpath)
        if config.uid is not None:  # root's may have folders that are for root alone
            path = os.pathsep.join(folder for folder in path.split(os.pathsep) if can_reach(folder))
        ours = (*_OF_OUR_USER, *_list_unread(environ)) if config.uid is not None else ()
        given = {name: environ[held] for name, held in config.variables.items() if held in environ}
        self._variables = {
            **{name: value for name, value in tool_environ().items() if name not in ours},
            "HOME": self._home.user,
            "PATH": f"{self.copy.environment}/bin:{path}" if config.uv else path,
            **given,
            **{name: environ[name] for name in (MARK,) if name in environ},
        }
        self._of_operator = {
            name: value for name, value in environ.items() if _is_for_installers(name) and name not in ours
        }

    def install(self) -> None:
        """Copy the project and install what it needs, unless that was done."""
        try:
            self._install()
        except MachineError as error:
            self._home.note_failure(self._config.inputs, error.message)
            raise
        self._home.forget_failure()

    def _install(self) -> None:
        with self._home.hold():
            self._place_temporary()
            if not self.copy.is_installed():
                _say(f"copying {self._config.project}")
                self.copy.make(self._config.project, self._config.uv)
                if self._config.uv:
                    self._sync()
                self.copy.note_installed()
            self.copy.keep()
            self._home.remove_old(self.copy)

    def _place_temporary(self) -> None:
        """Agents and their installers are killed, and what they leave in /tmp nobody would remove."""
        if "TMPDIR" not in self._config.variables and (folder := self._home.make_temporary()):
            self._variables["TMPDIR"] = folder

    def _sync(self) -> None:
        lock = ["--frozen"] if os.path.exists(f"{self.copy.project}/uv.lock") else []
        self._run([self.copy.uv, "sync", "--no-dev", *lock], "install its dependencies")
        asked = self._run([self._python, "-c", _HAS_LIVEKIT_AGENTS], "look at its environment", may_fail=True)
        if asked == 0:
            self._run([self._python, "-m", "livekit.agents", "download-files"], "fetch the files of its models")

    def _run(self, argv: Sequence[str], what: str, *, may_fail: bool = False) -> int:
        if not may_fail:
            _say(what)
        try:
            code = _run_installer(argv, self.copy.project, self._installing, self._config.uid)
        except subprocess.TimeoutExpired:
            raise MachineError(f"can't {what}: it did not end within {INSTALL_SECONDS // 60} minutes") from None
        except (OSError, subprocess.SubprocessError) as error:
            raise MachineError(f"can't {what}: {getattr(error, 'strerror', None) or error}") from error
        if code and not may_fail:
            raise MachineError(f"can't {what}: {os.path.basename(argv[0])} ended with exit code {code}")
        return code

    @property
    def _installing(self) -> dict[str, str]:
        """The variables of what installs."""
        variables = {
            **self._of_operator,
            **self._variables,
            "UV_PROJECT_ENVIRONMENT": self.copy.environment,
            "UV_CACHE_DIR": f"{self._home.user}/.cache/uv",
            # A Python from elsewhere is fetched only if the spec asks for it.
            "UV_PYTHON_DOWNLOADS": {**self._of_operator, **self._variables}.get("UV_PYTHON_DOWNLOADS", "never"),
            "UV_NO_PROGRESS": "1",
        }
        return {name: value for name, value in variables.items() if name not in _NOT_FOR_BUILDS}

    def start(self) -> tuple[list[str], dict[str, str]]:
        """The command line and the variables of the agent."""
        variables = dict(self._variables)
        if self._config.command:
            return [self._find_program(self._config.command[0]), *self._config.command[1:]], variables
        variables["LKHUB_HEALTH_PORT"] = str(self._config.port)
        return [self._python, self._home.launcher, self._config.entry, "start"], variables

    def _find_program(self, name: str) -> str:
        found = None if "/" in name else shutil.which(name, path=self._variables["PATH"])
        if found is not None:
            return found
        program = os.path.join(self.copy.project, name)
        if not os.access(program, os.X_OK) or os.path.isdir(program):
            raise MachineError(f"the program {name} is neither on the PATH nor in {self.copy.project}")
        return program


_HAS_LIVEKIT_AGENTS = "import importlib.util as u; raise SystemExit(u.find_spec('livekit.agents') is None)"


def _list_unread(environ: Mapping[str, str]) -> list[str]:
    """The variables of certificates that lead where an agent's user can't read."""
    unread = [name for name in _CERTIFICATES if not all(map(can_read, environ.get(name, "/").split(os.pathsep)))]
    for name in unread:
        _say(f"the agent does not get {name}, since its user can't read {environ[name]}")
    return unread


def _is_for_installers(name: str) -> bool:
    # Curl and others read the names of proxies in lower case.
    of_uv = name.startswith(_OF_UV) and not name.startswith(_NOT_OF_INSTALLERS)
    return of_uv or name.upper() in _FOR_INSTALLERS


def _run_installer(argv: Sequence[str], folder: str, variables: Mapping[str, str], uid: int | None) -> int:
    """Run a program to its end, or to the end of this process, and end all that it has started. Returns the exit code.
    This process has no other children."""
    become = None if uid is None else prepare_to_become(uid)
    follow = prepare_to_die_with_parent(signal.SIGKILL)

    def prepare() -> None:
        if become is not None:
            become()
        follow()

    with hold_sigterm() as release:
        installer = subprocess.Popen(
            argv,
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=prepare,  # this process has one thread
        )
        try:
            release()
            return installer.wait(INSTALL_SECONDS)
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(installer.pid, signal.SIGKILL)
            installer.wait()
            end_descendants()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
