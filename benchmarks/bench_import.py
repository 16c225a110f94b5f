"""Importing a 2 GB NPZ of windows: against reading the file whole."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.report import Line, at_most, for_information
from benchmarks.subprocesses import run_fresh
from benchmarks.timing import in_turn
from tests.forms import set_data
from tests.large_npz import DIMENSION, write_windows

WINDOWS = 110_000
"""Of 6 x 768 float32: 2 GB."""
FOLD = """
import runpy, sys
sys.argv = ["stages.import_vectors"]
runpy.run_module("stages.import_vectors", run_name="__main__")
"""
WHOLE = """
import numpy as np
with np.load("windows.npz") as file:
    contexts, targets = file["context_sequences"], file["target_vectors"]
"""


def measure(quick: bool) -> Iterator[Line]:
    """All lines; `quick` for a tenth of the windows and one round."""
    windows, rounds = (WINDOWS // 10, 1) if quick else (WINDOWS, 3)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_windows(folder / "windows.npz", windows, zipfile.ZIP_STORED)
        set_data(folder, "windows.npz", None)
        peaks = {"fold": 0.0, "whole": 0.0}

        def fold() -> None:
            peaks["fold"] = run_fresh(FOLD, folder).peak_mb

        def whole() -> None:
            peaks["whole"] = run_fresh(WHOLE, folder).peak_mb

        timed = in_turn(fold, whole, rounds)
    size = windows * 6 * DIMENSION * 4 / 2**30
    yield for_information(
        f"importing a {size:.1f} GB NPZ: time",
        timed.ratio,
        "the whole import (rows folded to chunks, checked, hashed, written), over reading both arrays",
        f"{timed.first:.1f} s against {timed.second:.1f} s, each in a fresh process",
    )
    yield at_most(
        f"importing a {size:.1f} GB NPZ: memory",
        peaks["fold"] / peaks["whole"],
        0.5,
        "peak resident memory of the import over that of reading both arrays",
        f"{peaks['fold']:.0f} MB against {peaks['whole']:.0f} MB",
    )
