"""What a request may ask for. Every limit is told in /info and in the sentence of the answer that refuses."""

from __future__ import annotations

from dataclasses import dataclass

from lvm_core.continuation.params import Fill

BODY_BYTES = 4 << 20
"""Enough for the most contexts of 768 dimensions, written in full."""
BODY_SECONDS = 10.0
DIGITS = 400
"""Of a whole number in a body."""
MESSAGES = 5
CHARACTERS = 20_000
"""Of a paragraph, a message or a text."""
CANDIDATES = 20
RETRIEVED = 50
VECTORS = 64
"""Contexts of one /predict."""


@dataclass(frozen=True)
class Settings:
    """What the command line and params.yaml set.

    Attributes:
        fill: strategy for contexts of fewer than five chunks, unless a request names one.
        steps: most chunks ahead.
        min_chars: of a chunk, as in the corpus the model was trained on.
        max_chars: of a chunk, likewise.
        threads: of the numeric libraries.
        queue: requests that may wait; the next one is answered with 429.
        max_batch: requests that are worked on together.
        patience: seconds after which a waiting request is answered with 503.
    """

    fill: Fill = "repeat"
    steps: int = 5
    min_chars: int = 120
    max_chars: int = 800
    threads: int = 2
    queue: int = 64
    max_batch: int = 16
    patience: float = 30.0
