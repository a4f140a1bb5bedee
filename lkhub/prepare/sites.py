"""What `prepare` does for web sites: it looks at their folders."""

from lkhub.findings.catalogue.sites import site_root_unusable
from lkhub.host.site_root import judge_root
from lkhub.plan.model import Plan
from lkhub.spec.load import LoadedSpec


def judge_sites(loaded: LoadedSpec, plan: Plan, spec: str | None) -> None:
    """Add a fault for each site that can't be served from its folder. `spec` is the absolute path of the spec, which
    may hold secrets."""
    for site in plan.edge.sites if plan.edge else ():
        private = (plan.paths.root, *([spec] if spec else []))
        if problem := judge_root(site.root, private):
            given = loaded.spec.sites[site.index].root
            hint = "write the folder with the site's finished files, such as dist"
            loaded.add(("sites", site.index, "root"), site_root_unusable(f"{given}: {problem}"), hint)
