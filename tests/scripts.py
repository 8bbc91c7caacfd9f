"""Loads what lies in `packaging/`, which is no package."""

import importlib.util
from pathlib import Path
from types import ModuleType


def script(name: str) -> ModuleType:
    """Return the module of a file in `packaging/`."""
    path = Path(__file__).parent.parent / "packaging" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
