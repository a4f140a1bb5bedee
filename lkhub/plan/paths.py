"""Where the files of a hub are in its state directory. These files are named here alone."""

import hashlib
import re
from dataclasses import dataclass
from urllib.parse import quote

from lkhub.source.path import Path


def name_secret(path: Path) -> str:
    """A name for the secret at this place in the spec, and for its file in the state directory."""
    # Where the spec takes any key, a key may have any characters.
    steps = [str(step + 1) if isinstance(step, int) else quote(step, safe="") for step in path]
    return ".".join(step.replace(".", "%2E") for step in steps)


def name_credential(file: str) -> str:
    """The name by which a service manager passes on a file with a secret. It follows from what the spec says of the
    file alone: whatever else changes in the spec, one secret is never taken for another."""
    whole = file.encode(errors="surrogatepass")  # such a file can't be there, which is said where it is read
    # All that keys of compose files and of Secrets may have.
    plain = re.sub(rb"[^A-Za-z0-9.-]", b"_", whole.rpartition(b"/")[2]).decode()
    return plain if plain == file else f"{plain}-{hashlib.sha256(whole).hexdigest()[:8]}"


_FOR_IMAGE = ".variables"


def is_editable(path: str) -> bool:
    """Whether a rendered file is one that people may want to edit: a configuration, and no secret."""
    return path.endswith((".yaml", ".json"))


def name_edited(path: str, number: int = 1) -> str:
    """Where the text of an edited rendered file is kept, which is then written anew. `number` counts the edits."""
    return f"{path}.edited" + (f"-{number}" if number > 1 else "")


def is_edited(path: str) -> bool:
    """Whether this is a name of `name_edited`."""
    return _EDITED.search(path) is not None


_EDITED = re.compile(r"\.edited(-\d+)?$")


@dataclass(frozen=True)
class StatePaths:
    """Paths below `root`, an absolute directory."""

    root: str

    @property
    def keys(self) -> str:
        """API keys as LiveKit's key_file; the first is the current one."""
        return f"{self.root}/keys.yaml"

    @property
    def managed_keys(self) -> str:
        """Keys that lkhub generated. Kept while the spec names others, so that going back loses nothing."""
        return f"{self.root}/managed-keys.yaml"

    @property
    def identity(self) -> str:
        """What the hub knows itself by, in a database that several hubs can reach."""
        return f"{self.root}/identity"

    @property
    def ring(self) -> str:
        """The record of when the generated keys were made."""
        return f"{self.root}/ring.json"

    @property
    def relay_secret(self) -> str:
        """The secret with which LiveKit makes TURN credentials and the relay checks them."""
        return f"{self.root}/relay.secret"

    def secret(self, path: Path) -> str:
        """The file from which a process reads a secret of the spec. `path` is the secret's place in the spec."""
        match path:
            case ("turn", "external", int(index), "secret"):
                return self.turn_secret(index)
            case ("tls", "account", "mac_key"):
                return self.account_key
        return self.render(f"{name_secret(path)}.secret")

    def turn_secret(self, index: int) -> str:
        """The secret that LiveKit shares with a server of `turn.external`, counted from 0."""
        return self.render(f"turn-{index + 1}.secret")

    @property
    def account_key(self) -> str:
        """The key that proves to the issuer that `tls.account` belongs to this operator."""
        return self.render("account.key")

    @property
    def ca(self) -> str:
        """The hub's own certificate authority."""
        return f"{self.root}/ca"

    @property
    def ca_root(self) -> str:
        """The root certificate of the authority, which devices trust."""
        return f"{self.ca}/root.crt"

    @property
    def ca_key(self) -> str:
        return f"{self.ca}/root.key"

    @property
    def root_change(self) -> str:
        """The record of when and why the root was replaced, for a warning that is shown for a week."""
        return f"{self.ca}/changed.json"

    @property
    def applied(self) -> str:
        """The record of the spec that is in force."""
        return f"{self.root}/applied.json"

    @property
    def dev_spec(self) -> str:
        """The spec of `lkhub up --dev`."""
        return f"{self.root}/dev.yaml"

    @property
    def verified(self) -> str:
        """The result of the last verification of what is running now."""
        return f"{self.root}/verified.json"

    @property
    def outside(self) -> str:
        """Which paths clients on other machines have used."""
        return f"{self.root}/outside.json"

    @property
    def asker(self) -> str:
        """The last program that got a token although it listens for other machines, on a hub for this machine alone."""
        return f"{self.root}/asker.json"

    @property
    def openid(self) -> str:
        """Whether the OpenID provider can be used, as the service last knew it."""
        return f"{self.root}/openid.json"

    @property
    def store_state(self) -> str:
        """Whether the store can be used, as the service last knew it."""
        return f"{self.root}/store.json"

    @property
    def webhooks(self) -> str:
        """What the receivers of webhooks take, as the service last knew it."""
        return f"{self.root}/webhooks.json"

    @property
    def store(self) -> str:
        """The database of the application service, where the spec names no other."""
        return f"{self.root}/store.db"

    @property
    def firewall(self) -> str:
        """The rules that `lkhub firewall apply` added."""
        return f"{self.root}/firewall.json"

    @property
    def router(self) -> str:
        """The port mappings that the router was asked for."""
        return f"{self.root}/router.json"

    @property
    def baked(self) -> str:
        """The tokens that `lkhub token --dotenv` has printed, without the tokens themselves."""
        return f"{self.root}/baked.json"

    @property
    def written(self) -> str:
        """The files of applications that `lkhub env --write` has written."""
        return f"{self.root}/written.json"

    @property
    def agent_key(self) -> str:
        """The API key that agents are started with."""
        return self.render("agent.key")

    @property
    def agent_secret(self) -> str:
        """The secret of that API key."""
        return self.render("agent.secret")

    @property
    def agents(self) -> str:
        """The code and the environments of agents, where they run as the hub's own user."""
        return f"{self.root}/agents"

    def agents_apart(self) -> str:
        """The same, where each agent has a user of its own, which can't enter the state directory: no part of it."""
        return f"{self.root}-agents"

    def agent_home(self, name: str, *, apart: bool) -> str:
        """The code and the environments of one agent. `apart`: it has a user of its own."""
        return f"{self.agents_apart() if apart else self.agents}/{name}"

    @property
    def for_agents(self) -> str:
        """What agents get that a unit or a container of their own runs: a folder for each."""
        return f"{self.root}/for-agents"

    def for_agent(self, name: str) -> str:
        """The folder that one agent can read, and no other. Everything in it is readable by every user who gets so far,
        and nobody else can enter the state directory."""
        return f"{self.for_agents}/{name}"

    def is_for_agent(self, path: str) -> bool:
        """Whether a file, or a folder, is in such a folder or is one."""
        return path.startswith(f"{self.for_agents}/")

    @property
    def for_sites(self) -> str:
        """What the builds of web sites get that a unit or a container of their own runs: a folder for each site."""
        return f"{self.root}/for-sites"

    def for_site(self, name: str) -> str:
        """The folder of one site, with the socket at which the hub gives its builds out. As `for_agent`."""
        return f"{self.for_sites}/{name}"

    def for_image(self, name: str) -> str:
        """What the container of an agent's own image gets, which the operator puts there."""
        return self.render(f"agent-{name}{_FOR_IMAGE}")

    def is_for_image(self, path: str) -> bool:
        """Whether this is such a file."""
        return path.startswith(self.render("agent-")) and path.endswith(_FOR_IMAGE)

    @property
    def backups(self) -> str:
        """What those files held before."""
        return f"{self.root}/backups"

    @property
    def restoring(self) -> str:
        """What `lkhub restore` has unpacked and not put in place yet."""
        return f"{self.root}/restoring"

    @property
    def restore_record(self) -> str:
        """The record of a restore that is being put in place. While it is there, the state directory is no hub yet."""
        return f"{self.root}/restore.json"

    @property
    def before_restore(self) -> str:
        """The hubs that were here before a restore, each in a folder of its own."""
        return f"{self.root}/before-restore"

    @property
    def caddy(self) -> str:
        """Certificates, and what else the edge keeps."""
        return f"{self.root}/caddy"

    @property
    def sites(self) -> str:
        """What is kept of web sites that are built: a folder for each, by its name."""
        return f"{self.root}/sites"

    def site(self, site: str) -> str:
        """What is kept of one of them."""
        return f"{self.sites}/{site}"

    def site_files(self, site: str) -> str:
        """A link to the files of the last build that succeeded."""
        return f"{self.site(site)}/current"

    def site_record(self, site: str) -> str:
        """The record of the last build."""
        return f"{self.site(site)}/build.json"

    @property
    def rendered(self) -> str:
        return f"{self.root}/rendered"

    @property
    def run(self) -> str:
        """Sockets, locks and records of processes; means nothing after a reboot."""
        return f"{self.root}/run"

    @property
    def logs(self) -> str:
        return f"{self.root}/logs"

    @property
    def control(self) -> str:
        """The supervisor's control socket."""
        return f"{self.run}/control.sock"

    @property
    def lock(self) -> str:
        """The lock that the supervisor holds for as long as it lives."""
        return f"{self.run}/lock"

    @property
    def router_lock(self) -> str:
        """The lock of the process that asks the router for something."""
        return f"{self.run}/router.lock"

    def render(self, name: str) -> str:
        return f"{self.rendered}/{name}"

    def socket(self, process: str) -> str:
        return f"{self.run}/{process}.sock"

    def record(self, process: str) -> str:
        """The identity of a process: pid, start time, fingerprint."""
        return f"{self.run}/{process}.json"

    def log(self, process: str) -> str:
        return f"{self.logs}/{process}.log"


STATE_NAMES = frozenset(
    getattr(StatePaths(""), name).split("/")[1] for name, each in vars(StatePaths).items() if isinstance(each, property)
) | {
    # Beside the store: SQLite's own files, and the locks of the processes that lead (lkhub/store/lead.py).
    StatePaths("").store[1:] + suffix
    for suffix in ("-wal", "-shm", "-journal", "-webhooks-lead", "-presets-lead")
}
"""The names of all files and folders that are directly in a state directory."""

_P = StatePaths("")

BACKED_UP = frozenset(
    path[1:]
    for path in (
        *(_P.managed_keys, _P.ring, _P.identity, _P.relay_secret, _P.ca),
        *(_P.caddy, _P.store, _P.baked, _P.written),
    )
)
"""What `lkhub backup` takes of a state directory. All else is written anew by `lkhub up`, or is about this machine."""

OF_THE_MACHINE = frozenset(
    path[1:]
    for path in (
        *(_P.firewall, _P.router, _P.run, _P.logs, _P.backups),
        *(_P.restoring, _P.restore_record, _P.before_restore),
        # Units and containers have it mounted, and would go on to read what was moved away.
        *(_P.for_agents, _P.for_sites),
    )
)
"""What stays where it is when another hub is put into the state directory."""
