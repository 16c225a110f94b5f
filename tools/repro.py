"""`dvc repro`, several recipes at a time: `python tools/repro.py [JOBS]` (default: one for each processor core).

DVC runs one stage after the other, and a training keeps one core busy. Its documentation's way to use more is to start
it several times, on stages that do not need one another. This does that: first what all recipes share, then the
recipes side by side, then what compares them. What a kill left half-written is mended before (tools/mend.py). The
result is that of a plain `dvc repro`, byte for byte.

After each recipe one line says what came out of it and how long the rest will take. What every process cost is recorded
in build/runs; `python -m benchmarks pipeline` makes a table of it.
"""

from __future__ import annotations

import json
import os
import queue
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from graphlib import TopologicalSorter
from pathlib import Path

from lvm_core.runtime.cli import VARIABLE, write_record

DVC = ("dvc", "--wait-for-lock", "repro")
INTERRUPTED = 130
RUNS = Path("build/runs")
"""Where the record of each run lies, outside of what DVC knows."""
FIRST = ("p1", "p5", "contrast")
"""Recipes that run first: the baseline, the published remedy and ours are what most runs are made for."""
MODEL = "train_c"
"""The stage that makes data/models/<recipe>."""
HINTS = (
    *("Updating lock file", "To track the changes", "git add", "To enable auto staging", "dvc config core.autostage"),
    *("Use `dvc push`", "> python -m"),
)
"""How lines of DVC begin that say nothing of this run."""
PROGRESS = re.compile(r"\d/[\d,]+ .*\(\d+ %\)")
"""A line of a stage on how far it is."""
EVERY = 30.0
"""Seconds between two of these that are shown."""


def main(arguments: Sequence[str]) -> int:
    """Run everything; the exit code."""
    if len(arguments) > 1 or not all(argument.isdecimal() and int(argument) for argument in arguments):
        print(f"error: JOBS = {' '.join(arguments)!r} is not a whole number above 0", file=sys.stderr)
        return 1
    jobs = int(arguments[0]) if arguments else os.cpu_count() or 1
    began, record, children = time.monotonic(), begin_record(), Children()
    try:
        return _everything(children, jobs)
    except subprocess.CalledProcessError as error:  # DVC has said why
        return INTERRUPTED if children.interrupted else int(error.returncode)
    except FileNotFoundError as error:
        print(f"error: {error.filename} was not found; run `make env`", file=sys.stderr)
        return 1
    finally:
        if children.interrupted:
            print("interrupted: `make repro` goes on from here", file=sys.stderr)
        end_record(record, ["tools/repro.py", str(jobs)], children.started, time.monotonic() - began)


def _everything(children: Children, jobs: int) -> int:
    with suppress(subprocess.CalledProcessError):  # it has said why, and DVC will say more
        children.call([sys.executable, str(Path(__file__).with_name("mend.py")), "--quiet"])
    graph = stage_graph(children.output(["dvc", "dag", "--dot"]))
    children.call([*DVC, *shared_stages(graph)], Log())
    changed = set(json.loads(children.output(["dvc", "--wait-for-lock", "status", "--json"])))
    chains = changed_chains(graph, changed)
    progress = Progress(len(chains), jobs)
    code = run_side_by_side(chains, jobs, lambda chain: _run(chain, children, progress))
    if code or children.interrupted:
        return INTERRUPTED if children.interrupted else code
    children.call(DVC, Log())
    return 0


def begin_record() -> Path:
    """A new file for the processes of this run to enter what they cost."""
    path = RUNS.absolute() / f"{time.strftime('%Y-%m-%dT%H-%M-%S')}-{os.getpid()}.jsonl"
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
    os.environ[VARIABLE] = str(path)
    return path


def end_record(path: Path, command: Sequence[str], started: int, wall: float) -> None:
    """Enter what DVC itself cost (all that was started, less what the stages say of themselves), and this process."""
    with suppress(OSError, ValueError, LookupError, TypeError):  # half a line, of a full disk
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        stages = sum(json.loads(line)["cpu"] for line in text.splitlines())
        used, own = resource.getrusage(resource.RUSAGE_CHILDREN), resource.getrusage(resource.RUSAGE_SELF)
        write_record(["dvc"], used.ru_utime + used.ru_stime - stages, wall, used.ru_maxrss, started)
        write_record(command, own.ru_utime + own.ru_stime, wall, own.ru_maxrss)


class Children:
    """The processes started. Ctrl-C and SIGTERM are passed on to them and the stages they run, and they are waited for.

    Attributes:
        interrupted: whether that has happened.
        started: how many there were.
    """

    def __init__(self) -> None:
        self.interrupted = False
        self.started = 0
        self._running: set[subprocess.Popen[str]] = set()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._pass_on)

    def _pass_on(self, number: int, frame: object) -> None:
        self.interrupted = True
        for process in list(self._running):
            with suppress(ProcessLookupError):  # it may have ended meanwhile
                os.killpg(process.pid, signal.SIGINT)

    def call(self, command: Sequence[str], on_line: Callable[[str], None] | None = None) -> None:
        """Run a command to its end; its lines go to `on_line`, or are printed as they are.

        Raises:
            subprocess.CalledProcessError: it failed, or was not begun because of an interruption.
            FileNotFoundError: there is no such command.
        """
        if self.interrupted:
            raise subprocess.CalledProcessError(INTERRUPTED, list(command))
        self.started += 1
        piped = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT} if on_line else {}
        process = subprocess.Popen(command, text=True, start_new_session=True, **piped)  # type: ignore[call-overload]
        self._running.add(process)
        try:
            for line in process.stdout or ():
                if on_line and line.strip():
                    on_line(line.rstrip())
            code = process.wait()
        finally:
            self._running.discard(process)
        if code:
            raise subprocess.CalledProcessError(code, list(command))

    def output(self, command: Sequence[str]) -> str:
        """What a command prints; its messages are shown.

        Raises:
            subprocess.CalledProcessError: it failed.
            FileNotFoundError: there is no such command.
        """
        self.started += 1
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


Graph = dict[str, set[str]]
"""By stage: the stages that it needs."""


def stage_graph(dot: str) -> Graph:
    """The graph of stages from `dvc dag --dot`."""
    graph: Graph = {}
    for line in dot.splitlines():
        names = re.findall(r'"([^"]+)"', line)
        for name in names:
            graph.setdefault(name, set())
        if len(names) == 2:
            graph[names[1]].add(names[0])
    return graph


def shared_stages(graph: Graph) -> list[str]:
    """The stages that need no recipe, in an order in which they can run."""
    return [name for name in TopologicalSorter(graph).static_order() if not _recipes_above(name, graph)]


def _recipes_above(name: str, graph: Graph) -> bool:
    """Whether a stage is one of a recipe's, or needs one."""
    return "@" in name or any(_recipes_above(other, graph) for other in graph[name])


def changed_chains(graph: Graph, changed: set[str]) -> list[list[str]]:
    """The chains of recipes' stages (`<stage>@<recipe>`) that need one another, with one that changed.

    Each is in an order in which it can run. The recipes of `FIRST` come first; then those trained once more (with
    another seed, on articles read backwards), which take longest and would keep one core waiting at the end; then the
    others as dvc.yaml has them.
    """
    chains: list[list[str]] = []
    for name in TopologicalSorter(graph).static_order():
        if "@" in name:
            needed = [chain for chain in chains if graph[name] & set(chain)]
            chains = [chain for chain in chains if chain not in needed]
            chains.append([*(stage for chain in needed for stage in chain), name])
    order = {name: place for place, name in enumerate(graph)}
    chains = [chain for chain in chains if changed & set(chain)]
    return sorted(chains, key=lambda chain: (_rank(chain), order[chain[0]]))


def _rank(chain: Sequence[str]) -> int:
    recipe = trained_recipe(chain)
    if recipe in FIRST:
        return FIRST.index(recipe)
    return len(FIRST) + (recipe is not None)


def trained_recipe(chain: Iterable[str]) -> str | None:
    """The recipe whose model a chain makes; None of one that trains it once more."""
    return next((name.split("@", 1)[1] for name in chain if name.startswith(f"{MODEL}@")), None)


def run_side_by_side(chains: Sequence[Sequence[str]], jobs: int, run: Callable[[Sequence[str]], int]) -> int:
    """Run chains of stages, `jobs` at a time, and no further one after a failure; the exit code of the first failure.

    Args:
        chains: of stages that need only what has run already, or earlier stages of their own chain.
        jobs: at a time.
        run: runs one chain and gives its exit code.
    """
    waiting: queue.SimpleQueue[Sequence[str]] = queue.SimpleQueue()
    for chain in chains:
        waiting.put(chain)
    codes: list[int] = []

    def work() -> None:
        while not codes:
            try:
                code = run(waiting.get_nowait())
            except queue.Empty:
                return
            except Exception as error:
                print(f"error: {error}", file=sys.stderr)
                code = 1
            if code:
                codes.append(code)

    workers = [threading.Thread(target=work) for _ in range(jobs)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return codes[0] if codes else 0


class Progress:
    """What is said after each finished chain of stages.

    Args:
        count: of all chains.
        jobs: how many run at a time.
    """

    def __init__(self, count: int, jobs: int) -> None:
        self._left, self._count, self._jobs = count, count, jobs
        self._running: dict[str, float] = {}
        self._took: list[float] = []
        self._lock = threading.Lock()

    def begin(self, name: str) -> None:
        """A chain begins."""
        with self._lock:
            self._running[name] = time.monotonic()

    def end(self, name: str, figures: str) -> None:
        """A chain is finished: say what came out of it, how many are left and how long that will take."""
        with self._lock:
            now = time.monotonic()
            self._took.append(now - self._running.pop(name))
            self._left -= 1
            running = [now - began for began in self._running.values()]
            left = minutes(seconds_left(self._took, running, self._left - len(running), self._jobs))
            print(f"{name}: {figures}; {self._left} of {self._count} recipes left, {left} to the end", flush=True)


class Log:
    """Prints what DVC and its stages say: a line with the clock for each stage, then its own lines, few on progress.

    Args:
        name: of the recipe that they are about, which they need not say again; empty for the stages that all share.
    """

    def __init__(self, name: str = "") -> None:
        self._name, self._shown = name, time.monotonic()

    def __call__(self, line: str) -> None:
        """Print a line, or not."""
        text, name = line.strip(), self._name
        if not text or text.startswith(HINTS) or text.endswith("didn't change, skipping"):
            return
        if PROGRESS.search(text):
            if time.monotonic() - self._shown < EVERY:
                return
            self._shown = time.monotonic()
        stage = re.fullmatch(r"Running stage '([^'@]+)(?:@(.+))?':", text)
        if stage:
            text = f"{time.strftime('%H:%M:%S')} {stage[1]}" + (f" {stage[2]}" if stage[2] and not name else "")
            self._shown = time.monotonic()
        elif name:
            text = re.sub(rf"^(train|gate|calibrate)? ?{re.escape(name)}\b:? ?", r"\1 ", text, count=1).strip()
        print(f"{name}: {text}" if name else text, flush=True)


def seconds_left(took: Sequence[float], running: Sequence[float], waiting: int, jobs: int) -> float:
    """Until the end of the whole run, if each chain takes as long as those so far have.

    The comparison of all of them, which follows, is counted as one more.

    Args:
        took: seconds of the finished ones.
        running: seconds since the beginning of each that runs.
        waiting: those that have not begun.
        jobs: how many run at a time.
    """
    each = sum(took) / len(took)
    rest = waiting * each + sum(max(each - since, 0.0) for since in running)
    return rest / max(min(jobs, waiting + len(running)), 1) + each


def minutes(seconds: float) -> str:
    """In words."""
    return f"about {max(round(seconds / 60), 1)} min"


def dev_figures(recipe: str) -> str:
    """R@5 and cosine on dev of a recipe's model, at the epoch that was kept; no model of ours is no reason to fail."""
    try:
        model = json.loads(Path(f"data/models/{recipe}/model.json").read_text(encoding="utf-8"))
        kept = next(row for row in model["history"] if row["epoch"] == model["epoch"])
        return f"R@5 {kept['dev_recall_at_5']:.3f}, cosine {kept['dev_cosine']:.3f} on dev"
    except (OSError, ValueError, LookupError, TypeError, StopIteration):
        return "done"


def _run(chain: Sequence[str], children: Children, progress: Progress) -> int:
    """Run the stages of a chain in their order; what they print is shown with the name of the recipe."""
    recipe = trained_recipe(chain)
    name = recipe or chain[0]
    progress.begin(name)
    try:
        children.call([*DVC, "--single-item", *chain], Log(name))
    except subprocess.CalledProcessError as error:
        return int(error.returncode)
    progress.end(name, dev_figures(recipe) if recipe else "trained once more")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
