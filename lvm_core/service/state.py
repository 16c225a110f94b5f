"""A service from its start to its end: loading in the background, health, and the way of a request to the worker."""

from __future__ import annotations

import asyncio
import contextlib
import platform
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from lvm_core.runtime.errors import LvmError
from lvm_core.service import schemas
from lvm_core.service.batching import Batcher, Busy, Stopping
from lvm_core.service.schemas import ChatRequest, PredictRequest, RetrieveRequest, Settings

RECENT_SECONDS = 60.0
"""For so long a failure of ours shows in /health."""


class Refused(Exception):
    """A request that is not answered.

    Attributes:
        status: of HTTP.
        sentence: why.
        retry_after: seconds after which to try again; None where that does not help.
    """

    def __init__(self, status: int, sentence: str, retry_after: int | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.retry_after = status, sentence, retry_after


class Service:
    """One model being served."""

    def __init__(self, load: Callable[[], Any], settings: Settings, name: str, metrics: Path | None = None) -> None:
        self.settings, self.telemetry, self._name, self._metrics = settings, Telemetry(), name, metrics
        self._load, self._begun = load, time.monotonic()
        self._figures: dict[str, Any] = {}
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
                self._figures = figures_of(self._metrics, engine.parts.name)
            except LvmError as error:
                self.error = error
                on_failure()
                return
            except Exception as error:
                self.log_failure(error)
                self.error = LvmError("the service could not be loaded; the lines above say why")
                on_failure()
                return
            self._engine = engine
            kinds = {"chat": engine.chat, "predict": engine.predict, "retrieve": engine.retrieve}
            self._batcher = Batcher(kinds, self.settings.queue, self.settings.max_batch, self.telemetry.batch)
            self.telemetry.ready.set(1)
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

    def health(self) -> dict[str, Any]:
        """What /health answers."""
        reasons: list[str] = []
        if self._stopping:
            status = "stopping"
        elif self._batcher is None:
            status, reasons = "starting", ["model, bank and encoder are being loaded"]
        else:
            reasons = list(self._engine.parts.reasons)
            if self.waiting >= self.settings.queue:
                reasons.append(f"the queue is full: {self.settings.queue} requests wait")
            if time.monotonic() - self._failed_at < RECENT_SECONDS:
                reasons.append("a request failed within the last minute; the log says why")
            status = "degraded" if reasons else "ready"
        return {
            "status": status,
            "reasons": reasons,
            "model": self._name,
            "uptime_s": round(time.monotonic() - self._begun, 3),
        }

    def info(self) -> dict[str, Any]:
        """What /info answers."""
        parts, info = self._parts(), self._parts().model.info
        kept: dict[str, Any] = next((one for one in info.history if one.get("epoch") == info.epoch), {})
        return {
            "model": {
                "recipe": parts.name,
                "losses": list(info.recipe.get("losses") or {}),
                "architecture": info.architecture,
                "parameters": info.n_parameters,
                "phase": info.phase,
                "epoch": info.epoch,
            },
            "metrics": {"dev": {key: value for key, value in kept.items() if key.startswith("dev_")}} | self._figures,
            "encoder": {"name": parts.bank.info.encoder, "precision": parts.bank.info.precision}
            if parts.encoder
            else None,
            "bank": {
                "chunks": parts.bank.info.n_chunks,
                "articles": len(parts.bank.articles),
                "dimension": parts.bank.info.dimension,
                "sources": sorted(set(parts.bank.articles["source"])),
            },
            "calibration": {"curves": len(parts.calibration.curves)} if parts.calibration else None,
            "limits": {
                "body_bytes": schemas.BODY_BYTES,
                "messages": schemas.MESSAGES,
                "characters": schemas.CHARACTERS,
                "steps": self.settings.steps,
                "candidates": schemas.CANDIDATES,
                "retrieved": schemas.RETRIEVED,
                "contexts": schemas.VECTORS,
                "queue": self.settings.queue,
            },
            "fill": self.settings.fill,
            "versions": {
                "lvm-lab": metadata.version("lvm-lab"),
                "torch": metadata.version("torch"),
                "python": platform.python_version(),
            },
        }

    def checked_chat(self, asked: ChatRequest) -> ChatRequest:
        """A chat request that this model can answer."""
        if asked.steps > self.settings.steps:
            raise Refused(422, f"steps: at most {self.settings.steps} (it is {asked.steps})")
        self._check_encoder()
        return asked

    def checked_vectors(self, asked: PredictRequest) -> PredictRequest:
        """A prediction request whose vectors have the model's dimension and a direction."""
        for number, context in enumerate(asked.contexts):
            for place, vector in enumerate(context):
                self._check_vector(vector, f"contexts.{number}.{place}")
        return asked

    def checked_retrieval(self, asked: RetrieveRequest) -> RetrieveRequest:
        """A retrieval request that can be answered."""
        if asked.vector is not None:
            self._check_vector(asked.vector, "vector")
        else:
            self._check_encoder()
        return asked

    def _check_vector(self, vector: list[float], where: str) -> None:
        dimension = self._parts().bank.info.dimension
        if len(vector) != dimension:
            raise Refused(422, f"{where}: has {len(vector)} values, the model reads {dimension}")
        if not np.linalg.norm(vector) > 1e-6:
            raise Refused(422, f"{where}: has length 0, so no direction")

    def _check_encoder(self) -> None:
        if self._parts().encoder is None:
            raise Refused(422, "text cannot be encoded: the bank holds imported vectors; send vectors to /predict")

    def _parts(self) -> Any:
        if self._batcher is None:
            raise Refused(503, "the service is starting", retry_after=2)
        return self._engine.parts

    async def answer(self, kind: str, request: Any) -> Any:
        """Queue a request and wait for its answer.

        Raises:
            Refused: 429 when the queue is full, 503 when the service is starting or stopping, or it took too long.
        """
        if self._batcher is None:
            raise Refused(503, "the service is starting", retry_after=2)
        try:
            future: Future[Any] = self._batcher.submit(kind, request)
        except Busy:
            raise Refused(429, f"busy: {self.settings.queue} requests wait already", retry_after=1) from None
        except Stopping:
            raise Refused(503, "the service is stopping", retry_after=5) from None
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self.settings.patience)
        except TimeoutError:
            with contextlib.suppress(Exception):
                future.cancel()
            raise Refused(503, f"no answer within {self.settings.patience:g} seconds", retry_after=5) from None


def figures_of(folder: Path | None, recipe: str) -> dict[str, Any]:
    """The main held-out figures in FOLDER/RECIPE.json by split; empty where there is no such file."""
    from lvm_core.runtime.readers import read_json

    path = folder / f"{recipe}.json" if folder is not None and "/" not in recipe else None
    raw = read_json(path) if path is not None and path.is_file() else None
    if not isinstance(raw, dict):
        return {}
    wanted = ("recall_at_5", "recall_at_1", "mrr", "cosine", "full_bank_recall_at_5")
    splits = [split for split in ("val", "ood") if isinstance(raw.get(split), dict)]
    return {split: {key: raw[split][key] for key in wanted if key in raw[split]} for split in splits}


SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.3, 0.6, 1.2, 5.0, 30.0)

SIZES = (1, 2, 4, 8, 16, 32, 64)


class Telemetry:
    """Counters of one service (a registry of its own, so that tests can start several)."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "lvm_requests_total", "Requests by route and status", ["route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "lvm_request_seconds", "Time from request to answer", ["route"], buckets=SECONDS, registry=self.registry
        )
        self.batches = Histogram(
            "lvm_batch_size", "Requests worked on together", ["kind"], buckets=SIZES, registry=self.registry
        )
        self.waiting = Gauge("lvm_queue_depth", "Requests that wait", registry=self.registry)
        self.ready = Gauge("lvm_ready", "1 when requests are answered", registry=self.registry)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        self.requests.labels(route, str(status)).inc()
        self.seconds.labels(route).observe(seconds)

    def batch(self, kind: str, size: int) -> None:
        """Count a batch."""
        self.batches.labels(kind).observe(size)

    def text(self, waiting: int) -> bytes:
        """Everything, as /metrics answers it."""
        self.waiting.set(waiting)
        return generate_latest(self.registry)
