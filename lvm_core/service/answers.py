"""What the service answers, as its client gives it on, and as text to read in a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Found:
    """A chunk of the bank; `score` is its cosine with the vector asked for."""

    text: str
    title: str
    article_id: str
    source: str
    chunk_index: int
    score: float


@dataclass(frozen=True)
class Place:
    """One of the five chunks that were read; `source` is "you", "bank" or "repeated" (yours, a second time)."""

    text: str
    source: str
    title: str | None
    similarity: float


@dataclass(frozen=True)
class Step:
    """A prediction: the chunks nearest to it, best first."""

    step: int
    confidence: float | None
    candidates: tuple[Found, ...]


@dataclass(frozen=True)
class Continuation:
    """What /chat answers."""

    response: str
    """The best text of every step."""
    confidence: float | None
    """Of the first step, from 0 to 1; None where none was measured."""
    confidence_note: str
    """What that number says."""
    steps: tuple[Step, ...]
    """The predictions, nearest first."""
    places: tuple[Place, ...]
    """The five chunks the first prediction read, oldest first."""
    mode: str
    """How they came about: "given", "neighbours" or "repeat"."""
    dropped_chunks: int
    """Of the text, which were too many and went unread."""
    model: str
    """Its recipe."""
    milliseconds: dict[str, float]
    """Of each part of the work."""
    total_ms: float
    """Of all of it."""


@dataclass(frozen=True)
class Health:
    """State of the service: "starting", "ready", "degraded" or "stopping", and why."""

    status: str
    reasons: tuple[str, ...]
    model: str
    uptime_s: float

    @property
    def answers(self) -> bool:
        """Whether requests are answered."""
        return self.status in ("ready", "degraded")


def found(candidates: Sequence[dict[str, Any]]) -> tuple[Found, ...]:
    """Candidates as the service answers them; fields of a later version are left out."""
    return tuple(_known(Found, one) for one in candidates)


def health(told: dict[str, Any]) -> Health:
    """The answer of /health."""
    return _known(Health, {**told, "reasons": tuple(told["reasons"])})


def _known(kind: type[T], told: dict[str, Any]) -> T:
    return kind(**{name: told[name] for name in kind.__match_args__})  # type: ignore[attr-defined]


def continuation(told: dict[str, Any]) -> Continuation:
    """The answer of /chat."""
    return Continuation(
        told["response"],
        told["confidence"],
        told["confidence_note"],
        tuple(Step(one["step"], one["confidence"], found(one["candidates"])) for one in told["steps"]),
        tuple(_known(Place, slot) for slot in told["context"]["slots"]),
        told["context"]["mode"],
        told["dropped_chunks"],
        told["model"],
        told["latency_breakdown"],
        told["total_latency_ms"],
    )


def described(answer: Continuation, width: int = 96) -> str:
    """A continuation as text to read in a terminal."""
    lines = [*_wrapped(answer.response, width), "", f"confidence: {_percent(answer.confidence)}"]
    lines += [*_wrapped(answer.confidence_note, width, "  "), ""]
    for step in answer.steps:
        lines.append(f"step {step.step}, confidence {_percent(step.confidence)}")
        for one in step.candidates:
            lines.append(f"  {one.score:.2f}  {one.title} ({one.source}, chunk {one.chunk_index})")
            lines.append(textwrap.shorten(one.text, width - 8, initial_indent=" " * 8, placeholder=" ..."))
    filled = sum(place.source != "you" for place in answer.places)
    notes = [f"{answer.total_ms:.0f} ms"]
    notes += [f"{filled} of {len(answer.places)} places filled by {answer.mode}"] if filled else []
    notes += [f"{answer.dropped_chunks} older chunks of the text unread"] if answer.dropped_chunks else []
    lines += ["", f"{answer.model}: {', '.join(notes)}"]
    return "\n".join(_printable(line) for line in lines)


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    wrap = [textwrap.fill(part, width, initial_indent=indent, subsequent_indent=indent) for part in text.split("\n\n")]
    return "\n\n".join(wrap).splitlines()


def _percent(share: float | None) -> str:
    if share is None:
        return "none stated"
    if share < 0.0005:
        return "under 0.1%"
    return f"{share:.1%}" if share < 0.1 else f"{share:.0%}"


def _printable(line: str) -> str:
    """Without control characters: a text must not command the terminal."""
    return "".join(character if character.isprintable() else " " for character in line)
