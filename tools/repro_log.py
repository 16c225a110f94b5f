"""What `make repro` shows: a line for each stage in a log file; on a terminal a few lines, redrawn in place.

`View` is the log, `Screen` the terminal. Each process of DVC is a `Job`, which takes its lines one by one.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from lvm_core.runtime.interrupts import MESSAGE

if TYPE_CHECKING:
    from rich.console import Group

PROGRESS_SECONDS = "LVM_PROGRESS"
"""Tells the stages how often to say how far they are."""
EVERY = 30.0
"""Seconds between two lines of a log on how far a stage is."""
MOST = 8
"""A stage's lines beside its figures are shown if they are no more than this: more are a table, which is in a file."""

STAGE = re.compile(r"(?:Running s|S)tage '([^'@]+)(?:@(.+))?'(:| is cached.*)")
PROGRESS = re.compile(r"(.*): [\d,]+/[\d,]+ [^(]*\((\d+ %)\), ([\d,]+ .*?/s), (.*)")
EPOCH = re.compile(r"train .*: epoch (\d+)/(\d+), .*dev_recall_at_5 ([\d.]+|nan)")
LOCKED = ("Updating lock file", "Generating lock file")
"""How DVC's line begins that ends a stage."""
HINTS = (
    *("> ", "To track the changes", "git add", "To enable auto staging", "dvc config core.autostage", "Use `dvc push`"),
    "Data and pipelines are up to date",
)
"""How lines of DVC begin that say nothing of this run."""


def view_on(output: TextIO, interrupted: Callable[[], bool]) -> View:
    """The view that fits; where it is redrawn, the stages are told to say more often how far they are."""
    if not output.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        return View(interrupted)
    os.environ.setdefault(PROGRESS_SECONDS, "1")
    return Screen(interrupted)


class View:
    """A log file: a line for each stage that ended, lines between them now and then, messages at once.

    Args:
        interrupted: whether the run was.
    """

    def __init__(self, interrupted: Callable[[], bool] = lambda: False) -> None:
        self.interrupted, self.lock = interrupted, threading.RLock()
        self.began, self.stages = time.monotonic(), 0
        self.failed: list[str] = []
        self._jobs: list[Job] = []
        self._part, self._count, self._at_a_time = "what all models share", 0, 1
        self._took: list[float] = []

    @contextmanager
    def shown(self) -> Iterator[None]:
        """While it is."""
        yield

    def part(self, name: str, count: int = 0, at_a_time: int = 1) -> None:
        """What comes next; `count` if it can be counted."""
        self._part, self._count, self._at_a_time = name, count, at_a_time

    @contextmanager
    def job(self, name: str = "") -> Iterator[Job]:
        """A process of DVC, which makes the model of this name; without one, stages that are not of one model."""
        job, good = Job(name, self), False
        with self.lock:
            self._jobs.append(job)
        try:
            yield job
            good = True
        finally:
            with self.lock:
                self._jobs.remove(job)
                if good and name:
                    self._took.append(time.monotonic() - job.began)
                job.close(good, f"; {self.whole()}" if good and name else "")

    def whole(self) -> str:
        """How far the run is."""
        if not self._count:
            return self._part
        running = [time.monotonic() - job.began for job in self._jobs]
        waiting = self._count - len(self._took) - len(running)
        text = f"{len(self._took)} of {self._count} {self._part}"
        if not self._took:
            return text
        minutes = seconds_left(self._took, running, waiting, self._at_a_time) / 60
        return f"{text}, about {max(round(minutes), 1)} min left"

    def say(self, text: str) -> None:
        """A line, to be seen in full; that nobody reads it is no reason to stop."""
        with self.lock, suppress(OSError):
            print(text, flush=True)

    def warn(self, text: str) -> None:
        """An error or a warning, in full."""
        with self.lock, suppress(OSError):
            print(text, file=sys.stderr, flush=True)

    def cut(self, text: str) -> None:
        """A line of which the beginning will do."""
        self.say(text)

    def stage_ended(self, job: Job, text: str, others: Sequence[str], rest: str) -> None:
        """A stage ended: what is to be said, the other lines it printed, and `rest` if it was its model's last one."""
        self.cut("\n    ".join([f"{clock()} {text}{rest}", *others]))

    def moved(self, job: Job) -> None:
        """A stage says how far it is."""
        if time.monotonic() - job.shown >= EVERY:
            job.shown = time.monotonic()
            self.say(f"{clock()} {job.at} {job.far()}")


class Screen(View):
    """A terminal: the whole and each job are a line redrawn in place; a line for each finished model stays above."""

    @contextmanager
    def shown(self) -> Iterator[None]:
        """The same; the terminal is given back as it was."""
        from rich.console import Console
        from rich.live import Live

        self._console, over = Console(highlight=False, markup=False, emoji=False), threading.Event()
        live = Live(console=self._console, get_renderable=self._drawn, transient=True, auto_refresh=False)

        def redraw() -> None:  # rich's own thread may write between two parts of a line of ours
            while not over.wait(0.25):
                with self.lock, suppress(OSError):  # the terminal may be gone
                    live.refresh()

        drawing = threading.Thread(target=redraw)
        live.start()
        drawing.start()
        try:
            yield
        finally:
            over.set()
            drawing.join()
            with suppress(OSError):
                live.stop()

    def say(self, text: str) -> None:
        """The same; a long line is wrapped."""
        with self.lock, suppress(OSError):
            self._console.print(text)

    def warn(self, text: str) -> None:
        """The same."""
        with self.lock, suppress(OSError):
            self._console.print(text, style="red" if "error" in text.lower() else "yellow")

    def cut(self, text: str) -> None:
        """The same, in the terminal's width."""
        with self.lock, suppress(OSError):
            self._console.print(text, no_wrap=True, overflow="ellipsis")

    def stage_ended(self, job: Job, text: str, others: Sequence[str], rest: str) -> None:
        """The same; of a model one line at its end has the figures on val, ood and dev."""
        if not job.name:
            super().stage_ended(job, text, others, rest)
            return
        for line in others:
            self.cut(f"  {job.name}: {line}")
        if rest:
            found = "; ".join(job.found[kind] for kind in ("evaluate", "train") if kind in job.found)
            self.cut(f"{clock()} {job.name}: {found or 'done'}; {duration(time.monotonic() - job.began)}")

    def moved(self, job: Job) -> None:
        """Nothing: the lines are drawn several times a second."""

    def _drawn(self) -> Group:
        from rich.console import Group
        from rich.text import Text

        whole = "interrupted: the stages that run save their work" if self.interrupted() else self.whole()
        lines = [f"{whole}; {clock()}, {duration(time.monotonic() - self.began)} so far"]
        lines += [f"  {job.at} {job.far()}" for job in self._jobs if job.at]
        texts = [Text(line, no_wrap=True, overflow="ellipsis") for line in lines]
        texts[0].stylize("bold")
        return Group(*texts)


class Job:
    """A process of DVC, and what its lines say of the stage that it is at.

    Attributes:
        at: recipe and stage.
        found: figures with an R@5, by kind of stage.
        began: when the process did.
        shown: when its last line was.
    """

    def __init__(self, name: str, view: View) -> None:
        self.name, self._view = name, view
        self.found: dict[str, str] = {}
        self.began = time.monotonic()
        self._begin("", "")

    def _begin(self, stage: str, recipe: str, cached: bool = False) -> None:
        self.at, self._stage, self._cached = f"{recipe} {stage}".strip(), stage, cached
        names = {stage, *stage.split("_"), recipe, recipe.split("-")[0]} - {"", "a", "b", "c"}
        named = "|".join([*map(re.escape, names), r"phase \w", r"seed-\d+"])
        self._label = re.compile(rf"(?:(?:{named})(?![\w-]) ?)+(: |$)?")
        self._lines: list[str] = []
        self._said = dict.fromkeys(("what", "share", "rate", "left", "r5"), "")
        self.shown = self._since = self._mark = time.monotonic()
        self._until = self._each = self._left = 0.0

    def line(self, text: str) -> None:
        """A line of its output: DVC's own, an epoch, figures."""
        text = text.rstrip()
        with self._view.lock:
            if stage := STAGE.fullmatch(text):
                self.close()
                self._begin(stage[1], stage[2] or "", stage[3] != ":")
            elif text.startswith(LOCKED):
                self._until = time.monotonic()
            elif epoch := EPOCH.match(text):
                self._epoch(int(epoch[1]), int(epoch[2]), float(epoch[3]))
            elif text and not text.lstrip().startswith(HINTS) and not text.endswith("didn't change, skipping"):
                self._lines.append(text)

    def message(self, text: str) -> None:
        """A line of its errors: how far the stage is, or something to be shown in full."""
        text = text.rstrip()
        with self._view.lock:
            if progress := PROGRESS.fullmatch(text):
                what, share, rate, left = progress.groups()
                self._said |= {"what": self._plain(what), "share": share, "rate": rate, "left": left}
                if "epoch" in what:  # how long all epochs take, their ends tell
                    self._said["left"] = ""
                else:
                    self._left, self._said["r5"] = 0.0, ""
                self._view.moved(self)
            elif text and not (self._view.interrupted() and (MESSAGE in text or text.startswith("ERROR: "))):
                self._view.warn(f"{self.at}: {text}" if self.at else text)

    def _epoch(self, done: int, of: int, recall: float) -> None:
        now = time.monotonic()
        self._each = (now - self._mark + (self._each or now - self._mark)) / 2
        self._mark, self._left = now, (of - done) * self._each
        self._said |= {"what": f"epoch {done}/{of}", "share": "", "r5": f"R@5 {recall:.3f}"}
        self._view.moved(self)

    def far(self) -> str:
        """How far the stage is: `41 s: epoch 7/20, 3,160 windows/s, 1m02s left, R@5 0.286`."""
        now, said = time.monotonic(), dict(self._said)
        if (left := self._left - (now - self._mark)) > 0:
            said["left"] = f"{duration(left)} left"
        return duration(now - self._since) + ": " * any(said.values()) + ", ".join(filter(None, said.values()))

    def close(self, good: bool = True, rest: str = "") -> None:
        """The stage ended, if there is one, well or not; of a bad one all lines are shown."""
        at, lines, self.at = self.at, [self._plain(line) for line in self._lines], ""
        took = duration((self._until or time.monotonic()) - self._since)
        if not at:
            if rest:
                self._view.stage_ended(self, f"{self.name} did not change", lines, rest)
            return
        self._view.stages += 1
        if not (good or self._until):
            self._view.failed.append(at)
            how = "interrupted" if self._view.interrupted() else "failed"
            self._view.warn("\n    ".join([f"{clock()} {at} {took}: {how}", *lines]))
            return
        own = "from DVC's cache" if self._cached else ""
        if lines and (label := self._label.match(self._lines[-1])) and label[1]:
            own = lines.pop()
        if "R@5" in own:
            self.found[self._stage.split("_")[0]] = re.sub(r"^kept epoch \d+: ", "", own)
        if len(lines) > MOST:
            lines = []
        self._view.stage_ended(self, f"{at} {took}" + f": {own}" * bool(own), lines, rest)

    def _plain(self, text: str) -> str:
        """Without the names of recipe and stage that it begins with."""
        label = self._label.match(text)
        return text[label.end() :].lstrip(", ") if label else text


def seconds_left(took: Sequence[float], running: Sequence[float], waiting: int, jobs: int) -> float:
    """Until the end of the run, if each model takes as long as those so far; the comparison counts as one more.

    Args:
        took: seconds of the finished ones.
        running: seconds since the beginning of each that runs.
        waiting: those that have not begun.
        jobs: how many run at a time.
    """
    each = sum(took) / len(took)
    rest = waiting * each + sum(max(each - since, 0.0) for since in running)
    return rest / max(min(jobs, waiting + len(running)), 1) + each


def duration(seconds: float) -> str:
    """`41 s`, `3m20s`, `1h02m`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60}m{whole % 60:02d}s" if whole < 3600 else f"{whole // 3600}h{whole // 60 % 60:02d}m"


def clock() -> str:
    """The time of the day."""
    return time.strftime("%H:%M:%S")
