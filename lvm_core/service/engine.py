"""The work behind the endpoints, for several requests at once: text to chunks, vectors, context, prediction, text."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np

from lvm_core.config.groups import Fill
from lvm_core.corpus.chunker import fit_pieces, join_short, most_pieces, split_long
from lvm_core.runtime.errors import LvmError
from lvm_core.service.confidence import CROWD, lead
from lvm_core.service.loading import OTHER_BANK, Parts
from lvm_core.service.nearest import Candidate, Context
from lvm_core.service.schemas import ChatRequest, PredictRequest, RetrieveRequest, Settings
from lvm_core.windows import CONTEXT

NOTE = (
    "Of predictions on held-out text{of} that stood out as much, this share had the true next chunk among the five "
    "nearest of the bank. {others}"
)

NO_NOTE = "No confidence: none was measured for this model and this kind of context."


class Job(Protocol):
    """A request and the milliseconds that it waited (`state.Job`)."""

    request: Any
    waited_ms: float


@dataclass
class Now:
    """A request that did not wait."""

    request: Any
    waited_ms: float = 0.0


@dataclass
class Chat:
    """A chat request being worked on."""

    request: ChatRequest
    chunks: list[str]
    """All chunks of its text, oldest first."""
    times: dict[str, float]
    """Milliseconds of each part, of the batch it is in."""
    context: Context
    """The five chunks the first prediction reads."""
    reading: np.ndarray
    """[5, D] the vectors that the next prediction reads."""
    memory: np.ndarray | None
    """[D] what the model sees beside the five; None where it sees these alone."""
    left_out: list[int]
    """Bank rows that are no answer."""
    similar: list[Candidate]
    """What plain retrieval finds: the chunks nearest to the last given one."""
    steps: list[dict[str, Any]] = field(default_factory=list)
    """Of the answer, with their texts apart."""
    texts: list[str] = field(default_factory=list)
    similarities: list[float] = field(default_factory=list)
    """[5] cosine of the first prediction with each place."""


class Engine:
    """Answers batches of requests."""

    def __init__(self, parts: Parts, settings: Settings) -> None:
        self.parts, self.settings = parts, settings

    def warm_up(self) -> None:
        """Go every way once, so that the first user does not wait for what is made only when it is needed."""
        rows = np.arange(CONTEXT) % len(self.parts.bank.vectors)
        context = np.asarray(self.parts.bank.vectors[rows], dtype=np.float32)
        if not np.isfinite(self.parts.model.predict(context)).all():
            raise LvmError(f"{self.parts.directory}: predicts values that are not finite; train the model again")
        if self.parts.encoder is not None:
            for _ in range(2):
                self.chat([Now(ChatRequest(paragraph="The first request is slower than those after it."))])

    def chat(self, jobs: Sequence[Job]) -> list[dict[str, Any]]:
        """Answers of /chat."""
        begun = time.perf_counter()
        chats = self._read(jobs)
        for step in range(1, max(chat.request.steps for chat in chats) + 1):
            self._predict_step([chat for chat in chats if chat.request.steps >= step], step)
        spent = (time.perf_counter() - begun) * 1e3
        return [self._answer(chat, spent) for chat in chats]

    def predict(self, jobs: Sequence[Job]) -> list[dict[str, Any]]:
        """Answers of /predict: all contexts of all requests in one pass."""
        requests: list[PredictRequest] = [job.request for job in jobs]
        begun = time.perf_counter()
        contexts = _unit(np.array([one for request in requests for one in request.contexts], dtype=np.float32))
        ends = np.cumsum([len(request.contexts) for request in requests])
        vectors = self.parts.model.predict(contexts, self._memories(requests, np.split(contexts, ends[:-1])))
        spent = (time.perf_counter() - begun) * 1e3
        return [
            {"vectors": part.tolist(), "model": self.parts.name, "latency_ms": round(spent, 3)}
            for part in np.split(vectors, ends[:-1])
        ]

    def _memories(self, requests: Sequence[PredictRequest], contexts: Sequence[np.ndarray]) -> np.ndarray | None:
        """[B, D] what the model sees beside all contexts; None where it has no memory."""
        if not self._remembers:
            return None
        each = zip(requests, contexts, strict=True)
        means: list[Any] = []
        for request, some in each:
            means += request.memory or [self.parts.model.memory_of(context) for context in some]
        return np.array(means, dtype=np.float32)

    @property
    def _remembers(self) -> bool:
        return self.parts.model.sees == "memory"

    def retrieve(self, jobs: Sequence[Job]) -> list[dict[str, Any]]:
        """Answers of /retrieve."""
        requests: list[RetrieveRequest] = [job.request for job in jobs]
        begun = time.perf_counter()
        texts = [request.text for request in requests if request.text is not None]
        encoded = iter(self._encode(texts)) if texts else iter(())
        asked = [next(encoded) if request.text is not None else np.array(request.vector) for request in requests]
        queries = _unit(np.stack(asked).astype(np.float32))
        most = max(request.count for request in requests)
        found = self.parts.chunks.nearest(queries, [[]] * len(requests), most)
        spent = (time.perf_counter() - begun) * 1e3
        return [
            {"candidates": [_source(one) for one in some[: request.count]], "latency_ms": round(spent, 3)}
            for request, some in zip(requests, found, strict=True)
        ]

    def chunks_of(self, request: ChatRequest) -> list[str]:
        """The chunks of a request's text, cut as the corpus was; a message is one chunk unless it is too long."""
        low, high = self.settings.min_chars, self.settings.max_chars
        if request.messages is not None:
            pieces = [" ".join(message.split()) for message in request.messages]
        else:
            paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", request.paragraph or "")]
            pieces = join_short([paragraph for paragraph in paragraphs if paragraph], low)
        chunks = [chunk for piece in pieces for chunk in split_long(piece, low, high)]
        measure = self.parts.encoder.pieces if self.parts.encoder else None
        most = most_pieces(self.settings.max_pieces, measure)
        return fit_pieces(chunks, low, most, measure) if measure and most else chunks

    def _encode(self, texts: list[str]) -> np.ndarray:
        if self.parts.encoder is None:
            raise ValueError("text cannot be encoded by this service")
        return self.parts.encoder.encode(texts)

    def _read(self, jobs: Sequence[Job]) -> list[Chat]:
        """Cut the texts, encode what the model reads of each, and fill their contexts."""
        cut: list[list[str]] = []
        each: list[dict[str, float]] = []
        for job in jobs:
            each.append({"queue_ms": job.waited_ms})
            with timed(each[-1], "chunking_ms"):
                cut.append(self.chunks_of(job.request))
        spent: dict[str, float] = {}
        with timed(spent, "encoding_ms"):
            given = cut if self._remembers else [chunks[-CONTEXT:] for chunks in cut]
            vectors = self._encode([chunk for chunks in given for chunk in chunks])
            whole = np.split(vectors, np.cumsum([len(chunks) for chunks in given])[:-1])
        with timed(spent, "context_build_ms"):
            parts = [one[-CONTEXT:] for one in whole]
            memories = [self.parts.model.memory_of(one) for one in whole]
            same, cosines = self.parts.index.same_as_each(parts)
            contexts = self.parts.filler.fill(parts, [job.request.fill or self.settings.fill for job in jobs])
            left_out = [[*context.bank_rows, *rows] for context, rows in zip(contexts, same, strict=True)]
            ranked = zip(cosines, left_out, jobs, strict=True)
            similar = [self.parts.chunks.best(of_one, out, job.request.candidates) for of_one, out, job in ranked]
        spent |= {"lvm_inference_ms": 0.0, "decoding_ms": 0.0}
        return [
            Chat(job.request, chunks, own | spent, context, context.vectors, memory, out, found)
            for job, chunks, own, context, memory, out, found in zip(
                jobs, cut, each, contexts, memories, left_out, similar, strict=True
            )
        ]

    def _predict_step(self, chats: list[Chat], step: int) -> None:
        """One step ahead for all that go so far; the prediction then takes the last place, as in the rollout.

        The memory stays that of the text.
        """
        spent: dict[str, float] = {}
        with timed(spent, "inference"):
            memories = [chat.memory for chat in chats if chat.memory is not None]
            reading = np.stack([chat.reading for chat in chats])
            predicted = self.parts.model.predict(reading, np.stack(memories) if memories else None)
        with timed(spent, "decode"):
            most = max(CROWD, *(chat.request.candidates + step for chat in chats))
            found = self.parts.chunks.nearest(predicted, [chat.left_out for chat in chats], most)
            texts = self.parts.decoder.decode(predicted, found, [chat.texts for chat in chats])
        for chat, vector, candidates, text in zip(chats, predicted, found, texts, strict=True):
            if step == 1:
                chat.similarities = [float(value) for value in chat.reading @ vector]
            chat.steps.append(
                {
                    "step": step,
                    "confidence": self._confidence(chat, candidates, step),
                    "candidates": [_source(one) for one in candidates[: chat.request.candidates]],
                    "latency_ms": {key: round(value, 3) for key, value in spent.items()},
                }
            )
            chat.texts.append(text)
            chat.times["lvm_inference_ms"] += spent["inference"]
            chat.times["decoding_ms"] += spent["decode"]
            chat.reading = np.concatenate([chat.reading[1:], vector[None]])

    def _confidence(self, chat: Chat, candidates: list[Candidate], step: int) -> float | None:
        if self.parts.calibration is None:
            return None
        score = float(lead(np.array([[one.score for one in candidates[:CROWD]]], dtype=np.float32))[0])
        fill: Fill = "neighbours" if chat.context.mode == "neighbours" else "repeat"
        return self.parts.calibration.confidence(score, chat.context.given, step, fill)

    def _answer(self, chat: Chat, spent: float) -> dict[str, Any]:
        context = chat.context
        confidence = chat.steps[0]["confidence"]
        before = max(len(chat.chunks) - CONTEXT, 0)
        return {
            "response": "\n\n".join(filter(None, chat.texts)),
            "confidence": confidence,
            "confidence_note": self._note(confidence),
            "chunks_used": CONTEXT,
            "input_chunks": chat.chunks,
            "read_before": before if self._remembers else 0,
            "dropped_chunks": 0 if self._remembers else before,
            "context": {"mode": context.mode, "given": context.given, "slots": self._slots(chat)},
            "steps": chat.steps,
            "similar": [_source(one) for one in chat.similar],
            "latency_breakdown": {key: round(value, 3) for key, value in chat.times.items()},
            "total_latency_ms": round(spent + chat.times["queue_ms"], 3),
            "model": self.parts.name,
        }

    def _note(self, confidence: float | None) -> str:
        calibration = self.parts.calibration
        if confidence is None or calibration is None:
            why_not = calibration and calibration.why_not
            return OTHER_BANK if self.parts.other_bank else f"No confidence: {why_not}." if why_not else NO_NOTE
        of = f" of {', '.join(calibration.sources)} ({calibration.articles} articles)" if calibration.articles else ""
        far = calibration.bias.get("ood")
        return NOTE.format(
            of=of,
            others=f"On text of another source it stated {far['stated']:.0%} where {far['observed']:.0%} was observed."
            if far
            else "Indicative only for text unlike the training text.",
        )

    def _slots(self, chat: Chat) -> list[dict[str, Any]]:
        context, own = chat.context, chat.chunks[-CONTEXT:]
        slots: list[dict[str, Any]] = []
        for place, row in enumerate(context.rows):
            number = place - (CONTEXT - context.given)
            if row is not None:
                found = self.parts.chunks.candidate(row, 0.0)
                slots.append({"text": found.text, "source": "bank", "title": found.title})
            else:
                source = "you" if number >= 0 else "repeated"
                slots.append({"text": own[max(number, 0)], "source": source, "title": None})
        return [{**slot, "similarity": round(value, 4)} for slot, value in zip(slots, chat.similarities, strict=True)]


@contextmanager
def timed(times: dict[str, float], key: str) -> Iterator[None]:
    """Note the milliseconds that the block takes."""
    begun = time.perf_counter()
    yield
    times[key] = (time.perf_counter() - begun) * 1e3


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of unit length; rows of zeros stay."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(norms > 0, norms, 1.0)


def _source(candidate: Candidate) -> dict[str, Any]:
    told = asdict(candidate)
    del told["row"]
    return {**told, "score": round(candidate.score, 4)}
