"""Members of .npz files come back whatever their compression, are unpacked once, and every damage is one clear line."""

from __future__ import annotations

import itertools
import resource
import shutil
import struct
import zipfile
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvm_core.importers import arrays
from lvm_core.runtime.errors import LvmError
from tests.foreign_files import METHODS, message_of, numbers, opened, write_npz


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("is_zip64", [False, True])
def test_all_methods_and_zip64(tmp_path, method, is_zip64):
    values = {"a": numbers((40, 5, 6)), "b/../c": numbers((0, 4)), "d": numbers((30, 2), "f2")}
    with opened(write_npz(tmp_path / "a.npz", values, method, force_zip64=is_zip64)) as file:
        for name, expected in values.items():
            np.testing.assert_array_equal(file.array(name).rows(0, 99), expected)
    unpacked = [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.npy")]
    assert len(unpacked) == (0 if method == zipfile.ZIP_STORED else 3)
    assert all(p.startswith("unpacked/") for p in unpacked)


def test_what_numpy_writes_is_read(tmp_path):
    metadata = np.array([{"article_index": 1, "title": "x"}, {"article_index": np.int64(2), "title": None}])
    ids: dict[str, Any] = {
        "i": np.arange(3),
        "u": np.array(["a", "bé"]),
        "s": np.array([b"x"]),
        "b": np.array([True, False]),
    }
    for write in (np.savez, np.savez_compressed):
        write(tmp_path / "a.npz", metadata=metadata, zero=np.float32(3), fortran=numbers((3, 4), ">f4", "F"), **ids)
        with opened(tmp_path / "a.npz") as file, np.load(tmp_path / "a.npz") as expected:
            assert file.names == expected.files
            assert [name for name in file.names if file.header(name).dtype.kind == "O"] == ["metadata"]
            assert file.values("metadata") == metadata.tolist()
            for name in [*ids, "zero", "fortran"]:
                assert np.asarray(file.values(name)).dtype == expected[name].dtype.newbyteorder("=")
                np.testing.assert_array_equal(file.values(name), expected[name])
            assert "metadata: holds Python objects" in message_of(file.array, "metadata")
            assert "u: holds values of type <U2" in message_of(file.array, "u")
            assert "zero: is a single number" in message_of(file.array, "zero")


def test_an_array_is_unpacked_once(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(arrays, "BLOCK_BYTES", 1000)
    monkeypatch.setattr("lvm_core.runtime.cli.time.monotonic", itertools.count().__next__)  # every block takes a second
    path = write_npz(tmp_path / "a.npz", {"contexts": numbers((500, 4)), "targets": numbers((2, 4))}, METHODS[1])
    with opened(path) as file:
        file.array("contexts")
    assert "import: unpack contexts: " in capsys.readouterr().err
    with opened(path) as file:
        np.testing.assert_array_equal(file.array("contexts").rows(0, 500), numbers((500, 4)))
    assert "unpack" not in capsys.readouterr().err
    write_npz(path, {"contexts": numbers((500, 4), seed=1)}, METHODS[1])  # another file at the same path
    with opened(path) as file:
        np.testing.assert_array_equal(file.array("contexts").rows(0, 500), numbers((500, 4), seed=1))
    write_npz(path, {"contexts": numbers((500, 4))})
    with opened(path) as file:
        file.array("contexts")
    assert "import: check contexts: 0/0 MB" in capsys.readouterr().err


# ---- damaged archives


def change(path, position, new):
    content = bytearray(path.read_bytes())
    content[position : position + len(new)] = new
    path.write_bytes(content)


def central(path):
    """Where the directory at the end of the archive begins."""
    return path.read_bytes().index(b"PK\x01\x02")


@pytest.mark.parametrize("method", METHODS)
def test_one_wrong_byte_is_found(tmp_path, method):
    values = numbers((3000, 8))
    path = write_npz(tmp_path / "a.npz", {"contexts": values, "metadata": np.array([{"a": 1}] * 500)}, method)
    size = zipfile.ZipFile(path).infolist()[0].compress_size
    change(path, 40 + size - size // 3, b"\x55\xaa\x55")
    with opened(path) as file:
        for action in (file.array, file.values):
            assert f"{path}: contexts: cannot be read (" in message_of(action, "contexts")
        assert file.values("metadata") == [{"a": 1}] * 500
    assert list(tmp_path.rglob("*.npy")) == list(tmp_path.rglob("*.part")) == []
    change(path, central(path) - 10, b"\x55\xaa")
    with opened(path) as file:
        assert f"{path}: metadata: cannot be read (" in message_of(file.values, "metadata")


@pytest.mark.parametrize("method", METHODS[:2])
@pytest.mark.parametrize(
    ("position", "new", "reason"),
    [
        (8, b"\x01\x00", "is encrypted"),
        (10, b"\x63\x00", "cannot be unpacked (That compression method is not supported"),
        (24, b"\x00\x00\x00\x40", "declares 1,600 bytes of data but has 1,073,741,696"),
        (24, b"\x00\x00\x00\x00", "Bad CRC-32"),
        (16, b"\x00\x00\x00\x00", "Bad CRC-32"),
        (42, b"\x09\x00\x00\x00", "Bad magic number for file header"),
        (42, b"\xff\xff\xff\x7f", "cannot be read ("),
    ],
)
def test_a_damaged_directory(tmp_path, method, position, new, reason):
    path = write_npz(tmp_path / "a.npz", {"contexts": numbers((50, 8))}, method)
    change(path, central(path) + position, new)
    message = message_of(read_contexts, path)
    assert message.startswith(f"{path}: contexts: ")
    assert reason in message
    assert not list(tmp_path.rglob("*.npy"))


def read_contexts(path):
    with opened(path) as file:
        return file.array("contexts")


@pytest.mark.parametrize("position", [0, 26, 28, 30])
def test_a_damaged_local_header(tmp_path, position):
    for method in METHODS[:2]:
        path = write_npz(tmp_path / "a.npz", {"contexts": numbers((50, 8))}, method)
        change(path, position, b"\x20")
        assert f"{path}: contexts: " in message_of(read_contexts, path)


def test_truncated_archives(tmp_path):
    content = write_npz(tmp_path / "a.npz", {"contexts": numbers((50, 8))}).read_bytes()
    for size in (1, 30, 500, len(content) - 30, len(content) - 1):
        (tmp_path / "a.npz").write_bytes(content[:size])
        assert f"{tmp_path / 'a.npz'}: cannot be read (" in message_of(opened, tmp_path / "a.npz")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicated_names_and_members_that_are_no_arrays(tmp_path):
    write_npz(tmp_path / "a.npz", [("ids", numbers((2,))), ("ids", numbers((3,)))])
    assert "a.npz: has two arrays of one name" in message_of(opened, tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as file:
        file.writestr("notes\x1b.txt", "x")
    with opened(tmp_path / "b.npz") as file:
        assert file.names == []


def test_a_full_disk_leaves_nothing_behind(tmp_path):
    path = write_npz(tmp_path / "a.npz", {"contexts": numbers((50_000, 8))}, zipfile.ZIP_DEFLATED)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with opened(path) as file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        try:
            assert "cannot be written (File too large)" in message_of(file.array, "contexts")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert list((tmp_path / "unpacked").iterdir()) == []
        np.testing.assert_array_equal(file.array("contexts").rows(0, 9), numbers((50_000, 8))[:9])
    shutil.rmtree(tmp_path / "unpacked")
    (tmp_path / "unpacked").touch()
    with opened(path) as file:
        assert "cannot be written" in message_of(file.array, "contexts")


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_mutated_archives_give_arrays_or_an_lvm_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("a") / "a.npz"
    members = {"contexts": numbers((6, 2)), "ids": np.array(["ä", "b"]), "metadata": np.array([{"a": 1}])}
    write_npz(path, members, data.draw(st.sampled_from(METHODS)))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with suppress(LvmError), opened(path) as file:
        for name in file.names:
            for action in (file.header, file.array, file.values):
                with suppress(LvmError):
                    action(name)


def test_a_damaged_name_in_the_table_of_contents_is_damage_not_a_missing_member(tmp_path):
    path = write_npz(tmp_path / "a.npz", {"contexts": numbers((5, 4)), "metadata": numbers((5, 4))}, METHODS[0])
    content = path.read_bytes()
    place = content.rindex(b"metadata")
    path.write_bytes(content[:place] + b"metodata" + content[place + 8 :])
    assert "metodata" in message_of(opened, path)


def test_members_swallowed_by_a_damaged_table_of_contents_are_missed(tmp_path):
    path = write_npz(tmp_path / "a.npz", {"contexts": numbers((5, 4)), "metadata": numbers((5, 4))}, METHODS[0])
    change(path, central(path) + 32, struct.pack("<H", 46 + len("metadata.npy")))  # a comment as long as the next entry
    assert zipfile.ZipFile(path).namelist() == ["contexts.npy"]
    assert "its table of contents names 1 members, its end 2" in message_of(opened, path)
