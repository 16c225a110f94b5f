"""Hostile versions of binary files: npy, npz, parquet and safetensors, and files of another kind altogether."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import struct
import zipfile
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.hostile_files.damaged import damaged


class Planted:
    """Executed by whoever unpickles it: leaves the file `executed` in the folder it is in."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch executed",)


PICKLE = pickle.dumps(Planted())


def anything(content: bytes, rng: random.Random) -> bytes:
    """A file of another kind altogether."""
    empty_zip = io.BytesIO()
    zipfile.ZipFile(empty_zip, "w").close()
    return rng.choice(
        [
            *(
                PICKLE,
                b"\x93NUMPY",
                b"PAR1",
                b"PAR1\x00\x00\x00\x00PAR1",
                b"PK\x03\x04",
                b"\x1f\x8b\x08",
                b"\x00" * 4096,
            ),
            *(empty_zip.getvalue(), b"[" * 200_000, b"{" * 200_000, b"- " * 50_000, b'"' + b"x" * 10**6, b"a: b: c: d"),
            rng.randbytes(rng.randrange(1, 5000)),
        ]
    )


SHAPES = (
    *("(2147483648, 768)", "(9223372036854775807,)", "(-1, 8)", "(True,)", "()", "(0,)", "(1e9,)", "(2**31,)", "None"),
    *("(0, 9223372036854775807)", "(" + "1," * 40 + ")", "(" * 90 + ")" * 90),
)
DTYPES = (
    *("'<f4'", "'<f4'", "'<f4'", "'|O'", "'<U536870911'", "[('a', '<f4')]", "('<f4', (2147483647,))", "'<c16'"),
    *("'|V8'", "'<M8[s]'", "'>f8'", "'x'", "'<f4'" * 3000, "__import__('os').system('touch executed')"),
)


def npy_header(content: bytes, rng: random.Random) -> bytes:
    """A header that lies about the array's type, shape or order, or about its own length."""
    size = struct.unpack_from("<H", content, 8)[0]
    shape, dtype = rng.choice(SHAPES), rng.choice(DTYPES)
    order = rng.choice(["False", "True", "0"])
    text = f"{{'descr': {dtype}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    version = rng.choice([b"\x01\x00"] * 3 + [b"\x02\x00", b"\x03\x00", b"\x09\x00"])
    length = rng.choice([len(text)] * 4 + [0, 65_535])
    packed = struct.pack("<H" if version[0] == 1 else "<I", min(length, 65_535))
    return b"\x93NUMPY" + version + packed + text + content[10 + size :]


def npy_values(content: bytes, rng: random.Random) -> bytes:
    """Values that are no numbers, too large, too small or all zero."""
    array = np.load(io.BytesIO(content))
    rows = rng.randrange(array.shape[0])
    with np.errstate(all="ignore"):
        array[rows] = np.array(rng.choice([np.nan, np.inf, -np.inf, 0.0, 1e-45, 1e38, 3.4e38]), dtype=array.dtype)
    kind = rng.choice([array.dtype, np.float16, np.float64, np.int8, np.bool_, np.complex64, np.dtype(">f4")])
    out = io.BytesIO()
    with np.errstate(all="ignore"):
        np.save(out, np.nan_to_num(array).astype(kind) if np.issubdtype(kind, np.integer) else array.real.astype(kind))
    return out.getvalue()


def npy_pickle(content: bytes, rng: random.Random) -> bytes:
    out = io.BytesIO()
    np.save(out, np.array([Planted()] * rng.randint(1, 3), dtype=object), allow_pickle=True)
    return out.getvalue()


def npz_member(content: bytes, rng: random.Random) -> bytes:
    """An archive with one member made hostile, renamed, doubled or left out, or one that inflates a thousandfold."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", rng.choice([0, 8])) as new:
        chosen = rng.choice(old.namelist())
        for name in old.namelist():
            data = old.read(name)
            if name == chosen:
                action = rng.choice(["member", "member", "pickle", "rename", "double", "drop", "bomb"])
                if action == "drop":
                    continue
                if action == "member":
                    data = rng.choice([npy_header, damaged, anything])(data, rng)
                elif action == "pickle":
                    data = npy_pickle(data, rng)
                elif action == "rename":
                    name = rng.choice(
                        ["../../evil.npy", "/tmp/evil.npy", "vectors.npy/..", "\x01.npy", "a" * 5000 + ".npy"]
                    )
                elif action == "bomb":
                    data = _zeros()
                elif action == "double":
                    new.writestr(f"x{name}", data)
            new.writestr(name, data, zipfile.ZIP_DEFLATED if len(data) > 10**7 else None)
    return out.getvalue()


@cache
def _zeros() -> bytes:
    out = io.BytesIO()
    np.save(out, np.zeros((50_000, 768), dtype=np.float32))
    return out.getvalue()


def parquet_table(content: bytes, rng: random.Random) -> bytes:
    """A table with a column of another type, doubled, missing, null, or with odd metadata."""
    out = io.BytesIO()
    pq.write_table(_odd_table(pq.read_table(io.BytesIO(content)), rng), out)
    return out.getvalue()


def arrow_table(content: bytes, rng: random.Random) -> bytes:
    """The same as a stream, or as a file, of arrow."""
    table = _odd_table(pa.ipc.open_stream(content).read_all(), rng)
    out = io.BytesIO()
    with rng.choice([pa.ipc.new_stream, pa.ipc.new_file])(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


def _odd_table(table: pa.Table, rng: random.Random) -> pa.Table:
    at = rng.randrange(table.num_columns)
    name, rows = table.column_names[at], table.num_rows
    column = rng.choice(
        [
            pa.nulls(rows),
            pa.array([None] * rows, pa.string()),
            pa.array([2**63 - 1] * rows),
            pa.array([-1] * rows),
            pa.array([float("nan")] * rows),
            pa.array([["a"]] * rows),
            pa.array([{"a": 1}] * rows),
            pa.array([b"\xff\xfe"] * rows),
            pa.array(["same"] * rows),
            pa.array([PICKLE] * rows),
            pa.array([True] * rows),
            pa.array([1] * rows, pa.timestamp("s")),
            pa.array([2**31] * rows, pa.uint64()),
        ]
    )
    replaced = table.set_column(at, name, column)
    others = [table.drop_columns([name]), table.append_column(name, column), table.slice(0, 0)]
    changed = rng.choice([replaced, replaced, *others, pa.concat_tables([table, table])])
    index = b'{"index_columns": ["x"], "columns": 3}'
    notes = rng.choice([None, {b"pandas": b"{"}, {b"pandas": index}, {b"PANDAS_ATTRS": b"["}])
    return changed.replace_schema_metadata(notes)


def parquet_bomb(content: bytes, rng: random.Random) -> bytes:
    return _swollen(rng.choice(["nulls", "texts"]))


@cache
def _swollen(kind: str) -> bytes:
    """Under a megabyte that would take gigabytes: a run of nulls, or one long text many times over."""
    out = io.BytesIO()
    if kind == "nulls":
        pq.write_table(pa.table({"article_id": pa.nulls(200_000_000, pa.int64())}), out, compression="zstd")
        return out.getvalue()
    values = pa.DictionaryArray.from_arrays(pa.array(np.zeros(20_000, dtype=np.int32)), pa.array(["x" * 1_000_000]))
    names = ("article_id", "title", "source", "split", "first_row", "n_chunks", "text")
    pq.write_table(pa.table(dict.fromkeys(names, values)), out, compression="zstd", store_schema=False)
    return out.getvalue()


def safetensors_header(content: bytes, rng: random.Random) -> bytes:
    """A header that lies: about its length, or a tensor's type, shape or place."""
    size = struct.unpack_from("<Q", content)[0]
    header, data = json.loads(content[8 : 8 + size]), content[8 + size :]
    entry = header[rng.choice([name for name in header if name != "__metadata__"])]
    action = rng.randrange(7)
    if action == 0:
        entry["shape"] = rng.choice([[2**31, 2**31], [-1], [2**63], [0], [], [1] * 100, "x", None])
    elif action == 1:
        entry["dtype"] = rng.choice(["F64", "BF16", "U8", "BOOL", "C64", "F8_E4M3", "I64", "X", 7])
    elif action == 2:
        entry["data_offsets"] = rng.choice([[0, 2**62], [5, 1], [0, 0], [-1, 4], [2**64, 2**65], "x", [0]])
    elif action == 3:
        header["extra" * rng.choice([1, 1000])] = dict(entry)
    elif action == 4:
        header["__metadata__"] = rng.choice([{"a": 1}, 3, {"x": "y" * 10**5}, {"__class__": "os.system"}])
    elif action == 5:
        header.pop(next(iter(header)))
    else:
        floats = bytearray(data)
        struct.pack_into(
            "<f", floats, 4 * rng.randrange(len(data) // 4), rng.choice([float("nan"), float("inf"), 1e-45])
        )
        data = bytes(floats)
    text = json.dumps(header).encode()
    length = rng.choice([len(text)] * 5 + [0, 2**63, 2**64 - 1, len(text) + 10**9])
    return struct.pack("<Q", length) + text + data
