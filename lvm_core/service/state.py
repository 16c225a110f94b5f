"""A service from its start to its end: loading in the background, health, and the way of a request to the worker.

Requests wait in a bounded queue; one worker takes what waits and works on it together.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from fastapi import HTTPException
from prometheus_client import (
    CollectorRegistry,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from lvm_core.runtime.errors import LvmError
from lvm_core.service.schemas import ChatRequest, Health, PredictRequest, RetrieveRequest, Settings

RECENT_SECONDS = 60.0
"""For so long a failure of ours shows in /health."""


class Refused(HTTPException):
    """A request that is not answered: the status, why, and the seconds after which to try again, if that helps."""

    def __init__(self, status: int, sentence: str, retry_after: int | None = None) -> None:
        super().__init__(status, sentence, None if retry_after is None else {"Retry-After": str(retry_after)})


NOT_LOADED = "the service could not be loaded; the lines above say why"


@dataclass
class Job:
    """A request that waits."""

    kind: str
    """Which work function it is for."""
    request: Any
    """What that function is given."""
    future: Future[Any] = field(default_factory=Future)
    """Of the answer."""
    queued: float = field(default_factory=time.perf_counter)
    """Time.perf_counter() when it came."""
    waited_ms: float = 0.0
    """How long it waited, set when it is taken."""


Work = Callable[[Sequence[Job]], Sequence[Any]]
"""Answers of several jobs of one kind, in their order; an exception among them is that job's."""


class Batcher:
    """One worker thread over a bounded queue."""

    def __init__(
        self, work: Mapping[str, Work], size: int, max_batch: int, on_batch: Callable[[str, int], None]
    ) -> None:
        self._work, self._max_batch, self._on_batch = work, max_batch, on_batch
        self._waiting: queue.Queue[Job | None] = queue.Queue(maxsize=size)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self._thread.start()

    def submit(self, kind: str, request: Any) -> Future[Any]:
        """Queue a job; 429 when the queue is full, 503 when no further work is taken."""
        if self._stopping.is_set():
            raise Refused(503, "the service is stopping", retry_after=5)
        job = Job(kind, request)
        try:
            self._waiting.put_nowait(job)
        except queue.Full:
            raise Refused(429, f"busy: {self._waiting.maxsize} requests wait already", retry_after=1) from None
        return job.future

    @property
    def depth(self) -> int:
        """Jobs that wait."""
        return self._waiting.qsize()

    def close(self) -> None:
        """Finish what waits, then end the worker."""
        self._stopping.set()
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        ended = False
        while not ended:
            taken = [self._waiting.get()]
            with contextlib.suppress(queue.Empty):
                while len(taken) < self._max_batch and taken[-1] is not None:
                    taken.append(self._waiting.get_nowait())
            ended = taken[-1] is None
            self._do([job for job in taken if job is not None])

    def _do(self, taken: list[Job]) -> None:
        now = time.perf_counter()
        taken = [job for job in taken if job.future.set_running_or_notify_cancel()]
        for job in taken:
            job.waited_ms = (now - job.queued) * 1e3
        for kind in dict.fromkeys(job.kind for job in taken):
            jobs = [job for job in taken if job.kind == kind]
            self._on_batch(kind, len(jobs))
            for job, answer in zip(jobs, self._answers(kind, jobs), strict=True):
                if isinstance(answer, Exception):
                    job.future.set_exception(answer)
                else:
                    job.future.set_result(answer)

    def _answers(self, kind: str, jobs: Sequence[Job]) -> Sequence[Any]:
        """The answers of jobs of one kind; an exception among them is the answer of a job that fails by itself too."""
        try:
            return self._work[kind](jobs)
        except Exception as error:  # must not end the worker, nor fail those that happened to be in the same batch
            if len(jobs) == 1:
                return [error]
            return [answer for job in jobs for answer in self._answers(kind, [job])]


class Service:
    """One model being served."""

    def __init__(self, load: Callable[[], Any], settings: Settings, name: str) -> None:
        self.settings, self.telemetry, self._name = settings, Telemetry(lambda: self.waiting), name
        self._load, self._begun = load, time.monotonic()
        self._loader: threading.Thread | None = None
        self._engine: Any = None
        self._batcher: Batcher | None = None
        self._stopping = False
        self._failed_at = -float("inf")
        self.error: LvmError | None = None
        """Why the loading failed."""

    def start(self, on_ready: Callable[[float], None], on_failure: Callable[[], None]) -> None:
        """Load in the background; then one of the two is called, from that thread."""

        def work() -> None:
            from lvm_core.service.engine import Engine

            try:
                engine = Engine(self._load(), self.settings)
                engine.warm_up()
            except Exception as error:
                self.error = error if isinstance(error, LvmError) else LvmError(NOT_LOADED)
                if error is not self.error:
                    self.log_failure(error)
                on_failure()
                return
            self._engine = engine
            kinds = {"chat": engine.chat, "predict": engine.predict, "retrieve": engine.retrieve}
            self._batcher = Batcher(kinds, self.settings.queue, self.settings.max_batch, self.telemetry.batch)
            self.telemetry.loaded(engine.parts.info(self.settings))
            on_ready(time.monotonic() - self._begun)

        self._loader = threading.Thread(target=work, name="loading", daemon=True)
        self._loader.start()

    def close(self) -> None:
        """Finish what waits."""
        self._stopping = True
        self.telemetry.ready.set(0)
        if self._batcher is not None:
            self._batcher.close()

    @property
    def loading(self) -> bool:
        """Whether the loading thread is at work."""
        return self._loader is not None and self._loader.is_alive()

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return self._batcher.depth if self._batcher else 0

    def log_failure(self, error: BaseException) -> None:
        """Write a defect of ours to the log, and remember when."""
        self._failed_at = time.monotonic()
        traceback.print_exception(error, file=sys.stderr)

    def health(self) -> Health:
        """What /health answers."""
        uptime = round(time.monotonic() - self._begun, 3)
        if self._stopping:
            return Health(status="stopping", reasons=[], model=self._name, uptime_s=uptime)
        if self._batcher is None:
            reasons = ["model, bank and encoder are being loaded"]
            return Health(status="starting", reasons=reasons, model=self._name, uptime_s=uptime)
        reasons = list(self._engine.parts.reasons)
        if self.waiting >= self.settings.queue:
            reasons.append(f"the queue is full: {self.settings.queue} requests wait")
        if time.monotonic() - self._failed_at < RECENT_SECONDS:
            reasons.append("a request failed within the last minute; the log says why")
        status: Literal["degraded", "ready"] = "degraded" if reasons else "ready"
        return Health(status=status, reasons=reasons, model=self._name, uptime_s=uptime)

    def info(self) -> dict[str, Any]:
        """What /info answers."""
        return self._parts().info(self.settings)

    @property
    def reads(self) -> tuple[int, bool] | None:
        """Dimension of the vectors it reads, and whether it reads text too; None before it is loaded."""
        if self._engine is None:
            return None
        return self._engine.parts.bank.info.dimension, self._engine.parts.encoder is not None

    def _check(self, asked: ChatRequest | PredictRequest | RetrieveRequest) -> None:
        """Refuse what this model cannot answer: text without an encoder, vectors that do not fit."""
        parts, vectors, means = self._parts(), {}, {}
        if isinstance(asked, PredictRequest):
            numbered = ((number, *one) for number, context in enumerate(asked.contexts) for one in enumerate(context))
            vectors = {f"contexts.{number}.{place}": vector for number, place, vector in numbered}
            means = {f"memory.{number}": mean for number, mean in enumerate(asked.memory or ())}
        elif isinstance(asked, RetrieveRequest) and asked.vector is not None:
            vectors = {"vector": asked.vector}
        elif parts.encoder is None:
            raise Refused(422, "text cannot be encoded: the bank holds imported vectors; send vectors to /predict")
        for where, vector in (vectors | means).items():
            if len(vector) != (dimension := parts.bank.info.dimension):
                raise Refused(422, f"{where}: has {len(vector)} values, the model reads {dimension}")
            if where in vectors and not np.linalg.norm(vector) > 1e-6:
                raise Refused(422, f"{where}: has length 0, so no direction")

    def _parts(self) -> Any:
        self._running()
        return self._engine.parts

    def _running(self) -> Batcher:
        if self._batcher is None:
            raise Refused(503, "the service is starting", retry_after=2)
        return self._batcher

    async def answer(self, kind: str, request: ChatRequest | PredictRequest | RetrieveRequest) -> Any:
        """Queue a request that this model can answer, and wait; 503 where that takes too long."""
        self._check(request)
        future = self._running().submit(kind, request)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self.settings.patience)
        except TimeoutError:  # which has cancelled the future
            raise Refused(503, f"no answer within {self.settings.patience:g} seconds", retry_after=5) from None


SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.3, 0.6, 1.2, 5.0, 30.0)
SIZES = (1, 2, 4, 8, 16, 32, 64)
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""Those counted by name: a client may invent others, and each would be a series of its own."""


class Telemetry:
    """What /metrics tells of one service (a registry of its own, so that tests can start several)."""

    def __init__(self, waiting: Callable[[], float]) -> None:
        disable_created_metrics()  # a second series for each, which nobody reads
        self.registry = CollectorRegistry()
        here: Any = {"registry": self.registry}
        self._seconds = Histogram(
            "lvm_request_duration_seconds",
            "Time from a request to its answer.",
            ["method", "path", "status"],
            buckets=SECONDS,
            **here,
        )
        self._batches = Histogram(
            "lvm_batch_size", "Requests worked on together.", ["operation"], buckets=SIZES, **here
        )
        Gauge("lvm_queue_depth", "Requests that wait.", **here).set_function(waiting)
        self.ready = Gauge("lvm_ready", "1 while requests are answered, else 0.", **here)
        ProcessCollector(**here)

    def loaded(self, info: Mapping[str, Any]) -> None:
        """Tell what is served, of what /info answers, and that requests are answered."""
        told = {"version": info["versions"]["lvm-lab"], "model": info["model"]["recipe"]}
        told |= {"encoder": (info["encoder"] or {}).get("name", "")}
        told |= {name: info["versions"][name] for name in ("torch", "python")}
        Info("lvm_build", "What is served, as labels; the value is 1.", registry=self.registry).info(told)
        self.ready.set(1)

    def answered(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count an answer."""
        self._seconds.labels(method if method in METHODS else "other", path, str(status)).observe(seconds)

    def batch(self, operation: str, size: int) -> None:
        """Count a batch."""
        self._batches.labels(operation).observe(size)

    def text(self) -> bytes:
        """Everything, as /metrics answers it."""
        return generate_latest(self.registry)
