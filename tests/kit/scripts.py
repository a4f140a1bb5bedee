"""The project's own scripts, as tests call them."""

import importlib.util
from functools import cache
from types import ModuleType

from tests.documents import ROOT


@cache
def load_script(name: str) -> ModuleType:
    """The module `scripts/NAME.py`."""
    described = importlib.util.spec_from_file_location(f"lkhub_{name}", ROOT / f"scripts/{name}.py")
    assert described
    assert described.loader
    module = importlib.util.module_from_spec(described)
    described.loader.exec_module(module)
    return module
