"""Codes of web sites (`sites` in the spec)."""

from lkhub.findings.declare import Says, declare


@declare("site-root-unusable", "error")
def site_root_unusable(problem: str) -> Says:
    """A site can't be served from its folder. The subject is the key `root`.

    **Why.** The folder is missing, is a file, has no `index.html`, or the hub may not read it. Or it has more in it
    than the site: the spec, the hub's own files, or a link to somewhere else, which the hub never follows.

    **What to do.** Write the folder with the finished files, such as Vite's `dist`, and not the project's folder.
    Replace a link by what it leads to.
    """
    return Says(problem, "a spec with a fault is not applied, and what runs goes on as it was")
