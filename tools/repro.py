"""`dvc repro`, several recipes at a time: `python tools/repro.py [JOBS]` (default: one for each processor core).

DVC runs one stage after the other, and a training keeps one core busy. Its documentation's way to use more is to start
it several times, on stages that do not need one another. This does that: first what all recipes share, then the
recipes side by side, then what compares them. The result is that of a plain `dvc repro`, byte for byte.
"""

from __future__ import annotations

import json
import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Sequence
from graphlib import TopologicalSorter

DVC = ("dvc", "--wait-for-lock", "repro")


def main(arguments: Sequence[str]) -> int:
    """Run everything; the exit code."""
    if len(arguments) > 1 or not all(argument.isdecimal() and int(argument) for argument in arguments):
        print(f"error: JOBS = {' '.join(arguments)!r} is not a whole number above 0", file=sys.stderr)
        return 1
    jobs = int(arguments[0]) if arguments else len(os.sched_getaffinity(0))
    if jobs > 1:
        graph = stage_graph(subprocess.run(["dvc", "dag", "--dot"], check=True, capture_output=True, text=True).stdout)
        code = subprocess.run([*DVC, *shared_stages(graph)], check=False).returncode
        if code:
            return code
        status = subprocess.run(["dvc", "status", "--json"], check=True, capture_output=True, text=True).stdout
        chains = changed_chains(graph, set(json.loads(status)))
        if chains and (code := run_side_by_side(chains, jobs)):
            return code
    return subprocess.run(DVC, check=False).returncode


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


def changed_chains(graph: Graph, changed: set[str]) -> list[list[str]]:
    """The stages of each recipe (`<stage>@<recipe>`) with one that changed, in an order in which they can run."""
    chains: dict[str, list[str]] = {}
    for name in TopologicalSorter(graph).static_order():
        if "@" in name:
            chains.setdefault(name.split("@", 1)[1], []).append(name)
    return [chain for chain in chains.values() if changed & set(chain)]


def _recipes_above(name: str, graph: Graph) -> bool:
    """Whether a stage is one of a recipe's, or needs one."""
    return "@" in name or any(_recipes_above(other, graph) for other in graph[name])


def run_side_by_side(chains: Sequence[Sequence[str]], jobs: int) -> int:
    """Run chains of stages, `jobs` at a time, and no further one after a failure; the exit code of the first failure.

    Args:
        chains: of stages that need only what has run already, or earlier stages of their own chain.
        jobs: at a time.
    """
    waiting: queue.SimpleQueue[Sequence[str]] = queue.SimpleQueue()
    for chain in chains:
        waiting.put(chain)
    codes: list[int] = []

    def work() -> None:
        while not codes:
            try:
                chain = waiting.get_nowait()
            except queue.Empty:
                return
            code = _run(chain)
            if code:
                codes.append(code)

    workers = [threading.Thread(target=work) for _ in range(jobs)]
    for worker in workers:
        worker.start()
    try:
        for worker in workers:
            worker.join()
    except KeyboardInterrupt:  # DVC and its stages got it too, and save their work
        codes.append(130)
        for worker in workers:
            worker.join()
    return codes[0] if codes else 0


def _run(chain: Sequence[str]) -> int:
    """Run the stages of a chain in their order; every line they print is shown with the name of the recipe."""
    name = chain[0].split("@", 1)[1]
    command = [*DVC, "--single-item", *chain]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            if line.strip():
                print(f"{name}: {line.rstrip()}", flush=True)
    return process.returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
