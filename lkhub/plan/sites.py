"""The web sites of a hub: where the edge serves each of them, and which of these places are taken."""

from collections.abc import Iterator

from lkhub.findings.catalogue.spec import key_missing, key_unused, keys_conflict, value_wrong
from lkhub.findings.finding import Edit
from lkhub.plan.installation import Installation
from lkhub.plan.model import EdgePlan, SitePlan, as_host
from lkhub.spec.load import LoadedSpec
from lkhub.spec.sites import Site
from lkhub.spec.types import TlsMode


def plan_sites(loaded: LoadedSpec, installation: Installation, mode: TlsMode) -> tuple[SitePlan, ...]:
    """The sites of a hub with this mode of TLS. Faults are added to `loaded`."""
    for index, site in enumerate(loaded.spec.sites):
        _check_place(loaded, index, site, mode)
        _check_names(loaded, index, site)
    return tuple(_plan(index, site, installation) for index, site in enumerate(loaded.spec.sites))


def _plan(index: int, site: Site, installation: Installation) -> SitePlan:
    root = installation.beside_spec(site.root)
    return SitePlan(index, site.name, root, site.port, site.domain, site.csp)


def _check_place(loaded: LoadedSpec, index: int, site: Site, mode: TlsMode) -> None:
    """Faults of `port` and `domain` that the mode of TLS leaves no use for."""
    path = ("sites", index)
    is_broken = loaded.is_broken((*path, "port")) or loaded.is_broken((*path, "domain"))
    if site.port is None and site.domain is None and not is_broken:
        hint = "write port: 3001 beside it" if mode != "external" else "write domain: NAME beside it"
        loaded.add((*path, "name"), key_missing("the site has neither a port nor a name of its own"), hint)
    if mode == "off":
        conflict = keys_conflict("sites are served over TLS, and this hub has none")
        hint = "write tls.mode: internal; with reach: local also tls.listen: 8443, where 443 is not this user's"
        loaded.add((*path, "name"), conflict, hint, Edit("tls.mode", "internal"))
    if mode == "external" and site.port is not None:
        unused = key_unused("mode external has no certificate for a port of its own: the proxy ends TLS")
        loaded.add((*path, "port"), unused, "write domain: NAME instead, a name that the proxy passes on to the hub")
    if mode == "tailscale" and site.domain is not None:
        conflict = keys_conflict("a node of a tailnet has one name, and no certificate for another")
        loaded.add((*path, "domain"), conflict, "write port: 3001 instead")


def _check_names(loaded: LoadedSpec, index: int, site: Site) -> None:
    spec = loaded.spec
    earlier = spec.sites[:index]
    if any(other.name == site.name for other in earlier):
        loaded.add(("sites", index, "name"), value_wrong("another site has this name too"), "give it another name")
    if site.domain is None:
        return
    if site.domain == spec.domain:
        problem, hint = "this is the hub's own name", "leave it out and write port: 3001, or write another name"
        loaded.add(("sites", index, "domain"), value_wrong(problem), hint)
    elif site.domain == spec.turn.domain:
        loaded.add(("sites", index, "domain"), value_wrong("this is the name of turn.domain"), "write another name")
    elif any(other.domain == site.domain for other in earlier):
        loaded.add(("sites", index, "domain"), value_wrong("another site has this domain too"), "write another name")


def site_origins(edge: EdgePlan, site: SitePlan) -> tuple[str, ...]:
    """Where a site is reached, as `https://HOST[:PORT]`: at its own name first."""
    return tuple(_list_origins(edge, site))


def _list_origins(edge: EdgePlan, site: SitePlan) -> Iterator[str]:
    if site.domain:
        port = "" if edge.tls.mode == "external" or edge.port == 443 else f":{edge.port}"
        yield f"https://{site.domain}{port}"
    if site.port:
        yield f"https://{as_host(edge.names[0])}:{site.port}"
