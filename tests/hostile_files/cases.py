"""Hostile versions of good files: damaged at random, lying about their size, swollen, or no files at all."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import re
import socket
import struct
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from tests.hostile_files.damaged import damaged
from tests.hostile_files.samples import value_at_random

Make = Callable[[bytes, random.Random], bytes]


class Planted:
    """Executed by whoever unpickles it: leaves the file `executed` in the folder it is in."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch executed",)


PICKLE = pickle.dumps(Planted())


def harm(path: Path, rng: random.Random) -> str:
    """Put something hostile in the place of a good file; what it was, in a word."""
    kinds = [*_BY_SUFFIX[path.suffix], damaged, damaged, _tokens, _anything]
    if rng.random() < 0.04:
        return _no_file(path, rng)
    make = rng.choice(kinds)
    content = path.read_bytes()
    path.unlink()  # it may be a second name of the good one
    path.write_bytes(make(content, rng))
    return make.__name__


def _no_file(path: Path, rng: random.Random) -> str:
    path.unlink()
    kind = rng.choice(["fifo", "folder", "zero", "loop", "nowhere", "outside", "socket", "empty", "missing"])
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        before = Path.cwd()
        os.chdir(path.parent)  # the name of a socket is short
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(path.name)
        os.chdir(before)
    elif kind == "empty":
        path.touch()
    elif kind != "missing":
        path.symlink_to({"zero": "/dev/zero", "loop": path.name, "nowhere": "gone", "outside": "/etc/passwd"}[kind])
    return kind


NUMBER = re.compile(rb"-?\d+(\.\d+)?")
TOKENS = (
    *(b"-1", b"0", b"1e999", b"NaN", b"Infinity", b"2147483648", b"9223372036854775808", b"1" * 5000, b"true", b"null"),
    *(b"[]", b"{}", b"[" * 3000, b'{"a":' * 3000, b'"\\ud800"', b"\xff\xfe", b"\x00", b"&a [*a]", b"*a", b"<<: *a"),
    *(
        b"!!python/object/apply:os.system ['touch executed']",
        b"2026-13-45",
        b"0x",
        b"../../../etc/passwd",
        b"\xef\xbb\xbf",
    ),
)


def _tokens(content: bytes, rng: random.Random) -> bytes:
    """One to three numbers, or places, replaced by something that no parser likes."""
    for _ in range(rng.randint(1, 3)):
        found = list(NUMBER.finditer(content[:200_000]))
        place = rng.randrange(len(content) + 1)
        start, end = rng.choice(found).span() if found and rng.random() < 0.7 else (place, place)
        content = content[:start] + rng.choice(TOKENS) + content[end:]
    return content


def _anything(content: bytes, rng: random.Random) -> bytes:
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


def _mapping(content: bytes, rng: random.Random, parse: Callable[[bytes], Any], write: Callable[[Any], str]) -> bytes:
    """One value somewhere in a nested structure changed, left out, or put where it does not belong."""
    value = parse(content)
    at, key = value, None
    while isinstance(at, (dict, list)) and at:
        parent, key = at, rng.choice(list(at) if isinstance(at, dict) else range(len(at)))
        at = parent[key]
        if rng.random() < 0.25:
            break
    if key is None:
        return content
    action = rng.random()
    if action < 0.15:
        del parent[key]
    elif action < 0.25 and isinstance(parent, dict):
        parent[f"{key}x"] = parent.pop(key)
    else:
        parent[key] = value_at_random(rng)
    return write(value).encode("utf-8", "surrogatepass")


def _json_value(content: bytes, rng: random.Random) -> bytes:
    return _mapping(content, rng, json.loads, json.dumps)


def _yaml_value(content: bytes, rng: random.Random) -> bytes:
    return _mapping(content, rng, yaml.safe_load, lambda value: yaml.safe_dump(value, sort_keys=False))


def _yaml_bomb(content: bytes, rng: random.Random) -> bytes:
    """A few lines that stand for 9^9 values; as lists, or as merged mappings."""
    lists = "\n".join(f"b{n}: &b{n} [{', '.join([f'*b{n - 1}'] * 9) if n else '1'}]" for n in range(10))
    merged = "\n".join(
        f"m{n}: &m{n} {{{'<<: [' + ', '.join([f'*m{n - 1}'] * 9) + ']' if n else 'a: 1'}}}" for n in range(10)
    )
    return content + b"\n" + rng.choice([lists, merged, f"{lists}\nnames: *b9"]).encode()


def _jsonl_value(content: bytes, rng: random.Random) -> bytes:
    lines = content.split(b"\n")
    at = rng.randrange(len(lines))
    lines[at] = _json_value(lines[at], rng)
    return b"\n".join(lines)


def _long_text(content: bytes, rng: random.Random) -> bytes:
    """A megabyte of what makes careless patterns look back again and again."""
    piece = rng.choice(
        [
            *(
                "[",
                "![",
                "](",
                "<!--",
                "`",
                "```\n",
                "* ",
                "> ",
                "#",
                "# ",
                " #",
                "\n",
                " ",
                "\t",
                "_",
                "**",
                "a",
                "a.",
            ),
            *(
                ". ",
                "\u3002",
                "\u0301",
                "\n \n",
                "---\n",
                "- ",
                "1. ",
                "|",
                "&amp;",
                "\u200b",
                "!?",
                "\u202e",
                "(" * 50,
            ),
        ]
    )
    size = 10 ** rng.randint(3, 6)
    long = (piece * (size // len(piece) + 1))[:size]
    if content.startswith(b"{"):
        return json.dumps({"text": long}).encode() + b"\n" + content
    return content[:50] + (rng.choice(["", "# ", "x"]) + long + rng.choice(["", "x", "\n"])).encode() + content[50:]


SHAPES = (
    *("(2147483648, 768)", "(9223372036854775807,)", "(-1, 8)", "(True,)", "()", "(0,)", "(1e9,)", "(2**31,)", "None"),
    *("(0, 9223372036854775807)", "(" + "1," * 40 + ")", "(" * 90 + ")" * 90),
)
DTYPES = (
    *("'<f4'", "'<f4'", "'<f4'", "'|O'", "'<U536870911'", "[('a', '<f4')]", "('<f4', (2147483647,))", "'<c16'"),
    *("'|V8'", "'<M8[s]'", "'>f8'", "'x'", "'<f4'" * 3000, "__import__('os').system('touch executed')"),
)


def _npy_header(content: bytes, rng: random.Random) -> bytes:
    """A header that lies about the array's type, shape or order, or about its own length."""
    size = struct.unpack_from("<H", content, 8)[0]
    shape, dtype = rng.choice(SHAPES), rng.choice(DTYPES)
    order = rng.choice(["False", "True", "0"])
    text = f"{{'descr': {dtype}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    version = rng.choice([b"\x01\x00"] * 3 + [b"\x02\x00", b"\x03\x00", b"\x09\x00"])
    length = rng.choice([len(text)] * 4 + [0, 65_535])
    packed = struct.pack("<H" if version[0] == 1 else "<I", min(length, 65_535))
    return b"\x93NUMPY" + version + packed + text + content[10 + size :]


def _npy_values(content: bytes, rng: random.Random) -> bytes:
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


def _npy_pickle(content: bytes, rng: random.Random) -> bytes:
    out = io.BytesIO()
    np.save(out, np.array([Planted()] * rng.randint(1, 3), dtype=object), allow_pickle=True)
    return out.getvalue()


def _npz_member(content: bytes, rng: random.Random) -> bytes:
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
                    data = rng.choice([_npy_header, damaged, _anything])(data, rng)
                elif action == "pickle":
                    data = _npy_pickle(data, rng)
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


def _parquet_table(content: bytes, rng: random.Random) -> bytes:
    """A table with a column of another type, doubled, missing, null, or with odd metadata."""
    table = pq.read_table(io.BytesIO(content))
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
    out = io.BytesIO()
    pq.write_table(changed.replace_schema_metadata(notes), out)
    return out.getvalue()


def _parquet_bomb(content: bytes, rng: random.Random) -> bytes:
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


def _safetensors_header(content: bytes, rng: random.Random) -> bytes:
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


_BY_SUFFIX: dict[str, list[Make]] = {
    ".json": [_json_value] * 3,
    ".yaml": [_yaml_value, _yaml_value, _yaml_bomb],
    ".jsonl": [_jsonl_value, _jsonl_value, _long_text],
    ".txt": [_long_text, _long_text],
    ".md": [_long_text] * 3,
    ".csv": [],
    ".npy": [_npy_header, _npy_header, _npy_values, _npy_pickle],
    ".npz": [_npz_member] * 4,
    ".parquet": [_parquet_table, _parquet_table, _parquet_table, _parquet_bomb],
    ".safetensors": [_safetensors_header] * 4,
}
