"""The quick profile in two empty folders, under different surroundings: `python -m tests.rebuild`; same bytes?"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
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


def rebuild(name: str, folder: Path, surroundings: Mapping[str, str]) -> dict[str, str]:
    """Build the quick profile from nothing in a folder; hashes of all outputs, see `results`.

    Args:
        name: before every line of progress.
        folder: of the project, to be made.
        surroundings: variables of the environment.

    Raises:
        subprocess.CalledProcessError: it fails (its output is printed).
    """
    make_project(folder, QUICK)
    variables = environment() | dict(surroundings) | {"PYTHONPATH": str(folder)}
    said = []
    with subprocess.Popen(
        ["dvc", "repro"], cwd=folder, env=variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        for line in process.stdout or ():
            said.append(line)
            if line.startswith("Running stage"):
                print(f"rebuild {name}: {line.strip().removesuffix(':')}", flush=True)
    if process.returncode:
        print("".join(said[-40:]), flush=True)
        raise subprocess.CalledProcessError(process.returncode, "dvc repro")
    return results(folder)


def main() -> int:
    """Build twice, side by side, compare, and print what came of it; the exit code."""
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(2) as pool:
        place = Path(temporary)
        far = place / "a much longer path, with blanks" / "and ümläuts"
        far.mkdir(parents=True)
        first, second = pool.map(rebuild, ("plain", "odd"), (place / "plain", far / "odd"), (PLAIN, ODD))
    wrong = differences(first, second)
    print("\n".join(f"differs: {name}" for name in wrong))
    print(f"2 rebuilds of {len(first)} outputs: {len(first) - len(wrong)} identical, {len(wrong)} different")
    return 1 if wrong or not first else 0


if __name__ == "__main__":
    sys.exit(main())
