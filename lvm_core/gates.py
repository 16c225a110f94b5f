"""`python -m lvm_core.gates --recipe R --set S`: does a row of the comparison pass a set of gates?

Exit code 0 if it passes every gate of the set that applies to it (at least one must), else 1. Reads
metrics/comparison.json, which `dvc repro` makes, and params.yaml; computes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lvm_core.config.gates import FRAMES, Gate, GatesParams, counted_sets, definition_of, frames_of
from lvm_core.config.params import PARAMS_FILE, load_group, read_params, validate
from lvm_core.runtime.cli import Parser, run_command
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.readers import read_json
from lvm_core.selection import GateResult, RowResult, SetResult
from lvm_core.selection.gates_text import answer_text, mark
from lvm_core.selection.judge import all_true, holds

COMPARISON = Path("metrics/comparison.json")

USAGE = "--recipe R --set S [--frame corrected|published]"

AGAIN = "run `dvc repro compare`"


def main(arguments: Sequence[str]) -> int:
    """Print one line a gate and a last one with the outcome; the exit code."""
    parser = Parser("python -m lvm_core.gates", USAGE, (__doc__ or "").split("\n\n")[1])
    parser.add_argument("--recipe", required=True, metavar="R", help="a recipe, or a reference predictor")
    parser.add_argument("--set", required=True, metavar="S", help="a set of gates.sets in params.yaml")
    parser.add_argument("--frame", choices=FRAMES, default=FRAMES[0], help="default: %(default)s")
    given = parser.parse_args(arguments)
    params = load_group(read_params(), "gates", GatesParams)
    row = read_row(params, given.set, given.frame, given.recipe)
    for name, gate in params.sets[given.set].items():
        result = row.gates[name]
        pairs = zip(gate.all_of, result.conditions, strict=True)
        answers = "; ".join(answer_text(condition, answer, given.frame) for condition, answer in pairs)
        print(f"{mark(result.passed):<4}  {name}: {answers}")
    reached = row.outcome
    verdict = "passed" if reached.whole else "not passed"
    if reached.undefined:
        verdict += f" ({', '.join(reached.undefined)}: cannot be told on these data)"
    counts = f"{reached.passed} of {reached.of} gates that apply"
    print(f"{given.recipe}: {given.set} ({given.frame} frame) {verdict}, {counts}")
    return 0 if reached.whole else 1


def read_row(params: GatesParams, set_name: str, frame: str, name: str) -> RowResult:
    """The answers of one row, from metrics/comparison.json."""
    if set_name not in params.sets:
        raise LvmError(f"{PARAMS_FILE}: gates.sets has no set {set_name!r}; there are {', '.join(params.sets)}")
    if frame not in frames_of(params, set_name):
        raise LvmError(
            f"{PARAMS_FILE}: no figure of {set_name} has a counterpart in the {frame} frame; leave out --frame"
        )
    rows = _read_set(params, set_name).in_frame(frame)
    if name not in rows:
        raise LvmError(
            f"{COMPARISON}: has no row {name!r}, only {', '.join(rows)}; for another recipe add it to names in "
            f"{PARAMS_FILE} and run `dvc repro`"
        )
    if not _fits(rows[name], params, set_name):
        raise LvmError(f"{COMPARISON}: gates.{set_name} is damaged; delete the file and {AGAIN}")
    return rows[name]


def _fits(row: RowResult, params: GatesParams, set_name: str) -> bool:
    """Whether there is an answer to each condition of each gate, and the verdicts are those of the values."""
    gates = params.sets[set_name]
    return list(row.gates) == list(gates) and all(_fits_gate(gates[name], row.gates[name]) for name in gates)


def _fits_gate(gate: Gate, result: GateResult) -> bool:
    if len(gate.all_of) != len(result.conditions) or result.passed != all_true(one.passed for one in result.conditions):
        return False
    return all(
        # whether gates of another set are still open is not told by their number
        condition.set is not None or found.passed == (None if found.value is None else holds(condition, found.value))
        for condition, found in zip(gate.all_of, result.conditions, strict=True)
    )


def _read_set(params: GatesParams, set_name: str) -> SetResult:
    """The answers of a set, if they were made with the sets as they are now (also those whose gates it counts)."""
    whole = read_json(COMPARISON)
    stored = whole.get("gates") if isinstance(whole, dict) else None
    if not isinstance(stored, dict):
        raise LvmError(f"{COMPARISON}: has no gates; delete the file and {AGAIN}")
    sets: dict[str, SetResult] = {}
    for name in (set_name, *counted_sets(params.sets[set_name])):
        if name not in stored:
            raise LvmError(f"{COMPARISON}: was made without the set {name}; {AGAIN}")
        try:
            sets[name] = validate(stored[name], SetResult, f"gates.{name}", COMPARISON)
        except LvmError as error:
            raise LvmError(f"{error}; delete the file and {AGAIN}") from None
        if sets[name].definition != definition_of(params.sets[name]):
            raise LvmError(f"{COMPARISON}: gates.sets.{name} of {PARAMS_FILE} has changed since it was made; {AGAIN}")
    return sets[set_name]


if __name__ == "__main__":
    run_command(main)
