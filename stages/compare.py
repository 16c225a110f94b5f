"""Put every recipe and every reference predictor side by side: metrics/comparison.csv, .json, .md and the pictures."""

from __future__ import annotations

from typing import Any

from lvm_core.comparison import build_comparison, read
from lvm_core.comparison.claims import measure_claims
from lvm_core.comparison.read import about_recipes, pos_scalars
from lvm_core.comparison.rows import comparison_csv
from lvm_core.comparison.text import chapters, comparison_text
from lvm_core.config.figures import measured_headlines
from lvm_core.config.gates import GatesParams, sets_of
from lvm_core.config.groups import EvaluateParams
from lvm_core.config.params import Seed, Threads, load_group
from lvm_core.config.settings import read_settings
from lvm_core.frontier.answer import frontier_table
from lvm_core.report.figures import comparison_figure, offset_profile_figure
from lvm_core.runtime.cli import run_stage
from lvm_core.runtime.files import atomic_directory, write_csv, write_json, write_text
from lvm_core.runtime.hardware import set_threads
from lvm_core.runtime.readers import read_csv, read_json

PROFILED = ("oracle", "copy_last", "context_mean", "ridge")


def main() -> None:
    """Judge every row, write the table in three forms, the plots' tables and two pictures."""
    params = read_settings("compare")
    set_threads(load_group(params, "threads", Threads))
    gates = load_group(params, "gates", GatesParams)
    seed: int = load_group(params, "seed", Seed)
    reversed_too: list[str] = load_group(params, "time_direction", list[str])
    recipes = load_group(params, "recipes", dict[str, dict[str, Any]])
    names: list[str] = load_group(params, "names", list[str])
    about, sets = about_recipes(names, recipes), sets_of(names, recipes, gates)
    seeds = params["train"]["seeds"]
    repeats = {name: (recipes[name].get("seed", seed), seeds) for name in params["train"]["repeat"] if seeds}
    cuts = load_group(params, "evaluate", EvaluateParams).coherence_cuts
    done = build_comparison(about, gates, sets, cuts, seed, reversed_too, repeats)
    done.json["pos_scalars"] = pos_scalars(names)
    rows, frontier = done.json["rows"], read_json("metrics/frontier.json")
    profiles = {name: read.profile_table(summary) for name, summary in done.summaries.items()}
    curves = read.stack_tables({name: read_csv(f"plots/training/{name}.csv", "epoch") for name in names})
    claims = measure_claims(done.json, curves, read_json("metrics/diagnosis.json"))
    between = chapters(done, gates, frontier, claims)
    table = comparison_csv(rows, list(gates.sets))
    write_csv("metrics/comparison.csv", table)
    for phase, summaries in done.after.items():
        with atomic_directory(f"metrics/stage_{phase}") as directory:
            for name, summary in summaries.items():
                write_json(directory / f"{name}.json", measured_headlines(summary))
    write_json("metrics/comparison.json", done.json)
    page = comparison_text(rows, done.about, *read.window_counts(done.summaries), between)
    write_text("metrics/comparison.md", page)
    write_csv("plots/offset_profile.csv", read.stack_tables(profiles))
    write_csv("plots/training.csv", curves)
    write_csv("plots/frontier.csv", frontier_table(frontier, rows))
    comparison_figure(rows, "plots/comparison.svg")
    shown = {name: profiles[name]["val"] for name in (*names, *PROFILED)}
    offset_profile_figure(shown, "plots/offset_profile.svg")
    print(table[["name", "status", "val_recall_at_5", "val_cosine", "ood_recall_at_5"]].to_string(index=False))


if __name__ == "__main__":
    run_stage(main)
