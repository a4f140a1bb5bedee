"""Where everything of a hub lives inside its state directory. The one place that names these files."""

from dataclasses import dataclass
from urllib.parse import quote

from lkhub.source.located import Path


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
    def relay_secret(self) -> str:
        """What LiveKit and the relay share to make and check TURN credentials."""
        return f"{self.root}/relay.secret"

    def secret(self, path: Path) -> str:
        """A secret of the spec, by its place there, as a process reads it."""
        match path:
            case ("turn", "external", int(index), "secret"):
                return self.turn_secret(index)
            case ("tls", "account", "mac_key"):
                return self.account_key
        # A key of the spec may have any characters where the spec takes any keys.
        steps = [str(step + 1) if isinstance(step, int) else quote(step, safe="") for step in path]
        return self.render(".".join(step.replace(".", "%2E") for step in steps) + ".secret")

    def turn_secret(self, index: int) -> str:
        """What LiveKit shares with one of `turn.external`, counted from 0."""
        return self.render(f"turn-{index + 1}.secret")

    @property
    def account_key(self) -> str:
        """What proves to the issuer of the certificate that `tls.account` is ours."""
        return self.render("account.key")

    @property
    def ca(self) -> str:
        """The hub's own certificate authority."""
        return f"{self.root}/ca"

    @property
    def ca_root(self) -> str:
        """Its root, which devices trust."""
        return f"{self.ca}/root.crt"

    @property
    def ca_key(self) -> str:
        return f"{self.ca}/root.key"

    @property
    def root_change(self) -> str:
        """When and why the root became another one, until people were told how to trust it."""
        return f"{self.ca}/changed.json"

    @property
    def applied(self) -> str:
        """The record of the spec that is in force."""
        return f"{self.root}/applied.json"

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
        """The program that listens for others and was given a token last, on a hub for this machine alone."""
        return f"{self.root}/asker.json"

    @property
    def firewall(self) -> str:
        """The rules that `lkhub firewall apply` added."""
        return f"{self.root}/firewall.json"

    @property
    def router(self) -> str:
        """The port mappings that the router was asked for."""
        return f"{self.root}/router.json"

    @property
    def caddy(self) -> str:
        """Certificates, and what else the edge keeps."""
        return f"{self.root}/caddy"

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
        """Held by the supervisor for as long as it lives."""
        return f"{self.run}/lock"

    @property
    def router_lock(self) -> str:
        """Held by whoever asks the router for something."""
        return f"{self.run}/router.lock"

    def render(self, name: str) -> str:
        return f"{self.rendered}/{name}"

    def socket(self, process: str) -> str:
        return f"{self.run}/{process}.sock"

    def record(self, process: str) -> str:
        """Who the process is: pid, start time, fingerprint."""
        return f"{self.run}/{process}.json"

    def log(self, process: str) -> str:
        return f"{self.logs}/{process}.log"
