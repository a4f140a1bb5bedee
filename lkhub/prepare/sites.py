"""What `prepare` does for web sites: it looks at their folders, and at what they are built from."""

import os
from dataclasses import replace

from lkhub.findings.catalogue.choices import site_build_not_apart
from lkhub.findings.catalogue.sites import site_root_unusable
from lkhub.host.files import digest
from lkhub.host.project import digest_project, judge_project
from lkhub.host.site_root import judge_root
from lkhub.plan.model import Plan, SitePlan
from lkhub.spec.load import LoadedSpec
from lkhub.state.site_build import choose_again, find_site_build


def judge_sites(loaded: LoadedSpec, plan: Plan, spec: str | None) -> None:
    """Add a fault for each site that can't be served from its folder. `spec` is the absolute path of the spec, which
    may hold secrets."""
    for site in plan.edge.sites if plan.edge else ():
        if site.build:
            _judge_build(loaded, site)
            continue
        private = (plan.paths.root, *([spec] if spec else []))
        if problem := judge_root(site.root, private):
            given = loaded.spec.sites[site.index].root
            hint = "write the folder with the site's finished files, such as dist"
            loaded.add(("sites", site.index, "root"), site_root_unusable(f"{given}: {problem}"), hint)


def _judge_build(loaded: LoadedSpec, site: SitePlan) -> None:
    build = site.build
    if build and (problem := judge_project(build.project, build.skipped)):
        key = "root" if loaded.spec.sites[site.index].project is None else "project"
        hint = "write the folder with the site's sources, in which the build runs"
        statement = site_root_unusable(f"the project {build.project}: {problem}")
        loaded.add(("sites", site.index, key), statement, hint)


def complete_builds(plan: Plan, spec: str | None, key: str, now: float, *, apart: bool) -> Plan:
    """The plan with what each build depends on, as it is now. `key` is the ID of the hub's current API key; `spec` is
    the absolute path of the spec, which no build is to read. `apart`: builds run as another user. Raises
    MachineError."""
    edge = plan.edge
    built = [site.name for site in edge.sites if site.build] if edge else []
    if edge is None or not built:
        return plan
    findings = plan.findings
    if not apart:
        findings += tuple(site_build_not_apart(name).about(name) for name in built)
    sites = tuple(_complete(plan, site, spec, key, now) for site in edge.sites)
    return replace(plan, edge=replace(edge, sites=sites), findings=findings)


def _complete(plan: Plan, site: SitePlan, spec: str | None, key: str, now: float) -> SitePlan:
    build = site.build
    if build is None:
        return site
    skipped = (spec,) if spec else ()
    files = digest_project(build.project, (*build.skipped, *skipped))
    inputs = digest(f"{build.command}\0{build.output}\0{build.variables!r}\0{files}".encode())
    record = find_site_build(plan.paths, site.name)
    if record and not os.path.exists(site.root):  # somebody has removed it
        record = replace(record, served=None)
    again = choose_again(record, inputs, key, now)
    return replace(site, build=build.of(inputs, again, skipped))
