"""`dvc repro`, several recipes at a time: `python tools/repro.py [JOBS]` (default: one for each processor core).

DVC runs one stage after the other, and a training keeps one core busy. Its documentation's way to use more is to start
it several times, on stages that do not need one another. This does that: first what all recipes share, then the
recipes side by side, then what compares them. What a kill left half-written is mended before (tools/mend.py). The
result is that of a plain `dvc repro`, byte for byte.

A mistake in params.yaml, at which DVC may die without a word, is told before it starts (`--check`: that alone).

How far it is, tools/repro_log.py says. What every process cost is recorded in build/runs; `python -m benchmarks
pipeline` makes a table of it.
"""

from __future__ import annotations

import csv
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

sys.path.insert(0, str(Path(__file__).parents[1]))  # run as a file, it would see only this folder

from lvm_core.runtime.cli import VARIABLE, run_command, write_record
from stages.resolve import check
from tools.repro_log import View, duration, view_on

DVC = ("dvc", "--wait-for-lock", "repro")
INTERRUPTED = 130
Line = Callable[[str], None]
RUNS = Path("build/runs")
"""Where the record of each run lies, outside of what DVC knows."""
FIRST = ("p1", "p5", "contrast")
"""Recipes that run first: the baseline, the published remedy and ours are what most runs are made for."""
MODEL = "train_c"
"""The stage that trains the model of a recipe to its end."""
RESULTS, ROWS = Path("metrics/comparison.csv"), 38
"""What is shown of at the end, and how much."""
REPORT = Path("plots/report.html")
COMMAND = "LVM_COMMAND"
"""Names what the user typed, if it was not this file (Makefile)."""


def main(arguments: Sequence[str]) -> int:
    """Run everything; the exit code."""
    check()
    if arguments == ["--check"]:
        return 0
    if len(arguments) > 1 or not all(argument.isdecimal() and int(argument) for argument in arguments):
        print(f"error: JOBS = {' '.join(arguments)!r} is not a whole number above 0", file=sys.stderr)
        return 1
    jobs = int(arguments[0]) if arguments else os.cpu_count() or 1
    command = os.environ.get(COMMAND) or " ".join(["python tools/repro.py", *arguments])
    began, record, children = time.monotonic(), begin_record(), Children()
    view = view_on(sys.stdout, lambda: children.interrupted)
    code = 1
    try:
        with view.shown():
            code = _everything(children, jobs, view)
    except subprocess.CalledProcessError as error:  # DVC has said why
        code = int(error.returncode)
    except FileNotFoundError as error:
        print(f"error: {error.filename} was not found; run `make env`", file=sys.stderr)
    finally:
        end_record(record, ["tools/repro.py", str(jobs)], children.started, time.monotonic() - began)
    last = ""
    if children.interrupted:
        code = INTERRUPTED
        how = "it starts anew" if command.startswith("make quick") else "it goes on from here"
        last = f"interrupted: run `{command}` again; {how}\n"
    elif view.failed:
        last = f"error: {', '.join(view.failed)} failed, see above; once that is mended, run `{command}` again\n"
    with suppress(OSError):  # the terminal may be gone
        sys.stderr.write(last)
    return code


def _everything(children: Children, jobs: int, view: View) -> int:
    with suppress(subprocess.CalledProcessError):  # it has said why, and DVC will say more
        children.call([sys.executable, str(Path(__file__).with_name("mend.py")), "--quiet"], view.say, view.warn)
    graph = stage_graph(children.output(["dvc", "dag", "--dot"], view.warn))
    if code := _run(shared_stages(graph), children, view):
        return code
    changed = set(json.loads(children.output(["dvc", "--wait-for-lock", "status", "--json"], view.warn)))
    chains = changed_chains(graph, changed)
    view.part("models", len(chains), jobs)
    if code := run_side_by_side(chains, jobs, lambda chain: _run(chain, children, view, title(chain))):
        return code
    view.part("comparison")
    if code := _run([], children, view):
        return code
    report = f"; see {REPORT}" if REPORT.exists() else ""
    ran = f"{view.stages} stage{'s' * (view.stages != 1)} in {duration(time.monotonic() - view.began)}{report}"
    for line in [*results(RESULTS), ran]:
        view.cut(line)
    return 0


def _run(stages: Sequence[str], children: Children, view: View, name: str = "") -> int:
    """Run these stages in their order (none: all there are); the exit code."""
    try:
        with view.job(name) as job:
            children.call([*DVC, *(["--single-item"] if name else []), *stages], job.line, job.message)
    except subprocess.CalledProcessError as error:
        return int(error.returncode)
    return 0


def results(path: Path) -> list[str]:
    """The lines of the table of a comparison, best R@5 first; none if there is no such file.

    Args:
        path: metrics/comparison.csv.
    """
    with suppress(OSError, LookupError, ValueError), open(path, encoding="utf-8", newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: -float(row["val_recall_at_5"] or "-inf"))
        lines = [f"{'':<20} {'':<9}  {'R@5 on val':^20}  {'on ood':>6}  {'cosine on val':>13}"]
        for row in rows[:ROWS]:
            value, low, high = (_figure(row[f"val_recall_at_5{end}"]) for end in ("", "_lo", "_hi"))
            interval = f"{value} [{low}, {high}]"
            figures = f"{interval:>20}  {_figure(row['ood_recall_at_5']):>6}  {_figure(row['val_cosine']):>13}"
            lines.append(f"{row['name']:<20} {row['kind']:<9}  {figures}")
        return lines + [f"{len(rows) - ROWS} more in {path.with_suffix('.md')}"] * (len(rows) > ROWS)
    return []


def _figure(text: str) -> str:
    return f"{float(text):.3f}" if text else "-"


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

    def call(self, command: Sequence[str], on_line: Line = print, on_message: Line = print) -> None:
        """Run a command to its end; `on_line` takes the lines of its output, `on_message` those of its errors.

        Raises:
            subprocess.CalledProcessError: it failed, or was not begun because of an interruption.
            FileNotFoundError: there is no such command.
        """
        if self.interrupted:
            raise subprocess.CalledProcessError(INTERRUPTED, list(command))
        self.started += 1
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            command, stdout=pipe, stderr=pipe, text=True, errors="replace", start_new_session=True
        )
        self._running.add(process)
        messages = threading.Thread(target=_take, args=(process.stderr, on_message))
        messages.start()
        try:
            _take(process.stdout, on_line)
            messages.join()
            code = process.wait()
        finally:
            self._running.discard(process)
        if code:
            raise subprocess.CalledProcessError(code, list(command))

    def output(self, command: Sequence[str], on_message: Line) -> str:
        """What a command prints.

        Raises:
            subprocess.CalledProcessError: it failed, or was not begun because of an interruption.
            FileNotFoundError: there is no such command.
        """
        lines: list[str] = []
        self.call(command, lines.append, on_message)
        return "\n".join(lines)


def _take(lines: Iterable[str] | None, take: Line) -> None:
    for line in lines or ():
        if line.strip():
            take(line.rstrip())


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


def title(chain: Sequence[str]) -> str:
    """What a chain is shown as: its recipe, or `p1 train_reversed` of one that trains it once more."""
    return trained_recipe(chain) or " ".join(reversed(chain[0].split("@")))


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


if __name__ == "__main__":
    run_command(main)
