"""Object arrays come back as np.load gives them; small streams take little memory and stack."""

from __future__ import annotations

import io
import pickle
import resource
import struct
import time
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvm_core.importers.pickle_reader import MAX_DEPTH, read_object_array
from lvm_core.runtime.errors import LvmError
from tests.foreign_streams import DTYPE, EMPTY, WHERE, array_of, object_array, read, refused, text


def read_saved(array):
    """What comes back from the file that np.save writes."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    file.seek(0)
    np.lib.format.read_magic(file)
    shape, _, _ = np.lib.format.read_array_header_1_0(file)
    return read_object_array(file, shape, WHERE)


def named_as_in_numpy_1(stream):
    """The stream with the module names of numpy 1, also where a byte before the name has its length."""
    for module in (b"multiarray", b"numeric"):
        new, old = b"numpy._core." + module, b"numpy.core." + module
        stream = stream.replace(bytes([len(new)]) + new, bytes([len(old)]) + old).replace(new, old)
    return stream


ROWS: list[Any] = [
    {"article_index": 3, "title": "Ärger im Büro \U0001f600", "score": 0.25, "none": None, "flag": True},
    {
        "index": np.int64(7),
        "name": np.str_("naïve"),
        "half": np.float16(0.5),
        "b": np.bool_(True),
        "empty": np.str_(""),
    },
    {
        "day": np.datetime64("2020-02-03"),
        "span": np.timedelta64(5, "ms"),
        "raw": np.bytes_(b"ab"),
        "c": np.complex64(1j),
    },
    {np.int64(5): 1, None: 2, 1.5: 3, "type": np.dtype(">f4")},
    [1, [2, (3, "x", [None])], {"a": {"b": -(2**70)}}, 1 + 2j],
    "text",
    None,
]
ARRAYS = {
    "matrix": np.arange(6, dtype=np.float32).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "permuted": np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
    "big_endian": np.arange(4, dtype=">i2"),
    "words": np.array(["a", "bcd", "é"]),
    "empty": np.empty((0, 3)),
    "single": np.array(4.5),
    "flags": np.array([True, False]),
    "times": np.array(["2020-01-01", "NaT"], dtype="M8[us]"),
}


@pytest.mark.parametrize("version", [named_as_in_numpy_1, bytes], ids=["numpy1", "numpy2"])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_rows_come_back_with_their_types(protocol, version):
    items = read(version(pickle.dumps(object_array(ROWS), protocol=protocol)), (len(ROWS),))
    assert items == ROWS == read_saved(object_array(ROWS))
    for row, item in zip(ROWS[:3], items[:3], strict=True):
        assert [type(value) for value in item.values()] == [type(value) for value in row.values()]


@pytest.mark.parametrize("version", [named_as_in_numpy_1, bytes], ids=["numpy1", "numpy2"])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_nested_arrays_come_back(protocol, version):
    objects = object_array([{"x": np.arange(2)}, "y"], (1, 2))
    outer = object_array([{**ARRAYS, "objects": objects, "pair": (np.arange(3), 1)}])
    (row,) = read(version(pickle.dumps(outer, protocol=protocol)))
    for name, array in ARRAYS.items():
        assert row[name].dtype == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(row[name], array, strict=name != "big_endian")
    assert (row["pair"][0].tolist(), row["pair"][1]) == ([0, 1, 2], 1)
    assert (row["objects"][0][0]["x"].tolist(), row["objects"][0][1]) == ([0, 1], "y")


def test_items_are_in_c_order():
    array = object_array([*range(24)], (2, 3, 4))
    for saved in (array, np.asfortranarray(array), array.transpose(2, 0, 1), array[:, ::2], object_array(["x"], ())):
        assert read_saved(saved) == saved.reshape(-1).tolist()
    assert read_saved(object_array([], (0, 3))) == []


def test_a_value_in_several_rows_stays_one_value():
    shared = {"times": np.arange(3), "pair": (1, np.arange(2))}
    first, second = read_saved(object_array([shared, [shared]]))
    assert second[0] is first
    assert first["pair"][1].tolist() == [0, 1]


def test_shape_and_kind_must_be_those_of_the_header():
    stream = pickle.dumps(object_array([1, 2, 3]))
    assert "shape is (3,), but (4,) in the header" in refused(stream, (4,))
    for other in (
        b"",
        b"\x80\x04",
        b"\x80\x04].",
        b"\x80\x09N.",
        pickle.dumps(np.arange(3)),
        b"\xff\xff",
        stream[:-1],
    ):
        refused(other, (3,))


# ---- streams that would take all memory, or overflow the stack


def test_small_streams_stay_small():
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    huge = struct.pack("<Q", 1 << 36)
    assert read(array_of(b"Nr\xff\xff\xff\xff")) == [None]  # C's memo would have 2**33 places
    for item in (
        b"\x96" + huge,
        b"\x8e" + huge,
        b"\x8d" + huge,
        b"\x95" + huge,
        b"B\xff\xff\xff\xff",
        b"\x8b\xff\xff\xff\x7f",
    ):
        refused(array_of(item))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (b"}(" + b")" + b"\x85" * 1_000_000 + b"Nu", "dict key of type tuple"),
        (b"]" * 1_000_000 + b"a" * 999_999, "nested more than"),
        (b"(" * 200_000 + b"t" * 200_000, "nested more than"),
        (b"]" * 50_000 + b"N" + b"a" * 50_000, "nested more than"),
        (b"]q\x00h\x00a", "contains itself"),
        (b"]q\x00h\x00\x85a", "contains itself"),
        (b"}q\x00" + text("a") + b"h\x00s", "contains itself"),
        ((EMPTY + b"(K\x01K\x01\x85" + DTYPE + b"\x89]") * 20_000 + b"N" + b"atb" * 20_000, "nested more than"),
    ],
)
def test_depth_and_cycles_are_refused(item, reason):
    assert reason in refused(array_of(item))


def test_depth_is_counted_through_shared_values():
    # Each row holds the row before it, so that no single walk goes down further than one level.
    rows = b"]r\x00\x00\x00\x00" + b"".join(
        b"]r" + struct.pack("<I", n) + b"j" + struct.pack("<I", n - 1) + b"a" for n in range(1, 1000)
    )
    message = refused(array_of(rows, shape=b"M\xe8\x03\x85"), (1000,))
    assert f"row {MAX_DEPTH}: holds values nested more than {MAX_DEPTH} deep" in message


def test_values_that_double_at_each_level_are_visited_once():
    levels = b"]q\x00" + b"".join(
        b"](h" + bytes([n - 1]) + b"h" + bytes([n - 1]) + b"eq" + bytes([n]) for n in range(1, 60)
    )
    assert len(read(array_of(levels, shape=b"K\x3c\x85"), (60,))) == 60


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_mutated_streams_give_a_list_or_an_lvm_error(data):
    stream = bytearray(pickle.dumps(object_array([{**ROWS[1], **ARRAYS}, ROWS[3:5]]), data.draw(st.integers(2, 5))))
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(stream) - 1))
        if data.draw(st.booleans()):
            stream[position] = data.draw(st.integers(0, 255))
        else:
            del stream[position : position + data.draw(st.integers(1, 20))]
    with suppress(LvmError):
        assert isinstance(read(bytes(stream), (2,)), list)
