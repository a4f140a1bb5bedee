"""The web sites of a hub: where the edge serves each of them, and which of these places are taken."""

import posixpath
from collections.abc import Iterator
from dataclasses import replace

from lkhub.findings.catalogue.choices import site_build_not_apart, site_token_shared
from lkhub.findings.catalogue.spec import key_missing, key_unused, keys_conflict, value_wrong
from lkhub.findings.finding import Edit, Finding, Fix
from lkhub.plan.installation import AgentsRun, Installation
from lkhub.plan.model import EdgePlan, SitePlan, Urls, as_host
from lkhub.plan.users import choose_uid
from lkhub.shown import printable
from lkhub.spec.access import PARTICIPANT
from lkhub.spec.load import LoadedSpec, suggest
from lkhub.spec.sites import BuiltToken, HubUrl, Site
from lkhub.spec.types import TlsMode
from lkhub.wire.application import Access
from lkhub.wire.site_build import Builder, MadeToken, SiteBuild, SiteVariable

# As long as a front end is usually not built anew.
TOKEN_TTL_SECONDS = 30 * 86400


def plan_sites(loaded: LoadedSpec, installation: Installation, mode: TlsMode) -> tuple[SitePlan, ...]:
    """The sites of a hub with this mode of TLS. Faults are added to `loaded`."""
    for index, site in enumerate(loaded.spec.sites):
        _check_place(loaded, index, site, mode)
        _check_names(loaded, index, site)
        _check_build(loaded, index, site)
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


def _check_build(loaded: LoadedSpec, index: int, site: Site) -> None:
    if site.build is None:
        # A command that is given but wrong has a fault of its own.
        for key in ("project", "env") if not loaded.is_broken(("sites", index, "build")) else ():
            if getattr(site, key):
                unused = key_unused("only a build uses it, and this site has none")
                loaded.add(("sites", index, key), unused, "write build: COMMAND beside it, or leave this out")
    elif not _is_below(site.root, project_of(site)):
        problem = value_wrong("not in the project: the build runs in a copy of the project, and makes the files there")
        loaded.add(("sites", index, "root"), problem, "write a folder in the project, such as dist")
    roles = loaded.spec.access.roles
    for name, value in site.env.items():
        if isinstance(value, BuiltToken) and value.role not in ("", PARTICIPANT, *roles):
            problem = value_wrong(f"there is no role {printable(value.role)}")
            loaded.add(("sites", index, "env", name), problem, suggest(value.role, [PARTICIPANT, *roles]))


def project_of(site: Site) -> str:
    """The folder that a site is built from, as the spec writes it."""
    return site.project if site.project is not None else posixpath.dirname(posixpath.normpath(site.root)) or "."


def _is_below(path: str, folder: str) -> bool:
    """Whether `path` is in `folder`. Both start from the spec's folder if they are relative."""
    path, folder = (posixpath.normpath(posixpath.join("/spec", each)) for each in (path, folder))
    return path.startswith(folder.rstrip("/") + "/")


def plan_builds(loaded: LoadedSpec, edge: EdgePlan, urls: Urls, access: Access, installation: Installation) -> EdgePlan:
    """The edge with sites that are built: it serves what the last build has made, in the state directory."""
    given = loaded.spec.sites
    sites = [_plan_build(site, given[site.index], urls, access, installation) for site in edge.sites]
    return replace(edge, sites=tuple(sites))


def _plan_build(site: SitePlan, given: Site, urls: Urls, access: Access, installation: Installation) -> SitePlan:
    if given.build is None:
        return site
    paths, root = installation.paths, posixpath.normpath(site.root)
    project = posixpath.normpath(installation.beside_spec(project_of(given)))
    builder = _BUILDERS.get(installation.agents, "")
    build = SiteBuild(
        name=site.name,
        command=given.build,
        project=project,
        output=posixpath.relpath(root, project),
        variables=tuple(_plan_variable(name, value, urls, access) for name, value in given.env.items()),
        # The output of another build, and what is no part of a site. The state directory has the hub's keys.
        skipped=(root, f"{project}/.git", paths.root),
        state=paths.root,
        uid=None if builder else _choose_user(site.name, installation),
        given=paths.for_site(site.name) if builder else "",
        builder=builder,
    )
    return replace(site, root=paths.site_files(site.name), build=build)


# What asks the hub for the build of a site. A pod has nothing that does (ADR 0023).
_BUILDERS: dict[AgentsRun, Builder] = {"apart": "unit", "containers": "container"}


def _choose_user(site: str, installation: Installation) -> int | None:
    is_root = installation.user == "root"
    return choose_uid(installation.paths.site(site), low=installation.low_uids) if is_root else None


def _plan_variable(name: str, value: str | BuiltToken | HubUrl, urls: Urls, access: Access) -> SiteVariable:
    match value:
        case HubUrl(which):
            return SiteVariable(name, text=getattr(urls, which))
        case BuiltToken():
            allows = access.roles.get(value.role) if value.role else None
            ttl = value.ttl or (allows.ttl if allows else TOKEN_TTL_SECONDS)
            opens = access.create == "operator"
            token = MadeToken(value.room, value.identity, value.name, int(ttl), value.role, allows, opens)
            return SiteVariable(name, token=token)
    return SiteVariable(name, text=value)


def list_notes(edge: EdgePlan) -> Iterator[Finding]:
    """A note for each site that makes all of its visitors one participant, and a warning for each whose build is not
    kept from the hub's own files."""
    yield from (
        site_token_shared(site.name, token.identity, token.room).about(f"sites[{site.index}].env")
        for site in edge.sites
        if site.build
        for token in site.build.tokens
    )
    for site in edge.sites:
        if site.build and not site.build.apart:
            yield site_build_not_apart(site.name).about(site.name, fix=(_BUILD_ELSEWHERE,))


_BUILD_ELSEWHERE = Fix("build it elsewhere, and give the finished files as `root`, without `build`")


def site_origins(edge: EdgePlan, site: SitePlan) -> tuple[str, ...]:
    """Where a site is reached, as `https://HOST[:PORT]`: at its own name first."""
    return tuple(_list_origins(edge, site))


def _list_origins(edge: EdgePlan, site: SitePlan) -> Iterator[str]:
    if site.domain:
        port = "" if edge.tls.mode == "external" or edge.port == 443 else f":{edge.port}"
        yield f"https://{site.domain}{port}"
    if site.port:
        yield f"https://{as_host(edge.names[0])}:{site.port}"
