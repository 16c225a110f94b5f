"""What the surroundings of a run may not change, and what is recorded where they do."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lvm_core.runtime.hardware import bf16_is_faster, processor_features
from tests.shell import environment

SUM = """
import torch
from lvm_core.runtime.cli import run_stage
from lvm_core.runtime.hardware import use_threads

def main():
    use_threads({threads})
    numbers = torch.rand(3_000_000, generator=torch.Generator().manual_seed(0)) - 0.5
    square = numbers[:900_000].reshape(3000, 300)
    print(numbers.sum().item().hex(), (square.T @ square).sum(0).norm().item().hex())

run_stage(main)
"""


def run_sum(threads, **variables):
    return subprocess.run(
        [sys.executable, "-c", SUM.format(threads=threads)],
        env=environment() | variables,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def two_threads():
    return run_sum(2).stdout


def test_sums_do_not_depend_on_the_threads_that_the_environment_asks_for(two_threads):
    """Whichever of these were heeded, by one library, the sums would be others."""
    openmp = {"OMP_NUM_THREADS": "7", "OMP_MAX_ACTIVE_LEVELS": "0", "OMP_DYNAMIC": "TRUE"}
    blas = {"MKL_NUM_THREADS": "7", "OPENBLAS_NUM_THREADS": "7", "MKL_DYNAMIC": "TRUE"}
    assert run_sum(2, **openmp, **blas).stdout == two_threads
    assert len(two_threads.split()) == 2


def test_fewer_threads_than_asked_for_are_no_threads(two_threads):
    done = run_sum(2, OMP_THREAD_LIMIT="1")
    assert done.returncode == 1
    assert done.stderr.startswith("error: OMP_THREAD_LIMIT = 1 in the environment allows fewer threads")
    assert len(done.stderr.splitlines()) == 1
    done = run_sum(1, OMP_THREAD_LIMIT="1")
    assert done.returncode == 0
    assert (
        done.stdout != two_threads
    )  # they do depend on the threads of params.yaml: else the test above could not fail


def test_what_makes_a_processor_another_one_is_recorded(tmp_path, monkeypatch):
    info = tmp_path / "cpuinfo"
    info.write_text("flags\t: fpu avx2 avx512_bf16 avx512f\n")
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    assert processor_features(info) == ["avx2", "avx512_bf16", "avx512f"]
    assert processor_features(tmp_path / "none") == []
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    assert processor_features(info) == [
        *("avx2", "avx512_bf16", "avx512f"),
        *("MKL_CBWR=COMPATIBLE", "OPENBLAS_CORETYPE=Haswell"),
    ]


@pytest.mark.parametrize(
    ("vendor", "flags", "faster"),
    [
        ("AuthenticAMD", "avx2 avx512f avx512_bf16", True),
        ("GenuineIntel", "avx2 avx512f avx512_bf16", False),
        ("GenuineIntel", "avx2 avx512f avx512_bf16 amx_bf16", True),
        ("AuthenticAMD", "avx2", False),
    ],
)
def test_bf16_is_chosen_where_it_is_the_faster_arithmetic(tmp_path, vendor, flags, faster):
    info = tmp_path / "cpuinfo"
    info.write_text(f"vendor_id\t: {vendor}\nflags\t: fpu {flags}\n")
    assert bf16_is_faster(info) is faster
    assert not bf16_is_faster(tmp_path / "none")
