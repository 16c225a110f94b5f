"""Write down what code each stage is made of, so that an edit re-runs the stages that use it: data/sources/."""

from __future__ import annotations

from pathlib import Path

from lvm_core.runtime.cli import run_stage
from lvm_core.runtime.files import atomic_directory
from lvm_core.runtime.sources import listing, stage_scripts, used_files


def main() -> None:
    """One file a stage script: hash and path of every module that it uses."""
    root = Path()
    scripts = stage_scripts(root)
    with atomic_directory("data/sources") as directory:
        for script in scripts:
            (directory / f"{script}.txt").write_text(listing(used_files(script, root), root), encoding="utf-8")
    print(f"sources: {len(scripts)} stage scripts")


if __name__ == "__main__":
    run_stage(main)
