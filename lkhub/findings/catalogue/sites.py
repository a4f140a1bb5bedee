"""Codes of web sites (`sites` in the spec)."""

from lkhub.findings.declare import Says, declare


@declare("site-root-unusable", "error")
def site_root_unusable(problem: str) -> Says:
    """A site can't be served from its folder. The subject is the key `root`.

    **Why.** The folder is missing, is a file, has no `index.html`, or the hub may not read it. Or it has more in it
    than the site: the spec, the hub's own files, or a link to somewhere else, which the hub never follows. Or it is
    reached by a link that a user has made to a folder of another one: visitors could get what that user may not read.

    **What to do.** Write the folder with the finished files, such as Vite's `dist`, and not the project's folder.
    Replace a link in it by what it leads to. Instead of a link to it, write the folder that it leads to.
    """
    return Says(problem, "a spec with a fault is not applied, and what runs goes on as it was")


@declare("site-build-failed", "error")
def site_build_failed(site: str, problem: str, served: bool) -> Says:
    """A site was not built. The subject is its name.

    **Why.** The detail has the last lines of its log, which usually say why.

    **What to do.** Mend the project or `build`, then `lkhub up`: it builds the site again. Until then visitors get the
    files of the last build that succeeded, if there was one.

    Where the hub is a service, a unit of its own builds each site; in Docker, a container of its own does. Each asks
    the hub for its work. Where that unit or container does not run, nothing asks, and the build does not begin. It is
    missing where the site was added to the spec later: `lkhub install` writes and starts the units, and
    `lkhub render compose` writes the compose file.

    ```sh
    lkhub logs site-NAME
    lkhub up
    ```
    """
    now = (
        "visitors get what the build before has made" if served else "no build has succeeded yet, so visitors get a 503"
    )
    return Says(f"the site {site} was not built: {problem}", now)


@declare("site-token-ends", "warning", error="once it has ended")
def site_token_ends(site: str, ended: bool, when: str) -> Says:
    """A token that is built into a site is about to end, or has ended. The subject is the site's name.

    **Why.** A token is good until a date that stands in it. Then the page can't join its room.

    **What to do.** `lkhub up` builds the site again, with a new token.

    ```sh
    lkhub up
    ```
    """
    title = f"the token in the site {site} {'ended' if ended else 'ends'} on {when}"
    cause = "a token is built into the site, and is good until then"
    return Says(title, cause)


@declare("site-token-key", "warning", error="once the key is revoked")
def site_token_key(site: str, key: str, revoked: bool) -> Says:
    """A token that is built into a site was signed with an API key that is not the hub's current one. The subject is
    the site's name.

    **Why.** The key was rotated or revoked after the site was built. A token that was signed with a rotated key is good
    until the key is revoked; then the page can't join its room.

    **What to do.** `lkhub up` builds the site again, with a token of the current key. Do it before you revoke the
    earlier one.

    ```sh
    lkhub up
    ```
    """
    was = "has been revoked" if revoked else "is no longer the current one"
    title = f"the token in the site {site} was signed with the key {key}, which {was}"
    cause = "the hub's key was changed after the site was built"
    return Says(title, cause)
