"""The comparison: a row for every recipe and every reference predictor, on the same windows."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lvm_core.comparison import rows
from lvm_core.comparison.as_published import beside_ours
from lvm_core.comparison.direction import Both, Cells, time_direction
from lvm_core.comparison.rivals import Paired, best_two, steps_vs
from lvm_core.config.figures import MORE, ROW_FIGURES, SPLITS
from lvm_core.config.gates import GatesParams
from lvm_core.config.references import DIRECTION_REFERENCES, REFERENCES, RELATIVES, numbers_text
from lvm_core.fivecat.statistics import Judgement, judge_both_ways, read_judgements
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import AFTER_B, REVERSED, atomic_directory, evaluation_directory, seed_variant, write_json
from lvm_core.runtime.readers import read_json
from lvm_core.selection import to_json
from lvm_core.selection.gates_text import stopped_note
from lvm_core.selection.judge import formulas_forward, judge_gates, judge_relatives

SELECTED = "selected"
"""The model that the ladder selects, whose files lie beside those of the recipes."""

Summaries = dict[str, Mapping[str, Any]]
"""By row and split."""


@dataclass(frozen=True)
class Comparison:
    """Every row, judged."""

    json: dict[str, Any]
    """What metrics/comparison.json holds."""
    summaries: Summaries
    """Of every row."""
    after: dict[str, Summaries]
    """Of the recipes after phases `a` and `b`."""
    steps: dict[str, dict[str, dict[str, Paired]]]
    """By row and split, R@5 of each rollout step and reading minus that of `copy_last`."""


def build_comparison(
    about: Mapping[str, str],
    gates: GatesParams,
    sets: Mapping[str, str],
    seed: int,
    reversed_too: Sequence[str],
    repeats: Mapping[str, tuple[int, Sequence[int]]],
) -> Comparison:
    """Read the evaluations of every row and judge them.

    Args:
        about: a line on each recipe, in the order of the recipes.
        gates: policy and sets.
        sets: name of the set that each recipe is judged by after each phase.
        seed: of the draws of articles.
        reversed_too: recipes that were trained on articles read backwards too.
        repeats: own seed and further seeds of each recipe that was trained with several (backwards too where it is in
            `reversed_too`).

    Raises:
        LvmError: an evaluation is missing or damaged (names the file).
    """
    final = evaluation_directory("c")
    references = read_judgements(evaluation_directory("references"), list(REFERENCES))
    judgements = read_judgements(final, list(about)) | references
    early = {
        "a": read_judgements(evaluation_directory("a"), list(about)) | references,
        "b": read_judgements(final, list(about), AFTER_B) | references,
    }
    after_phases = rows.judge_phases(gates, sets, early, rows.read_decisions(list(about)))
    stopped = [name for name, found in after_phases.items() if found.stopped_after]
    results = judge_gates(gates, judgements)
    near = read_judgements(evaluation_directory("relatives"), list(RELATIVES))
    relatives = judge_relatives(gates, references, near)
    # a recipe of a few epochs beside a variant of all of them would say nothing of time or of seeds
    whole = [name for name in reversed_too if name not in stopped]
    spread = {
        name: rows.seed_spread(
            {own: judgements[name], **{other: _variant(name, other) for other in others}}, judgements["copy_last"]
        )
        for name, (own, others) in repeats.items()
        if name not in stopped
    }
    summaries = {name: judgement.summary for name, judgement in judgements.items()}
    after = {phase: {name: judged[name].summary for name in about} for phase, judged in early.items()}
    table = rows.comparison_rows({name: summaries[name] for name in about}, {x: summaries[x] for x in REFERENCES})
    table = rows.with_gates(rows.with_intervals(table, judgements), judgements, results)
    table = rows.with_spread(table, spread)
    noted = {name: line + stopped_note(after_phases[name]) for name, line in about.items()}
    numbers = {name: numbers_text(name, one.fit) or None for name, one in references.items()}
    details = [
        {
            **row,
            "about": noted.get(row["name"]),
            "numbers": numbers.get(row["name"]),
            **rows.beside_the_table(summaries[row["name"]]),
        }
        for row in table
    ]
    json = {
        "frame": "corrected",
        "splits": {split: {key: summaries["copy_last"][split][key] for key in rows.SHARED} for split in SPLITS},
        "rows": details,
        "more": _more(judgements),
        "best_two": best_two(table, judgements),
        "gates_policy": gates.policy,
        "gates_in_force": gates.in_force,
        "gates": to_json(results),
        "formulas_forward": formulas_forward(results, relatives),
        "relatives": relatives,
        "after_phases": to_json(after_phases),
        "time_direction": _time_direction({name: repeats[name][1] if name in repeats else () for name in whole}, seed)
        if whole
        else {},
        "seeds": spread,
        "left_out": {
            "time_direction": [name for name in reversed_too if name in stopped],
            "seeds": [name for name in repeats if name in stopped],
        },
        "as_published": beside_ours({name: summaries[name] for name in about}, after["a"], stopped),
    }
    steps = {name: steps_vs(one, judgements["copy_last"]) for name, one in judgements.items()}
    return Comparison(json, summaries, after, steps)


def _variant(name: str, seed: int) -> Judgement:
    return read_judgements(evaluation_directory(seed_variant(seed)), [name])[name]


def _time_direction(seeds: Mapping[str, Sequence[int]], seed: int) -> dict[str, Cells]:
    """Figures of recipes and of predictors that know no direction, on articles read forwards and backwards.

    `seeds`: by recipe, the further ones that it was trained with in either direction; `seed`: of the draws.
    """

    def judged(names: Sequence[str], kinds: Sequence[str]) -> list[dict[str, Judgement]]:
        return [judge_both_ways(evaluation_directory(kind), names, seed) for kind in kinds]

    def both(names: Sequence[str], forwards: Sequence[str], backwards: Sequence[str]) -> dict[str, Both]:
        sides = judged(names, forwards), judged(names, backwards)
        return {name: ([one[name] for one in sides[0]], [one[name] for one in sides[1]]) for name in names}

    recipes: dict[str, Both] = {}
    for name, others in seeds.items():
        variants = [seed_variant(other) for other in others]
        recipes |= both([name], ["c", *variants], [REVERSED, *(f"{REVERSED}-{one}" for one in variants)])
    return time_direction(recipes, both(DIRECTION_REFERENCES, ["references"], [f"references-{REVERSED}"]))


def _more(judgements: Mapping[str, Judgement]) -> dict[str, dict[str, list[float | None]]]:
    """Figures beside the table's, by row: value and ends of the interval."""
    keys = [f"{split}_{figure}" for split in SPLITS for figure in MORE]
    return {name: {key: [one.value[key], *one.interval(key)] for key in keys} for name, one in judgements.items()}


DIGITS = 6
"""After the point, of the figures in metrics/comparison.json; comparison.csv and summary.json have all."""


def in_short(json: Mapping[str, Any]) -> dict[str, Any]:
    """The comparison as its file has it: figures of the rows rounded, answers of the gates as they were judged."""
    return {key: _rounded(value) if key in ("rows", "more") else value for key, value in json.items()}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return round(value, DIGITS) if isinstance(value, float) else value


def write_figures(path: str, figures: Mapping[str, Mapping[str, Any]]) -> None:
    """Replace a folder by one json file a row."""
    with atomic_directory(path) as directory:
        for name, one in figures.items():
            write_json(directory / f"{name}.json", one)


OF_ONE_ROW = {"metrics": "json", "metrics/calibration": "json", "plots/training": "csv", "plots/reliability": "csv"}
"""Folders with a file for each row, and how its name ends."""


def remove_left_over(names: Collection[str]) -> list[str]:
    """Remove the files of recipes that are not among the names: earlier runs left them, and DVC knows them no more.

    In metrics/ only what has the figures of a row, so that nobody's own file goes. Returns the paths.
    """
    there = itertools.chain(*(Path(folder).glob(f"*.{ending}") for folder, ending in OF_ONE_ROW.items()))
    left = sorted(path for path in there if path.stem not in {*names, SELECTED})
    gone = [path for path in left if path.parent != Path("metrics") or _is_of_a_row(path)]
    for path in gone:
        path.unlink()
    return [str(path) for path in gone]


def _is_of_a_row(path: Path) -> bool:
    with suppress(LvmError):
        found = read_json(path)
        return isinstance(found, dict) and tuple(found) == ROW_FIGURES
    return False
