"""What an installed package needs beside its modules is declared."""

from __future__ import annotations

import tomllib

from tests.paths import ROOT


def test_every_file_that_is_no_module_is_package_data():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    there: dict[str, list[str]] = {}
    for path in sorted((ROOT / "lvm_core").rglob("*")):
        if path.is_file() and path.suffix not in (".py", ".pyc"):
            there.setdefault(".".join(path.parent.relative_to(ROOT).parts), []).append(path.name)
    assert {package: sorted(names) for package, names in declared.items()} == there
