"""Files larger than memory: what an import keeps in memory does not grow with the vectors (real processes)."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.forms import set_data
from tests.large_npz import DIMENSION, write_windows
from tests.paths import ROOT
from tests.processes import finish, fork, stage_code

pytestmark = pytest.mark.xdist_group("forked")

STAGE = """
import re, runpy, sys
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__")
# not ru_maxrss, which counts what the parent had in memory when it forked
print("peak MB", int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024)
"""


@pytest.mark.parametrize(
    ("windows", "compression", "limit"),
    [
        pytest.param(30_000, zipfile.ZIP_STORED, 450, id="0.5 GB"),
        pytest.param(220_000, zipfile.ZIP_STORED, 1000, id="4 GB", marks=pytest.mark.soak),
        pytest.param(220_000, zipfile.ZIP_DEFLATED, 1000, id="4 GB compressed", marks=pytest.mark.soak),
    ],
)
def test_peak_memory_of_an_import(tmp_path, windows, compression, limit):
    write_windows(tmp_path / "w.npz", windows, compression)
    set_data(tmp_path, "w.npz", None)
    size = windows * 6 * DIMENSION * 4 / 2**20
    peak = peak_of_stage("stages.import_vectors", tmp_path)
    for path in (tmp_path / "w.npz", tmp_path / "data/imported/vectors.npy"):
        path.unlink(missing_ok=True)
    print(f"{size:.0f} MB of vectors, peak {peak:.0f} MB")
    assert peak < limit < size


def write_table(path: Path, rows: int) -> int:
    """A table whose rows are one group, as pandas writes up to a million of them; the megabytes of its vectors."""
    vectors = np.random.default_rng(0).standard_normal((rows, DIMENSION), dtype=np.float32)
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), DIMENSION)
    ids = [pa.array(np.arange(rows) // 50), pa.array(np.arange(rows) % 50)]
    table = pa.table([*ids, lists], names=["article_id", "chunk_index", "vector"])
    pq.write_table(table, path, row_group_size=rows, use_dictionary=False, compression="none")
    return int(vectors.nbytes / 2**20)


@pytest.mark.soak
def test_a_table_of_one_group_of_rows_is_not_read_as_a_whole(tmp_path):
    """Measured: 0.2, 0.4, 0.9, 1.5 GB take 450, 460, 440, 530 MB."""
    size = write_table(tmp_path / "t.parquet", 250_000)
    set_data(tmp_path, "t.parquet", None)
    peak = peak_of_stage("stages.import_vectors", tmp_path)
    for path in (tmp_path / "t.parquet", tmp_path / "data/imported/vectors.npy"):
        path.unlink()
    print(f"{size} MB of vectors, peak {peak:.0f} MB")
    assert peak < 600 < size


def test_the_library_that_reads_tables_never_has_one_group_of_rows_in_memory(tmp_path):
    size = write_table(tmp_path / "t.parquet", 20_000)
    set_data(tmp_path, "t.parquet", None)
    small_parts = "import lvm_core.importers.parquet as parquet, pyarrow; parquet.BATCH = 512; "
    code = small_parts + stage_code(["stages.import_vectors"]) + "; print(pyarrow.default_memory_pool().max_memory())"
    peak = int(finish(fork(code, tmp_path)).splitlines()[-1]) / 2**20
    print(f"{size} MB of vectors, peak {peak:.0f} MB")
    assert peak < size / 2


def peak_of_stage(stage: str, folder: Path) -> float:
    """MB in memory at the most while a stage ran in a folder."""
    done = subprocess.run(
        [sys.executable, "-c", STAGE, stage],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return float(done.stdout.split("peak MB")[1])
