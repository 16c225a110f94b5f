"""The reference predictors, what each row of the comparison sees, and whom it is held against."""

from __future__ import annotations

from typing import Literal, get_args

Sees = Literal["context", "memory", "document", "answer"]
"""What a predictor is given: the five chunks; also the mean of all chunks of the article before the target; also the
mean of the whole article, which someone must have known beforehand; the chunk to be predicted. Each includes the ones
before it."""

_ORDER = get_args(Sees)

REFERENCES: dict[str, Sees] = {
    "oracle": "answer",
    "copy_last": "context",
    "context_mean": "context",
    "linear5": "context",
    "decay": "context",
    "decay_centred": "context",
    "decay_whitened": "context",
    "decay_memory": "memory",
    "decay_document": "document",
    "ridge": "context",
    "article_centroid": "document",
    "corpus_mean": "context",
    "random": "context",
}
"""What each sees, in the order of the tables."""

FORMULAS = ("decay", "decay_centred", "decay_whitened", "decay_memory", "decay_document")
"""Those of a few numbers that are chosen on `dev` (`fivecat.formulas`); a recipe may start from one."""

TURNED = ("decay_whitened", "decay_memory", "decay_document")
"""Those with a matrix."""


def sees_of(memory: str | None) -> Sees:
    """What a model with this `model.memory` sees."""
    return {None: "context", "read": "memory", "document": "document"}[memory]  # type: ignore[return-value]


def within(sees: Sees, limit: Sees) -> bool:
    """Whether a predictor that sees this much sees no more than the limit."""
    return _ORDER.index(sees) <= _ORDER.index(limit)


def rivals_of(name: str, sees: Sees) -> list[str]:
    """The reference predictors that a row is held against: all that see no more than it does, itself excluded.

    The oracle is nobody's rival.
    """
    seen: Sees = "document" if sees == "answer" else sees
    return [other for other, what in REFERENCES.items() if other != name and within(what, seen)]
