"""Requests wait in a bounded queue; one worker takes what waits and works on it together."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any


class Busy(Exception):
    """The queue is full."""


class Stopping(Exception):
    """No further work is taken."""


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
        """Queue a job."""
        if self._stopping.is_set():
            raise Stopping
        job = Job(kind, request)
        try:
            self._waiting.put_nowait(job)
        except queue.Full:
            raise Busy from None
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
        while (first := self._waiting.get()) is not None:
            taken = [first]
            last = False
            while len(taken) < self._max_batch and not last:
                try:
                    job = self._waiting.get_nowait()
                except queue.Empty:
                    break
                last = job is None
                if job is not None:
                    taken.append(job)
            self._do(taken)
            if last:
                return

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
