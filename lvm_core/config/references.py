"""The reference predictors, what each row of the comparison sees, and whom it is held against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

Sees = Literal["context", "memory", "document", "answer"]
"""What a predictor is given: the five chunks; also the mean of all chunks of the article before the target; also the
mean of the whole article, which someone must have known beforehand; the chunk to be predicted. Each includes the ones
before it."""

_ORDER = get_args(Sees)

ORACLE = "oracle"

REFERENCES: dict[str, Sees] = {
    ORACLE: "answer",
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


DIRECTION_REFERENCES = ("copy_last", "context_mean", "corpus_mean", "random", "article_centroid")
"""Those that are judged on articles read backwards too: all that read no order, and the last chunk."""


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


def numbers_text(name: str, fit: Mapping[str, Any]) -> str:
    """What a reference has fitted (`fit` of its summary), in words; empty where it has nothing to fit."""
    mean = {"memory": "what was read", "document": "the document's mean"}.get(REFERENCES[name], "the mean of train")
    forms = {
        "decay": "decay {:g}",
        "less": f"less {{:g}} x {mean}",
        "exponent": "exponent {:g}",
        "strength": "penalty {:g}",
    }
    parts = [form.format(fit[key]) for key, form in forms.items() if key in fit]
    if "weights" in fit:
        parts.append(f"weights {', '.join(f'{weight:.2f}' for weight in fit['weights'])}")
    return ", ".join(parts) + (f" (the best of {fit['tried']} on dev)" if fit.get("tried", 1) > 1 else "")


class Relative(NamedTuple):
    """A near relative of the references: y = (sum_i w_i ctx_i - less x mean) . Cov^-exponent + noise x random unit."""

    weights: tuple[float, ...]
    """Of the context, oldest chunk first."""
    less: float = 0.0
    exponent: float = 0.0
    noise: float = 0.0
    sees: Sees = "context"
    """With `memory` the mean is that of what has been read, else that of `train`."""


_LAST, _LAST_TWO = (0.0, 0.0, 0.0, 0.0, 1.0), (0.0, 0.0, 0.0, 0.5, 0.5)
_HALVING = (1 / 31, 2 / 31, 4 / 31, 8 / 31, 16 / 31)

RELATIVES = {
    **{f"centred_{share}": Relative(_LAST, share) for share in (0.3, 0.6, 1.0)},
    **{f"whitened_{exponent}": Relative(_LAST, 1.0, exponent) for exponent in (0.1, 0.3, 0.5)},
    **{f"noisy_{length}": Relative(_LAST, noise=length) for length in (0.3, 0.6)},
    **{f"two_less_{share}": Relative(_LAST_TWO, share) for share in (0.0, 0.7)},
    **{f"memory_{share}": Relative(_HALVING, share, sees="memory") for share in (0.3, 0.6, 1.0)},
}
"""By name. Nobody's rivals, but none may be certified without beating every reference that sees as much
(`fivecat.relatives`)."""
