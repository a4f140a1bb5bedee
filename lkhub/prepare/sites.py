"""What `prepare` does for web sites: it looks at their folders, and at what they are built from."""

import os
from dataclasses import replace

from msgspec import structs

from lkhub.errors import HubError
from lkhub.findings.catalogue.sites import site_root_unusable
from lkhub.host.files import digest
from lkhub.host.project import DOWNLOADED, digest_project, find_in_project, judge_project
from lkhub.host.site_root import judge_root
from lkhub.plan.installation import Installation
from lkhub.plan.model import Plan, SitePlan
from lkhub.prepare.secrets import list_secret_files
from lkhub.spec.load import LoadedSpec
from lkhub.state.site_build import choose_again, find_site_build


def list_private(loaded: LoadedSpec, spec: str | None, installation: Installation) -> tuple[str, ...]:
    """The absolute paths of files that neither visitors nor builds may read: the spec, whose path is `spec`, the one
    that `lkhub install` or `lkhub restore` has replaced by it, and the files with secrets that it names."""
    named = map(installation.beside_spec, list_secret_files(loaded.spec))
    return tuple(map(os.path.normpath, [*([spec, f"{spec}.before"] if spec else []), *named]))


def judge_sites(loaded: LoadedSpec, plan: Plan, private: tuple[str, ...]) -> None:
    """Add a fault for each site that can't be served from its folder. For `private` see `list_private`."""
    for site in plan.edge.sites if plan.edge else ():
        given = loaded.spec.sites[site.index]
        key = "project" if site.build and given.project is not None else "root"
        try:
            fault = _judge_build(site, key) if site.build else _judge_root(site, plan, private, given.root)
        except HubError as error:
            fault = (error.message, next(iter(error.hints), ""))
        if fault:
            problem, hint = fault
            loaded.add(("sites", site.index, key), site_root_unusable(problem), hint)


def _judge_root(site: SitePlan, plan: Plan, private: tuple[str, ...], given: str) -> tuple[str, str] | None:
    if problem := judge_root(site.root, (plan.paths.root, *private)):
        return f"{given}: {problem}", "write the folder with the site's finished files, such as dist"
    return None


def _judge_build(site: SitePlan, key: str) -> tuple[str, str] | None:
    build = site.build
    if build and (problem := judge_project(build.project, build.skipped, DOWNLOADED)):
        hint = "write the folder with the site's sources, in which the build runs"
        if key == "root":
            hint = "the build runs in the folder that `root` is in; name another one as `project: FOLDER`"
        return f"the project {build.project}: {problem}", hint
    return None


def complete_builds(plan: Plan, private: tuple[str, ...], key: str, now: float, before: Plan | None = None) -> Plan:
    """The plan with what each build depends on, as it is now. `key` is the ID of the hub's current API key. For
    `private` see `list_private`. `before` is an earlier plan of the same spec, whose projects count as unchanged: they
    are read at `up`, and not each time that the machine is looked at. Raises MachineError."""
    edge = plan.edge
    if edge is None or not any(site.build for site in edge.sites):
        return plan
    known = {site.name: site.build.files for site in before.edge.sites if site.build} if before and before.edge else {}
    sites = tuple(_complete(plan, site, private, key, now, known.get(site.name, "")) for site in edge.sites)
    return replace(plan, edge=replace(edge, sites=sites))


def _complete(plan: Plan, site: SitePlan, private: tuple[str, ...], key: str, now: float, known: str) -> SitePlan:
    build = site.build
    if build is None:
        return site
    skipped = (*build.skipped, *find_in_project(build.project, (*build.skipped, *private)))
    files = known or digest_project(build.project, skipped, DOWNLOADED)
    inputs = digest(f"{build.command}\0{build.output}\0{build.variables!r}\0{files}".encode())
    record = find_site_build(plan.paths, site.name)
    if record and not os.path.exists(site.root):  # somebody has removed it
        record = replace(record, served=None)
    again = choose_again(record, inputs, key, now)
    return replace(site, build=structs.replace(build, skipped=skipped, files=files, inputs=inputs, again=again))
