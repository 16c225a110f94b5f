"""Hostile versions of good files: damaged at random, lying about their size, swollen, or no files at all."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable
from pathlib import Path

from tests.hostile_files import binary, dumps, texts
from tests.hostile_files.damaged import damaged

Make = Callable[[bytes, random.Random], bytes]


def harm(path: Path, rng: random.Random) -> str:
    """Put something hostile in the place of a good file; what it was, in a word."""
    kinds = [*_BY_SUFFIX[path.suffix], damaged, damaged, texts.tokens, binary.anything]
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


_BY_SUFFIX: dict[str, list[Make]] = {
    ".json": [texts.json_value, texts.json_value, texts.json_number],
    ".yaml": [texts.yaml_value, texts.yaml_value, texts.yaml_number, texts.yaml_number, texts.yaml_bomb],
    ".jsonl": [texts.jsonl_value, texts.jsonl_value, texts.long_text],
    ".txt": [texts.long_text, texts.long_text],
    ".md": [texts.long_text] * 3,
    ".csv": [],
    ".npy": [binary.npy_header, binary.npy_header, binary.npy_values, binary.npy_pickle],
    ".npz": [binary.npz_member] * 4,
    ".parquet": [binary.parquet_table, binary.parquet_table, binary.parquet_table, binary.parquet_bomb],
    ".arrow": [binary.arrow_table] * 3,
    **{suffix: [dumps.packed, dumps.packed, dumps.many_parts] for suffix in (".gz", ".zst", ".bz2")},
    ".xml": [dumps.xml, dumps.xml, texts.long_text],
    ".safetensors": [binary.safetensors_header] * 4,
}
