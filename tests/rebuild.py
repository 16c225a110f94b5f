"""The quick profile in two empty folders, under different surroundings: `python -m tests.rebuild`; same bytes?"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.faults.project import differences, make_project, results
from tests.shell import environment

QUICK = {"profile": "quick", "names": ["p1", "p5", "contrast"], "train": {"seeds": [43]}}
"""Every stage runs: also reversed articles, a second seed, the ladder and the calibrations."""

PLAIN = {"TZ": "UTC", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}
ODD = {
    **{"TZ": "Pacific/Kiritimati", "LC_ALL": "POSIX", "LANG": "tr_TR.UTF-8", "PYTHONHASHSEED": "4242"},
    **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "7"),
    **{"OMP_DYNAMIC": "TRUE", "OMP_MAX_ACTIVE_LEVELS": "0", "MKL_DYNAMIC": "TRUE", "OMP_SCHEDULE": "dynamic,1"},
    **{"TOKENIZERS_PARALLELISM": "true", "COLUMNS": "43"},
}
"""Surroundings that must not matter."""


def rebuild(folder: Path, surroundings: Mapping[str, str]) -> dict[str, str]:
    """Build the quick profile from nothing in a folder; hashes of all outputs, see `results`.

    Raises:
        subprocess.CalledProcessError: it fails.
    """
    make_project(folder, QUICK)
    variables = environment() | dict(surroundings) | {"PYTHONPATH": str(folder)}
    subprocess.run(["dvc", "repro", "--quiet"], cwd=folder, env=variables, check=True)
    return results(folder)


def main() -> int:
    """Build twice, compare, and print what came of it; the exit code."""
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        first = rebuild(place / "plain", PLAIN)
        print(f"rebuild: {len(first)} outputs in a plain folder", flush=True)
        far = place / "a much longer path, with blanks" / "and ümläuts"
        far.mkdir(parents=True)
        second = rebuild(far / "odd", ODD)
    wrong = differences(first, second)
    print("\n".join(f"differs: {name}" for name in wrong))
    print(f"2 rebuilds of {len(first)} outputs: {len(first) - len(wrong)} identical, {len(wrong)} different")
    return 1 if wrong or not first else 0


if __name__ == "__main__":
    sys.exit(main())
