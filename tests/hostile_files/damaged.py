"""Bytes as a bad disk or a broken copy leaves them."""

from __future__ import annotations

import random


def damaged(content: bytes, rng: random.Random) -> bytes:
    """The content with some bytes changed, or cut off, or a part of it repeated or left out."""
    place, length = rng.randrange(len(content) + 1), rng.randrange(1, 200)
    kind = rng.randrange(4)
    if kind == 0:
        changed = bytearray(content)
        for _ in range(rng.randrange(1, 5)):
            # headers, ids and the table of contents are a small part of the file: half of the hits go there
            at = rng.randrange(len(content)) if rng.random() < 0.5 else -rng.randrange(1, min(1500, len(content)) + 1)
            changed[at] = rng.randrange(256)
        return bytes(changed)
    if kind == 1:
        return content[:place]
    if kind == 2:
        return content[:place] + content[max(place - length, 0) :]
    return content[:place] + content[place + length :]
