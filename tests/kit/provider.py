"""npm's oidc-provider, a certified OpenID provider, as a process; and a person at its pages."""

import fcntl
import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin

import httpx

from tests.kit.issuer import SigningKey

FOLDER = Path(__file__).parent / "oidc_provider"

# Pages between the provider's first and the way back, at most.
MOST_PAGES = 12


def install() -> None:
    """Install the locked packages, if they are not there."""
    with (FOLDER / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of several test processes one installs
        if not (FOLDER / "node_modules" / "oidc-provider").exists():
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
            subprocess.run(command, cwd=FOLDER, check=True)


@contextmanager
def run_provider(port: int, keys: Sequence[SigningKey], redirect: str) -> Iterator[str]:
    """The provider with these keys, of which the first one signs; its issuer. `redirect` is where it leads back to."""
    settings = {"port": port, "keys": [key.private_jwk() for key in keys], "redirect": redirect}
    command = ["node", "provider.mjs", json.dumps(settings)]
    process = subprocess.Popen(
        command, cwd=FOLDER, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        assert process.stdout
        said = ""
        while "listening" not in said:  # it ends, or listens
            line = process.stdout.readline()
            assert line, f"the provider does not start: {said}"
            said += line
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


async def sign_in(url: str, name: str, redirect: str) -> str:
    """Go through the provider's pages as `name`, from `url` on. Returns the address that it leads back to."""
    async with httpx.AsyncClient(trust_env=False) as browser:
        answer = await browser.get(url)
        for _ in range(MOST_PAGES):
            if answer.is_redirect:
                url = urljoin(str(answer.url), answer.headers["location"])
                if url.startswith(redirect):
                    return url
                answer = await browser.get(url)
                continue
            assert answer.status_code == 200, answer.text
            form = re.search(r'action="([^"]+)"', answer.text)
            prompt = re.search(r'name="prompt" value="(\w+)"', answer.text)
            assert form, answer.text
            assert prompt, answer.text
            fields = {"prompt": prompt[1], "login": name, "password": "any"}
            answer = await browser.post(urljoin(str(answer.url), form[1]), data=fields)
    raise AssertionError("the provider does not lead back")
