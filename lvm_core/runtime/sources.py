"""The code that a stage depends on: every module that its script imports, directly or not, with a hash of each.

A file that lists them is what a stage declares as its dependency, so that an edit re-runs the stages that use what was
edited and no others: an edit to a figure does not retrain.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import sha256_of

PACKAGES = ("lvm_core", "stages")
"""Where the pipeline's own code lies; other packages are pinned in requirements.txt."""

DATA = (".css", ".j2", ".js", ".json", ".yaml")
"""Suffixes of files beside modules that are read by them; editors leave others."""


def stage_scripts(root: Path) -> list[str]:
    """Names of the stages' scripts, sorted."""
    scripts = sorted(path.stem for path in (root / "stages").glob("*.py") if path.stem != "__init__")
    if not scripts:
        raise LvmError("stages: has no scripts; run this in the root of the repository")
    return scripts


def used_files(stage: str, root: Path) -> list[Path]:
    """The files that a stage's script is made of, sorted: itself, the modules it imports, and the data beside them.

    Imports within functions count; those for type checkers do not. `lvm_core/__init__.py` is left out: it only names
    the public API. Other files (a page's template) are used by the modules beside them that name them.
    """
    todo, seen = [root / "stages" / f"{stage}.py", root / "stages/__init__.py"], set[Path]()
    while todo:
        path = todo.pop()
        if path not in seen:
            seen.add(path)
            todo += [file for module in imported_modules(path) for file in _files_of(module, root)]
    data = {
        file
        for path in seen
        for file in path.parent.iterdir()
        if file.suffix in DATA and file.is_file() and file.name in path.read_text()
    }
    return sorted(path.relative_to(root) for path in seen | data)


def listing(files: list[Path], root: Path) -> str:
    """One line a file: hash and path."""
    return "".join(f"{sha256_of(root / file)}  {file.as_posix()}\n" for file in files)


def code_line(stage: str, root: Path) -> str:
    """A comment that names the code of a stage by the hash of its listing in data/sources, for a file that it reads."""
    listed = Path("data/sources") / f"{stage}.txt"
    if not (root / listed).is_file():
        raise LvmError(f"{listed}: is missing; run `dvc repro sources`")
    return f"# Code of stages/{stage}.py ({listed.as_posix()}): {sha256_of(root / listed)}\n"


def imported_modules(path: Path) -> set[str]:
    """Names of the modules of `PACKAGES` that a file imports, and of what it imports from them (module or not)."""
    try:
        return set(_imported_in(path.read_text(encoding="utf-8")))
    except SyntaxError as error:
        raise LvmError(f"{path}: line {error.lineno}: {error.msg}") from None
    except ValueError as error:  # not UTF-8
        raise LvmError(f"{path}: is not Python ({error})") from None


@cache  # most modules are used by most stages
def _imported_in(code: str) -> frozenset[str]:
    nodes = list(ast.walk(ast.parse(code)))
    for_types = {
        inner
        for node in nodes
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import) and node not in for_types:
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node not in for_types:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(name for name in names if name.split(".")[0] in PACKAGES)


def _files_of(module: str, root: Path) -> list[Path]:
    """The file of a module and those of the packages it lies in, other than the outermost."""
    parts = module.split(".")
    bases = [root.joinpath(*parts[:end]) for end in range(2, len(parts) + 1)]
    candidates = [file for base in bases for file in (base.with_suffix(".py"), base / "__init__.py")]
    return [file for file in candidates if file.is_file()]
