"""Faults other than kills: each is a function that does harm to a finished project and says what must follow."""

from __future__ import annotations

import os
import random
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.faults.project import (
    FAULT_PROFILE,
    Undisturbed,
    differences,
    finish_repro,
    log_of,
    results,
    start_mending,
    start_repro,
)


def said_since(folder: Path, start: int) -> str:
    """What the runs in a project have printed after a place in its log."""
    return log_of(folder).read_text()[start:]


def _log_size(folder: Path) -> int:
    return log_of(folder).stat().st_size if log_of(folder).exists() else 0


def _touch_all(folder: Path) -> None:
    """Another seed: everything from the corpus on has to be made anew."""
    params = folder / "params.yaml"
    params.write_text(params.read_text().replace("\nseed: 42\n", "\nseed: 43\n"))


def _undo(folder: Path) -> None:
    params = folder / "params.yaml"
    params.write_text(params.read_text().replace("\nseed: 43\n", "\nseed: 42\n"))


def no_space_for_large_files(folder: Path, rng: random.Random) -> None:
    """No file may grow beyond some kilobytes: like a full disk, in stages and in DVC itself."""
    limit = rng.choice([2_000, 20_000, 100_000, 300_000])
    for path in ("data/bank", "data/phases", ".dvc/cache"):
        shutil.rmtree(folder / path, ignore_errors=True)
    start = _log_size(folder)
    process = start_repro(folder, *FAULT_PROFILE, prefix=("prlimit", f"--fsize={limit}"))
    assert process.wait() != 0
    _no_traceback_of_ours(said_since(folder, start))


def disk_full(folder: Path, rng: random.Random) -> None:
    """`data` lies on a file system of a few megabytes (needs the right to mount one)."""
    shutil.rmtree(folder / "data")
    (folder / "data").mkdir()
    size = rng.choice([1, 2, 4])
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}m", "tmpfs", "data"], cwd=folder, check=True)
    try:
        start = _log_size(folder)
        shutil.rmtree(folder / ".dvc/cache")
        assert start_repro(folder, *FAULT_PROFILE).wait() != 0
        _no_traceback_of_ours(said_since(folder, start))
    finally:
        subprocess.run(["umount", "data"], cwd=folder, check=True)


def read_only_folder(folder: Path, rng: random.Random) -> None:
    """A folder of outputs cannot be written to, by a process without root's rights over files."""
    _touch_all(folder)
    place = folder / rng.choice(["data", "metrics"])
    mode = place.stat().st_mode
    place.chmod(stat.S_IRUSR | stat.S_IXUSR)
    start = _log_size(folder)
    try:
        assert start_repro(folder, *FAULT_PROFILE, prefix=_without_rights_over_files()).wait() != 0
        _no_traceback_of_ours(said_since(folder, start))
    finally:
        place.chmod(mode)
        _undo(folder)


def _without_rights_over_files() -> tuple[str, ...]:
    """What starts a program that may write only where everybody with its name may, also as root."""
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()


def damaged_cache_object(folder: Path, rng: random.Random) -> None:
    """A byte of an object in DVC's cache changes, its time and rights do not; the outputs in the workspace are gone."""
    objects = sorted(path for path in (folder / ".dvc/cache/files/md5").rglob("*") if path.is_file())
    path = rng.choice([path for path in objects if path.stat().st_size > 0])
    before, content = path.stat(), bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(before.st_mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    shutil.rmtree(folder / "data")
    mended = start_mending(folder, "--cache")
    assert mended.wait() == 0
    assert f"{path.name}: is damaged; removed" in log_of(folder).read_text()


def truncated_output(folder: Path, rng: random.Random) -> None:
    """The last bytes of a model or of the bank are gone."""
    files = (
        "bank/vectors.npy",
        "bank/articles.parquet",
        "phases/a/p1/model.safetensors",
        "phases/a/p1/last.safetensors",
    )
    path = folder / "data" / rng.choice(files)
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: rng.randrange(len(content))])


def two_at_once(folder: Path, rng: random.Random) -> None:
    """A second `dvc repro` is started while the first one runs: one of them may give up, neither does harm."""
    shutil.rmtree(folder / "data")
    shutil.rmtree(folder / ".dvc/cache")
    first = start_repro(folder, *FAULT_PROFILE)
    time.sleep(rng.uniform(0.5, 15))
    second = start_repro(folder, *FAULT_PROFILE)
    codes = first.wait(), second.wait()
    assert set(codes) <= {0, 1, 255}, codes


def terminated(folder: Path, rng: random.Random) -> None:
    """SIGTERM to the whole group."""
    _signalled(folder, rng, signal.SIGTERM)


def interrupted(folder: Path, rng: random.Random) -> None:
    """Ctrl-C."""
    _signalled(folder, rng, signal.SIGINT)


def _signalled(folder: Path, rng: random.Random, number: signal.Signals) -> None:
    shutil.rmtree(folder / "data")
    shutil.rmtree(folder / ".dvc/cache")
    start = _log_size(folder)
    process = start_repro(folder, *FAULT_PROFILE)
    time.sleep(rng.uniform(3, 20))
    for _ in range(3):  # DVC ignores Ctrl-C while a stage runs: one that comes as the stage's process ends goes unheard
        os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            assert process.wait(10) != 0
            break
    else:
        os.killpg(process.pid, signal.SIGKILL)
        raise AssertionError(f"still running after {number.name}: {said_since(folder, start)[-1500:]}")
    _no_traceback_of_ours(said_since(folder, start))


def _no_traceback_of_ours(said: str) -> None:
    assert not ("Traceback" in said and ("lvm_core/" in said or "stages/" in said)), said[-3000:]


FAULTS: tuple[Callable[[Path, random.Random], None], ...] = (
    *(no_space_for_large_files, disk_full, read_only_folder, damaged_cache_object, truncated_output),
    *(two_at_once, terminated, interrupted),
)
"""Every kind of fault that is no kill."""


def may_mount() -> bool:
    """Whether a file system can be mounted here."""
    place = Path(tempfile.mkdtemp())
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if done.returncode == 0:
        subprocess.run(["umount", str(place)], check=True)
    place.rmdir()
    return done.returncode == 0


def harm_and_recover(
    fault: Callable[[Path, random.Random], None], finished: Path, seed: int, undisturbed: Undisturbed
) -> bool:
    """Do harm to a copy of a finished project, run `dvc repro` and compare; whether `tools/mend.py` was needed.

    Raises:
        AssertionError: it does not come back, or not with the results of `undisturbed`.
    """
    folder = finished.with_name(f"{fault.__name__}-{seed}")
    shutil.copytree(finished, folder, symlinks=True)
    fault(folder, random.Random(seed))
    mended = finish_repro(folder, *undisturbed.targets)
    different = differences(results(folder), undisturbed.results)
    assert not different, f"{fault.__name__} {seed}: other results: {different}"
    shutil.rmtree(folder)
    return mended
