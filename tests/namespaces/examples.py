"""The examples, set up on the hub's machine as their READMEs say, and the people who use their pages."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page

from tests.documents import ROOT
from tests.kit.guide import Desk
from tests.waiting import wait_until

_HEARS = """
async () => {
  let energy = 0;
  for (const connection of window.connections)
    for (const report of (await connection.getStats()).values())
      if (report.type === 'inbound-rtp' && report.kind === 'audio') energy += report.totalAudioEnergy ?? 0;
  return energy;
}
"""


def copy_example(name: str, desk: Desk) -> None:
    """The example in the desk's folder. Its packages for the browser are those of lkhub's front end."""
    shutil.copytree(ROOT / "examples" / name, desk.folder, dirs_exist_ok=True)
    (desk.folder / "node_modules").symlink_to(ROOT / "web/node_modules")


def digest_files(folder: Path) -> dict[str, str]:
    """The content of the folder's visible files, without what programs keep there."""
    files = [path for path in folder.rglob("*") if path.is_file() and "node_modules" not in path.parts]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if not {"state", ".bin", "__pycache__"} & set(path.relative_to(folder).parts) and path.name != ".variables"
    }


@contextmanager
def run_program(desk: Desk, arguments: Sequence[str], url: str) -> Iterator[None]:
    """A Python program of the example, until it answers at `url` on the desk's machine."""
    command = [*desk.prefix, sys.executable, *arguments]
    with subprocess.Popen(command, cwd=desk.folder, stdin=subprocess.DEVNULL) as program:
        try:
            asked = [*desk.prefix, "curl", "--silent", "--fail", "--output", "/dev/null", url]

            def answers() -> bool:
                assert program.poll() is None, "it has ended"
                return subprocess.run(asked, check=False).returncode == 0

            wait_until(answers, f"{url} answers")
            yield
        finally:
            program.terminate()


def wait_seen_and_heard(page: Page, identity: str) -> None:
    """Until the page shows moving pictures of a person, and plays sound."""
    video = f"video[data-identity='{identity}']"
    wait_until(
        lambda: page.evaluate(f'() => (document.querySelector("{video}")?.videoWidth ?? 0) > 0'),
        f"the picture of {identity}",
    )
    began = page.evaluate(f'() => document.querySelector("{video}").currentTime')
    wait_until(
        lambda: page.evaluate(f'() => document.querySelector("{video}").currentTime') > began,
        f"moving pictures of {identity}",
    )
    wait_heard(page, identity)


def wait_heard(page: Page, identity: str) -> None:
    """Until the page of a call of two plays the other person's sound."""
    silent = page.evaluate(_HEARS)
    wait_until(lambda: page.evaluate(_HEARS) > silent, f"the sound of {identity}")


def take_camera(page: Page) -> None:
    """From now on the page finds a microphone, and no camera."""
    page.evaluate(
        """() => {
          const devices = navigator.mediaDevices;
          const original = devices.getUserMedia.bind(devices);
          const refuse = () => Promise.reject(new Error('no camera'));
          devices.getUserMedia = (wanted) => (wanted.video ? refuse() : original(wanted));
        }"""
    )
