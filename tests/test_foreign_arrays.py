"""Arrays of foreign files equal what np.load gives, whatever their layout; what is no array is one clear line."""

from __future__ import annotations

import itertools
import os
import struct
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvm_core.importers import arrays
from lvm_core.importers.arrays import open_npy
from tests.foreign_files import METHODS, message_of, npy, numbers, opened, write_npz
from tests.paths import ROOT

DTYPES = ["<f2", "<f4", "<f8", ">f2", ">f4", "<i8", ">i4", "u1", "<c8"]


def assert_same(array, expected, indices):
    assert (array.shape, array.dtype, len(array)) == (expected.shape, expected.dtype.newbyteorder("="), len(expected))
    for start, stop in itertools.combinations([0, 1, len(expected) // 2, len(expected)], 2):
        rows = array.rows(start, stop)
        assert rows.dtype.isnative
        assert rows.flags.c_contiguous
        assert rows.flags.writeable
        np.testing.assert_array_equal(rows, expected[start:stop])
    if expected.ndim > 1:
        flat = np.concatenate([indices * (expected.shape[1] if expected.ndim == 3 else 1), indices])
        np.testing.assert_array_equal(array.take(flat), expected.reshape(-1, expected.shape[-1])[flat])
        assert array.take([]).shape == (0, expected.shape[-1])


@pytest.mark.parametrize("release", [2**26, 5000], ids=["whole", "in pieces"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(50,), (50, 7), (50, 3, 7)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_blocks_equal_what_numpy_loads(tmp_path, monkeypatch, dtype, shape, order, release):
    monkeypatch.setattr(arrays, "RELEASE_BYTES", release)
    monkeypatch.setattr(arrays, "FAULT_BYTES", 100)
    values, indices = numbers(shape, dtype, order), np.random.default_rng(1).integers(0, 50, 80)
    np.save(tmp_path / "a.npy", values)
    assert_same(open_npy(tmp_path / "a.npy"), values, indices)
    for method in METHODS[:2]:
        path = write_npz(tmp_path / "a.npz", {"x": b"", "contexts": values}, method)
        with opened(path) as file:
            assert file.names == ["x", "contexts"]
            assert file.header("contexts")[:2] == (shape, np.dtype(dtype))
            array = file.array("contexts")
            assert array.where == f"{path}: contexts"
            np.testing.assert_array_equal(file.values("contexts"), values)
        assert_same(array, values, indices)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_block_of_any_shape(tmp_path_factory, data):
    shape = tuple(data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=4)))
    values = numbers(shape, data.draw(st.sampled_from(DTYPES)), data.draw(st.sampled_from("CF")))
    path = tmp_path_factory.mktemp("a") / "a.npy"
    np.save(path, values)
    array = open_npy(path)
    start, stop = data.draw(st.integers(0, 7)), data.draw(st.integers(0, 7))
    np.testing.assert_array_equal(array.rows(start, stop), values[start:stop])
    if count := int(np.prod(shape[:-1])) * (len(shape) > 1):
        indices = np.array(data.draw(st.lists(st.integers(0, count - 1), max_size=9)), dtype=int)
        np.testing.assert_array_equal(array.take(indices), values.reshape(count, shape[-1])[indices])


@pytest.mark.parametrize("order", ["C", "F"])
def test_memory_stays_small_however_large_the_file(tmp_path, order):
    script = f"""
        import resource, sys
        from pathlib import Path
        import numpy as np
        from lvm_core.importers.arrays import open_npy

        path = Path(sys.argv[1])
        values = np.lib.format.open_memmap(path, "w+", "<f2", (156_250, 5, 384), fortran_order={order == "F"})
        del values
        array = open_npy(path)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for start in range(0, len(array), 20_000):
            array.rows(start, start + 20_000)
        generator = np.random.default_rng(0)
        array.take(generator.integers(0, 5 * len(array), 2000))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "a.npy")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    (tmp_path / "a.npy").unlink()
    assert int(done.stdout) < 200_000
    assert time.monotonic() - start < 30


# ---- files that cannot be opened


def test_no_such_file_folder_empty_pipe_permission(tmp_path):
    for name in ("a.npy", "a.npz"):
        open_it = open_npy if name == "a.npy" else lambda path: opened(path)
        assert f"{name}: cannot be read (No such file" in message_of(open_it, tmp_path / name)
        assert f"{tmp_path}: is a folder" in message_of(open_it, tmp_path)
        path = tmp_path / name
        path.touch()
        assert f"{name}: is empty" in message_of(open_it, path)
        path.unlink()
        os.mkfifo(path)
        assert f"{name}: is not a regular file" in message_of(open_it, path)
        path.unlink()
        path.write_bytes(b"x" * 1000)
        path.chmod(0)
        user = os.geteuid()
        os.seteuid(user or 65534)  # root may read everything
        try:
            assert "cannot be read (Permission denied); check the path" in message_of(open_it, path)
        finally:
            os.seteuid(user)
        path.chmod(0o600)
    assert "is not an .npy array" in message_of(open_npy, tmp_path / "a.npy")
    assert "cannot be read (File is not a zip file); copy or download" in message_of(opened, tmp_path / "a.npz")


def header(text, version=1):
    text = text.encode() + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(text)) + text


DATA = bytes(400)
HEADERS = {
    "negative shape": ("{'descr': '<f4', 'fortran_order': False, 'shape': (-100,)}", "declares the shape (-100,)"),
    "bool shape": ("{'descr': '<f4', 'fortran_order': False, 'shape': (True, 100)}", "declares the shape"),
    "absurd shape": ("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 1" + "0" * 30 + ")}", "declares the shape"),
    "absurd axes": (
        "{'descr': '<f4', 'fortran_order': False, 'shape': (100, %s)}" % ("1, " * 40),
        "declares the shape",
    ),
    "too large": (
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000000,)}",
        "declares 4,000,000,000,000,000",
    ),
    "too small": ("{'descr': '<f4', 'fortran_order': False, 'shape': (99,)}", "declares 396 bytes of data but has 400"),
    "no dict": ("[]", "its header is damaged"),
    "keys": ("{'descr': '<f4'}", "its header is damaged"),
    "type": ("{'descr': 'nonsense', 'fortran_order': False, 'shape': (100,)}", "its header is damaged"),
    "code": ("__import__('os').abort()", "its header is damaged"),
    "syntax": ("{'descr': ", "its header is damaged"),
    "deep": ("-" * 9000 + "1", "its header is damaged"),
    "long": ("{" + " " * 20_000 + "}", "its header is damaged"),
    "fields": ("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (100,)}", "has the type [('a', '<f4')]"),
    "subarray": ("{'descr': ('<f4', (2,)), 'fortran_order': False, 'shape': (50,)}", "has the type"),
    "void": ("{'descr': '|V4', 'fortran_order': False, 'shape': (100,)}", "has the type |V4"),
    "no width": ("{'descr': '<U0', 'fortran_order': False, 'shape': (1000000000000,)}", "has the type <U0"),
    "objects": ("{'descr': '|O', 'fortran_order': False, 'shape': (100,)}", "holds Python objects"),
}


@pytest.mark.parametrize("kind", HEADERS)
def test_bad_headers(tmp_path, kind):
    text, reason = HEADERS[kind]
    for version in (1, 2):
        content = header(text, version) + DATA
        (tmp_path / "a.npy").write_bytes(content)
        assert reason in message_of(open_npy, tmp_path / "a.npy")
        with opened(write_npz(tmp_path / "a.npz", {"contexts": content})) as file:
            message = message_of(file.array, "contexts")
            assert message.startswith(f"{tmp_path / 'a.npz'}: contexts: ")
            assert reason in message


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x93NUMPY", "its header is damaged"),
        (b"\x93NUMPY\x01\x00\xff\xff{", "its header is damaged"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{", "its header is damaged"),
        (b"\x93NUMPY\x09\x00" + DATA, "its header is damaged (version (9, 0) of the format is unknown)"),
        (b"\x93NUMPY\x03\x00" + DATA, "is a structured array"),
        (b"PK\x03\x04", "is not an .npy array"),
        (npy(numbers((5, 3)))[:-1], "declares 60 bytes of data but has 59"),
        (npy(numbers((5, 3))) + b"x", "declares 60 bytes of data but has 61"),
    ],
)
def test_truncated_and_other_content(tmp_path, content, reason):
    (tmp_path / "a.npy").write_bytes(content)
    assert reason in message_of(open_npy, tmp_path / "a.npy")
    for method in METHODS:
        with opened(write_npz(tmp_path / "a.npz", {"contexts": content}, method)) as file:
            assert f"a.npz: contexts: {reason}" in message_of(file.array, "contexts")
            assert f"a.npz: contexts: {reason}" in message_of(file.header, "contexts")
