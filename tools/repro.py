"""`dvc repro`, several recipes at a time: `python tools/repro.py [JOBS]` (default: one for each processor core).

DVC runs one stage after the other, and a training keeps one core busy. Its documentation's way to use more is to start
it several times, on stages that do not need one another. This does that: first what all recipes share, then the
recipes side by side, then what compares them. What a kill left half-written is
mended before (tools/mend.py). The result is that of a plain `dvc repro`, byte for byte.
"""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from graphlib import TopologicalSorter
from pathlib import Path

DVC = ("dvc", "--wait-for-lock", "repro")
INTERRUPTED = 130


def main(arguments: Sequence[str]) -> int:
    """Run everything; the exit code."""
    if len(arguments) > 1 or not all(argument.isdecimal() and int(argument) for argument in arguments):
        print(f"error: JOBS = {' '.join(arguments)!r} is not a whole number above 0", file=sys.stderr)
        return 1
    jobs = int(arguments[0]) if arguments else os.cpu_count() or 1
    children = Children()
    subprocess.run([sys.executable, Path(__file__).with_name("mend.py"), "--quiet"], check=False)
    try:
        return _everything(children, jobs)
    except subprocess.CalledProcessError as error:  # DVC has said why
        return INTERRUPTED if children.interrupted else int(error.returncode)
    except FileNotFoundError as error:
        print(f"error: {error.filename} was not found; run `make env`", file=sys.stderr)
        return 1


def _everything(children: Children, jobs: int) -> int:
    if jobs > 1:
        graph = stage_graph(children.output(["dvc", "dag", "--dot"]))
        children.call([*DVC, *shared_stages(graph)])
        changed = set(json.loads(children.output(["dvc", "--wait-for-lock", "status", "--json"])))
        code = run_side_by_side(changed_chains(graph, changed), jobs, lambda chain: _run(chain, children))
        if code or children.interrupted:
            return INTERRUPTED if children.interrupted else code
    children.call(DVC)
    return 0


class Children:
    """The processes started. Ctrl-C and SIGTERM are passed on to them and the stages they run, and they are waited for.

    Attributes:
        interrupted: whether that has happened.
    """

    def __init__(self) -> None:
        self.interrupted = False
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
    """The stages of each recipe (`<stage>@<recipe>`) with one that changed, in an order in which they can run."""
    chains: dict[str, list[str]] = {}
    for name in TopologicalSorter(graph).static_order():
        if "@" in name:
            chains.setdefault(name.split("@", 1)[1], []).append(name)
    return [chain for chain in chains.values() if changed & set(chain)]


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


def _run(chain: Sequence[str], children: Children) -> int:
    """Run the stages of a chain in their order; every line they print is shown with the name of the recipe."""
    name = chain[0].split("@", 1)[1]
    try:
        children.call([*DVC, "--single-item", *chain], lambda line: print(f"{name}: {line}", flush=True))
    except subprocess.CalledProcessError as error:
        return int(error.returncode)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
