"""Hostile versions of compressed files of text, and of dumps of wikis."""

from __future__ import annotations

import bz2
import gzip
import io
import random
import re
from collections.abc import Callable
from functools import partial

import pyarrow as pa

from tests.hostile_files.samples import pack_zst
from tests.hostile_files.texts import jsonl_value, long_text, tokens


def _unpack_zst(content: bytes) -> bytes:
    return bytes(pa.input_stream(io.BytesIO(content), compression="zstd").read())


GZIP: Callable[[bytes], bytes] = partial(gzip.compress, mtime=0)
"""The same bytes at any time."""

PACKED: tuple[tuple[bytes, Callable[[bytes], bytes], Callable[[bytes], bytes]], ...] = (
    (b"\x1f\x8b", gzip.decompress, GZIP),
    (b"BZh", bz2.decompress, bz2.compress),
    (b"\x28\xb5", _unpack_zst, pack_zst),
)
"""First bytes of a compressed file; what unpacks it, and what packs it."""


def packed(content: bytes, rng: random.Random) -> bytes:
    """What is in a compressed file made hostile; of three such files one is packed in another way, or not at all."""
    _, unpack, pack = next(entry for entry in PACKED if content.startswith(entry[0]))
    inside = unpack(content)
    make = rng.choice([xml, xml, long_text] if inside.startswith(b"<") else [jsonl_value, long_text, tokens])
    pack = pack if rng.random() < 0.67 else rng.choice([bytes, *(entry[2] for entry in PACKED)])
    return pack(make(inside, rng))


def many_parts(content: bytes, rng: random.Random) -> bytes:
    """300 MB of one character in the middle, in small streams: of the file's own kind, or of another one."""
    _, unpack, pack = next(entry for entry in PACKED if content.startswith(entry[0]))
    inside = unpack(content)
    cut, other = rng.randrange(len(inside)), rng.choice([pack, pack, GZIP, bz2.compress])
    return pack(inside[:cut]) + other(rng.choice([b" ", b"\n", b"a"]) * 1_000_000) * 300 + pack(inside[cut:])


WIKITEXT = (
    *("{{a|", "[[a|", "{|\n", "[http://a ", "{{{a|", "]]}}", "|}", "*", "#", ":;", "==", "'''''", "__", "\n==a==\n"),
    *("&lt;b>", "&lt;ref name=", "&lt;!--", "&lt;nowiki>", "&lt;b>{{a|&lt;/b>}}", "&lt;br>", "[[File:a.jpg|", "~"),
    *("<page>", "<revision>", "</page>", "<a>", "<text/>", "&#x202e;", "&#1;", "]]>", "<![CDATA[", "<!--", "<?a?>"),
)


def xml(content: bytes, rng: random.Random) -> bytes:
    """A dump with an element doubled, left out or renamed, with much of what is hard to parse, or with entities."""
    action = rng.randrange(4)
    if action == 0:
        laughs = "".join(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, rng.randrange(2, 12)))
        outside = '<!ENTITY b SYSTEM "file:///etc/passwd">'
        head = f"<!DOCTYPE mediawiki [<!ENTITY a0 'ha'>{laughs}{outside}]>".encode()
        return head + content.replace(b"Paragraph", rng.choice([b"&a1;", b"&a9;", b"&b;"]), rng.randrange(1, 20))
    found = rng.choice(list(re.finditer(rb"</?(\w+)[^<>]*>", content)))
    if action == 1:
        odd = rng.choice([b"", found[0] * 2, b"<page>", b"</page>", b"<x:y>", b"<text>" * 20_000, found[0].upper()])
        return content[: found.start()] + odd + content[found.end() :]
    if action == 2:
        values = [b"", b" ", b"-1", b"9" * 5000, b"&#x2028;", b"A" * 10**6, b"../../etc/passwd", b"\xff", b"<b/>"]
        return content[: found.end()] + rng.choice(values) + content[found.end() :]
    piece = rng.choice(WIKITEXT).encode()
    place = content.index(b"<text>") + 6 if rng.random() < 0.8 else found.end()
    return content[:place] + piece * (10 ** rng.randint(1, 5) // len(piece) + 1) + content[place:]
