"""The Python that users have: the one of their machine's distribution.

It was compiled with profiles of what it runs. Other Pythons often were not, such as those that pyenv compiles: they
take a third longer for a token.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DISTRIBUTION = "/usr/bin/python3"
_SUPPORTED = "import sys; sys.exit(sys.version_info < (3, 11))"
_VERSION = "import platform; print(platform.python_version())"


def find_python() -> str:
    """The distribution's, if lkhub runs on it, else this one."""
    try:
        found = subprocess.run([DISTRIBUTION, "-c", _SUPPORTED]).returncode == 0
    except FileNotFoundError:
        found = False
    return DISTRIBUTION if found else sys.executable


def describe_python(python: str) -> str:
    """Its version, and whose it is."""
    version = subprocess.run([python, "-c", _VERSION], check=True, capture_output=True, text=True).stdout.strip()
    return f"{version} {'of the distribution' if python == DISTRIBUTION else 'that is not of the distribution'}"


def make_environment(folder: Path, requirements: Path) -> Path:
    """A virtual environment with these packages and lkhub's source. Returns its folder of programs."""
    subprocess.run([find_python(), "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin/python"
    install = ["-m", "pip", "--python", str(python), "install", "--quiet", "-r", str(requirements)]
    subprocess.run([sys.executable, *install], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "lkhub.pth").write_text(f"{ROOT}\n")
    return folder / "bin"
