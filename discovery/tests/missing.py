"""Packages that count as not installed, in a process that a test starts."""

from pathlib import Path

_FINDER = """
import sys

class Missing:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.split(".")[0] == "{package}":
            raise ModuleNotFoundError("No module named '{package}'", name="{package}")

sys.meta_path.insert(0, Missing)
"""


def without(package: str, folder: Path) -> Path:
    """A new folder in `folder`, for the begin of PYTHONPATH, with which `package` cannot be imported."""
    path = folder / "without"
    path.mkdir()
    (path / "sitecustomize.py").write_text(_FINDER.format(package=package))
    return path
