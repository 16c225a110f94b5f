"""Hostile versions of files of text: json, YAML, jsonl and plain text."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import escape

import yaml

from tests.hostile_files.samples import value_at_random

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


def tokens(content: bytes, rng: random.Random) -> bytes:
    """One to three numbers, or places, replaced by something that no parser likes."""
    for _ in range(rng.randint(1, 3)):
        found = list(NUMBER.finditer(content[:200_000]))
        place = rng.randrange(len(content) + 1)
        start, end = rng.choice(found).span() if found and rng.random() < 0.7 else (place, place)
        content = content[:start] + rng.choice(TOKENS) + content[end:]
    return content


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


HUGE = (2**31 - 1, 2**31, 2**63, -1, 0, 10**30, 1e300, -1e300, 5e-324, float("nan"), float("inf"), "1e-3", True)


def _number(content: bytes, rng: random.Random, parse: Callable[[bytes], Any], write: Callable[[Any], str]) -> bytes:
    """One number, each as likely as any other, made absurd."""
    value = parse(content)
    places: list[tuple[Any, Any]] = []
    stack = [value]
    while stack:
        at = stack.pop()
        for key, inner in at.items() if isinstance(at, dict) else enumerate(at) if isinstance(at, list) else ():
            if isinstance(inner, (int, float)):
                places.append((at, key))
            stack.append(inner)
    if places:
        parent, key = rng.choice(places)
        parent[key] = rng.choice(HUGE)
    return write(value).encode("utf-8", "surrogatepass")


def json_number(content: bytes, rng: random.Random) -> bytes:
    """A number in a json file made absurd."""
    return _number(content, rng, json.loads, json.dumps)


def yaml_number(content: bytes, rng: random.Random) -> bytes:
    """A number in a YAML file made absurd."""
    return _number(content, rng, yaml.safe_load, _as_yaml)


def _as_yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False)


def json_value(content: bytes, rng: random.Random) -> bytes:
    """A value in a json file changed, see `_mapping`."""
    return _mapping(content, rng, json.loads, json.dumps)


def yaml_value(content: bytes, rng: random.Random) -> bytes:
    """A value in a YAML file changed, see `_mapping`."""
    return _mapping(content, rng, yaml.safe_load, _as_yaml)


def yaml_bomb(content: bytes, rng: random.Random) -> bytes:
    """A few lines that stand for 9^9 values; as lists, or as merged mappings."""
    lists = "\n".join(f"b{n}: &b{n} [{', '.join([f'*b{n - 1}'] * 9) if n else '1'}]" for n in range(10))
    merged = "\n".join(
        f"m{n}: &m{n} {{{'<<: [' + ', '.join([f'*m{n - 1}'] * 9) + ']' if n else 'a: 1'}}}" for n in range(10)
    )
    return content + b"\n" + rng.choice([lists, merged, f"{lists}\nnames: *b9"]).encode()


def jsonl_value(content: bytes, rng: random.Random) -> bytes:
    """A value in one of the lines changed."""
    lines = content.split(b"\n")
    at = rng.randrange(len(lines))
    lines[at] = json_value(lines[at], rng)
    return b"\n".join(lines)


def long_text(content: bytes, rng: random.Random) -> bytes:
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
    if content.startswith(b"<"):
        return content.replace(b"Paragraph", escape(long).encode(), 1)
    if content.startswith(b"{"):
        return json.dumps({"text": long}).encode() + b"\n" + content
    return content[:50] + (rng.choice(["", "# ", "x"]) + long + rng.choice(["", "x", "\n"])).encode() + content[50:]
