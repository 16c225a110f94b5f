"""The modules of lvm_core that a stage really uses: the transitive closure of its imports, read from the source."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def _module_file(module: str) -> Path | None:
    base = ROOT / Path(*module.split("."))
    if base.with_suffix(".py").is_file():
        return base.with_suffix(".py")
    return base / "__init__.py" if (base / "__init__.py").is_file() else None


def _imported(path: Path) -> set[str]:
    names: set[str] = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    type_checking = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in type_checking:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in names if name.split(".")[0] in ("lvm_core", "stages")}


def used_files(stage: str) -> set[str]:
    """Repository paths of the stage script and of every lvm_core file it imports, directly or not.

    The package's own `__init__.py` is left out: it only names the public API.
    """
    todo = [ROOT / "stages" / f"{stage}.py"]
    seen: set[Path] = set()
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        for module in _imported(path):
            parts = module.split(".")
            for end in range(2, len(parts) + 1):
                found = _module_file(".".join(parts[:end]))
                if found:
                    todo.append(found)
    return {path.relative_to(ROOT).as_posix() for path in seen}
