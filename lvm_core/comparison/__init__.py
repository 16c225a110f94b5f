"""The comparison: a row for every recipe and every reference predictor, on the same windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lvm_core.comparison import as_published, read, rows
from lvm_core.comparison.read import COPYING
from lvm_core.config.figures import MORE, SPLITS
from lvm_core.config.gates import GatesParams
from lvm_core.fivecat.statistics import Judgement, read_judgements
from lvm_core.runtime.files import AFTER_B, REFERENCES, REVERSED, evaluation_directory, seed_variant
from lvm_core.selection import AfterPhases, SetResult, to_json
from lvm_core.selection.gates_text import stopped_note
from lvm_core.selection.judge import judge_gates


@dataclass(frozen=True)
class Comparison:
    """Every row, judged."""

    rows: list[dict[str, Any]]
    """Complete, in their order."""
    about: dict[str, str]
    """A line on each recipe, which says so if it was stopped."""
    summaries: dict[str, dict[str, Any]]
    """Of every row, by split."""
    results: dict[str, SetResult]
    """Of the gates, by set."""
    after_phases: dict[str, AfterPhases]
    """Of the recipes."""
    after: dict[str, dict[str, dict[str, Any]]]
    """Summaries of the recipes after phases `a` and `b`, by phase and recipe."""
    json: dict[str, Any]
    """What metrics/comparison.json holds."""


def build_comparison(
    about: Mapping[str, str],
    gates: GatesParams,
    sets: Mapping[str, str],
    coherence_cuts: Sequence[float],
    seed: int,
    reversed_too: Sequence[str],
    repeats: Mapping[str, tuple[int, Sequence[int]]],
) -> Comparison:
    """Read the evaluations of every row and judge them.

    Args:
        about: a line on each recipe, in the order of the recipes.
        gates: policy and sets.
        sets: name of the set that each recipe is judged by after each phase.
        coherence_cuts: borders of the coherence bins.
        seed: of the draws of articles.
        reversed_too: recipes that were trained on articles read backwards too.
        repeats: own seed and further seeds of each recipe that was trained with several.

    Raises:
        LvmError: an evaluation is missing or damaged (names the file).
    """

    def judged(kind: str, *names: str, targets_both_ways: bool = False) -> dict[str, Judgement]:
        directory, within = (evaluation_directory("c"), AFTER_B) if kind == "b" else (evaluation_directory(kind), "")
        return read_judgements(
            directory, names, seed, coherence_cuts, within=within, targets_both_ways=targets_both_ways
        )

    names = list(about)
    after_a, final = (read.read_summaries(evaluation_directory(phase), names) for phase in ("a", "c"))
    after_b = read.read_summaries(evaluation_directory("c"), names, AFTER_B)
    references = read.read_summaries(evaluation_directory("references"), REFERENCES)
    rivals = judged("references", *REFERENCES)
    by_phase = {phase: judged(phase, *about) | rivals for phase in rows.PHASES}
    judgements = by_phase["c"]
    after_phases = rows.judge_phases(gates, sets, by_phase, rows.read_decisions(list(about)))
    stopped = [name for name, found in after_phases.items() if found.stopped_after]
    # a recipe of a few epochs beside a variant of all of them would say nothing of time or of seeds
    left_out = {"time_direction": [name for name in reversed_too if name in stopped]}
    left_out["seeds"] = [name for name in repeats if name in stopped]
    reversed_too = [name for name in reversed_too if name not in stopped]
    results = judge_gates(gates, judgements)
    directions = {}
    if reversed_too:
        kinds = {"c": reversed_too, "references": COPYING}, {REVERSED: reversed_too, f"references-{REVERSED}": COPYING}
        forward, backward = (
            {
                row: one
                for kind, names in way.items()
                for row, one in judged(kind, *names, targets_both_ways=True).items()
            }
            for way in kinds
        )
        directions = rows.time_direction(forward, backward)
    spread = {
        name: rows.seed_spread(
            {own: judgements[name], **{other: judged(seed_variant(other), name)[name] for other in others}},
            judgements["copy_last"],
        )
        for name, (own, others) in repeats.items()
        if name not in stopped
    }
    noted = {name: line + stopped_note(after_phases[name]) for name, line in about.items()}
    table = rows.with_intervals(rows.comparison_rows(final, references), judgements)
    table = rows.with_spread(rows.with_gates(table, judgements, results), spread)
    summaries = final | references
    parts: dict[str, Any] = {
        "gates": to_json(results),
        "time_direction": directions,
        "seeds": spread,
        "left_out": left_out,
    }
    parts |= {"gates_policy": gates.policy, "after_phases": rows.to_json(after_phases)}
    parts |= {"best_two": rows.best_two(table, judgements), "more": _more(judgements)}
    whole = read.comparison_details(table, summaries, noted, after_a, **parts)
    whole["as_published"] = as_published.beside_ours(table, whole["after_stage_a"], stopped)
    return Comparison(table, noted, summaries, results, after_phases, {"a": after_a, "b": after_b}, whole)


def _more(judgements: Mapping[str, Judgement]) -> dict[str, dict[str, list[float | None]]]:
    """Figures beside the table's, by row: value and ends of the interval."""
    keys = [f"{split}_{figure}" for split in SPLITS for figure in MORE]
    return {name: {key: [one.value[key], *one.interval(key)] for key in keys} for name, one in judgements.items()}
