"""A client of the service: `python -m lvm_core.service.client "text"`, or `Client("http://127.0.0.1:9007").chat("text")`."""

from __future__ import annotations

import http.client
import json
import textwrap
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Container, Sequence
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError

from lvm_core.runtime.cli import Parser, run_command
from lvm_core.runtime.errors import LvmError
from lvm_core.service.schemas import ChatAnswer, Health, Info, PredictAnswer, RetrieveAnswer, Source
from lvm_core.windows import CONTEXT

A = TypeVar("A", bound=BaseModel)

ADDRESS = "http://127.0.0.1:9007"
TIMEOUT = 60.0
"""Seconds without a byte after which a request is given up; the service itself answers within its patience."""

NUMBER_BYTES = 16
"""Of a float32 value in JSON, with its comma: nine digits tell it exactly."""

AGAIN = (429, 503)
"""Busy, and starting or stopping: the same request may be answered later."""


class ServiceError(LvmError):
    """The service refused a request (the message is its sentence) or cannot be reached.

    Attributes:
        status: of HTTP; None where there was no answer.
        retry_after: seconds after which the service asks to be asked again, if it does.
    """

    def __init__(self, sentence: str, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(sentence)
        self.status, self.retry_after = status, retry_after


class Client:
    """Asks a running service, directly (never through a proxy)."""

    def __init__(self, address: str = ADDRESS, patience: float = 30.0) -> None:
        try:
            parts = urllib.parse.urlsplit(address)
            usable = parts.scheme in ("http", "https") and parts.hostname is not None and parts.port != 0
            usable = usable and not (parts.username or parts.query or parts.fragment)
        except ValueError:
            usable = False
        if not usable:
            raise ServiceError(f"{address}: is no address of a service; give one like {ADDRESS}")
        self.address, self.patience = address.rstrip("/"), patience
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def health(self) -> Health:
        """State of the service, also while it is starting."""
        return self._once("/health", None, Health, also=503)

    def info(self) -> dict[str, Any]:
        """Model, held-out figures, encoder, bank and limits."""
        return dict(self._ask("/info", None, Info).model_dump())

    def wait_until_ready(self, seconds: float = 60.0) -> Health:
        """Wait until requests are answered; the state then."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                state = self.health()
                if state.answers:
                    return state
                why = ServiceError(f"{self.address}: is {state.status} after {seconds:g} s", 503)
            except ServiceError as error:
                why = error
            if time.monotonic() >= deadline:
                raise why
            time.sleep(min(0.2, max(deadline - time.monotonic(), 0.0)))

    def chat(
        self, text: str | Sequence[str], *, steps: int = 1, candidates: int = 5, fill: str | None = None
    ) -> ChatAnswer:
        """What the model predicts to come next; `similar` is what plain retrieval finds for the last chunk instead."""
        question: dict[str, Any] = {"steps": steps, "candidates": candidates}
        question |= {"paragraph": text} if isinstance(text, str) else {"messages": list(text)}
        question |= {} if fill is None else {"fill": fill}
        return self._ask("/chat", question, ChatAnswer)

    def predict(self, contexts: np.ndarray, memory: np.ndarray | None = None) -> np.ndarray:
        """Predicted vectors, in as many requests as the service's limits ask for.

        Args:
            contexts: [B, 5, D] numbers, oldest chunk first.
            memory: [B, D] what a model with a memory sees beside them (`LoadedModel.memory_of`); None: the five alone.

        Returns:
            [B, D] float32 unit rows.
        """
        values = np.asarray(contexts, dtype=np.float32)
        if values.ndim != 3 or values.shape[1] != CONTEXT or 0 in values.shape:
            raise ServiceError(f"contexts: have shape {list(values.shape)}, not [B, {CONTEXT}, D]")
        means = None if memory is None else np.asarray(memory, dtype=np.float32)
        if means is not None and means.shape != (len(values), values.shape[2]):
            raise ServiceError(f"memory: has shape {list(means.shape)}, not {[len(values), values.shape[2]]}")
        limits = self._ask("/info", None, Info).limits
        per_context = (CONTEXT + (means is not None)) * values.shape[2] * NUMBER_BYTES
        size = max(1, min(limits["contexts"], (limits["body_bytes"] - 100) // per_context))
        answers = []
        for begin in range(0, len(values), size):
            asked = {"contexts": _numbers(values[begin : begin + size])}
            asked |= {} if means is None else {"memory": _numbers(means[begin : begin + size])}
            answers.append(self._ask("/predict", asked, PredictAnswer))
        return np.concatenate([np.array(answer.vectors, dtype=np.float32) for answer in answers])

    def retrieve(
        self, *, text: str | None = None, vector: Sequence[float] | np.ndarray | None = None, count: int = 5
    ) -> list[Source]:
        """The chunks of the bank nearest to a text or to a vector [D], best first."""
        if (text is None) == (vector is None):
            raise ServiceError("give exactly one of text and vector")
        asked = {"text": text} if vector is None else {"vector": _numbers(np.asarray(vector, dtype=np.float32))}
        return self._ask("/retrieve", {**asked, "count": count}, RetrieveAnswer).candidates

    def _ask(self, path: str, question: dict[str, Any] | None, kind: type[A]) -> A:
        """An answer; while the service is busy or starting, waits as long as it says and asks again."""
        deadline = time.monotonic() + self.patience
        while True:
            try:
                return self._once(path, question, kind)
            except ServiceError as error:
                if error.retry_after is None or time.monotonic() + error.retry_after > deadline:
                    raise
                time.sleep(error.retry_after)

    def _once(self, path: str, question: dict[str, Any] | None, kind: type[A], also: int = 200) -> A:
        """One request; fields of a later version are left out. A status other than 200 and `also` is an error."""
        body = None if question is None else json.dumps(question, allow_nan=False, separators=(",", ":")).encode()
        request = urllib.request.Request(self.address + path, body, {"Content-Type": "application/json"})
        retry_after = ""
        try:
            with self._opener.open(request, timeout=TIMEOUT) as reply:
                status, read = int(reply.status), reply.read()
        except urllib.error.HTTPError as error:
            with error:
                status, read, retry_after = error.code, error.read(), error.headers.get("Retry-After", "")
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            why = getattr(reason, "strerror", None) or reason
            raise ServiceError(f"{self.address}: cannot be reached ({why}); is the service running?") from None
        try:
            told = json.loads(read)
        except ValueError:
            told = None
        if not isinstance(told, dict):
            raise ServiceError(f"{self.address}{path}: answered {status} with something else than JSON", status)
        if status not in (200, also):
            sentence = str(told.get("error", f"{self.address}{path}: answered {status}"))
            named = status in AGAIN and retry_after.isdecimal()
            raise ServiceError(sentence, status, float(retry_after) if named else None)
        try:
            return kind.model_validate(told)
        except ValidationError:
            raise ServiceError(f"{self.address}{path}: answered in another form than this client knows", 200) from None


def _numbers(values: np.ndarray) -> Any:
    """Nested lists of numbers, each as short as tells its float32 value exactly."""
    if not np.isfinite(values).all():
        raise ServiceError("vectors: hold values that are not finite")
    if values.ndim == 1:
        return [float(f"{value:.9g}") for value in values.tolist()]
    return [_numbers(part) for part in values]


def described(answer: ChatAnswer, width: int = 96) -> str:
    """An answer of /chat as text to read in a terminal."""
    lines = [*_wrapped(answer.response, width), "", f"confidence: {_percent(answer.confidence)}"]
    lines += [*_wrapped(answer.confidence_note, width, "  "), ""]
    for step in answer.steps:
        lines += [f"step {step.step}, confidence {_percent(step.confidence)}", *_listed(step.candidates, width)]
    if answer.similar:
        predicted = {(one.article_id, one.chunk_index) for one in answer.steps[0].candidates}
        lines += ["", "plain retrieval, to compare: nearest to the last chunk itself (*: in step 1 too)"]
        lines += _listed(answer.similar, width, predicted)
    filled = sum(slot.source != "you" for slot in answer.context.slots)
    notes = [f"{answer.total_latency_ms:.0f} ms"]
    notes += [f"{filled} of {len(answer.context.slots)} places filled by {answer.context.mode}"] if filled else []
    notes += [f"the mean of {answer.read_before} earlier chunks of the text read too"] if answer.read_before else []
    notes += [f"{answer.dropped_chunks} older chunks of the text unread"] if answer.dropped_chunks else []
    lines += ["", f"{answer.model}: {', '.join(notes)}"]
    return "\n".join(_printable(line) for line in lines)


def _listed(found: Sequence[Source], width: int, marked: Container[tuple[str, int]] = ()) -> list[str]:
    lines = []
    for one in found:
        mark = "*" if (one.article_id, one.chunk_index) in marked else " "
        lines.append(f"{mark} {one.score:.2f}  {one.title} ({one.source}, chunk {one.chunk_index})")
        lines.append(textwrap.shorten(one.text, width - 8, initial_indent=" " * 8, placeholder=" ..."))
    return lines


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


def main(arguments: Sequence[str]) -> None:
    """Ask for a continuation and print it."""
    parser = Parser("python -m lvm_core.service.client", "TEXT [--url URL]", "Ask a running service what comes next.")
    parser.add_argument("text", help="a paragraph")
    parser.add_argument("--url", default=ADDRESS, help="of the service (%(default)s)")
    parser.add_argument("--steps", type=int, default=1, help="chunks ahead (%(default)s)")
    parser.add_argument("--candidates", type=int, default=5, help="texts of each step (%(default)s)")
    parser.add_argument("--fill", choices=["repeat", "neighbours"], help="of short contexts (the service's default)")
    asked = parser.parse_args(arguments)
    answer = Client(asked.url).chat(asked.text, steps=asked.steps, candidates=asked.candidates, fill=asked.fill)
    print(described(answer))


if __name__ == "__main__":
    run_command(main)
