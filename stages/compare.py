"""Put every recipe and every reference predictor side by side: metrics/comparison.csv, .json, .md and the pictures."""

from __future__ import annotations

from typing import Any

from lvm_core.claims import claims_text, measure_claims
from lvm_core.comparison import details, text
from lvm_core.comparison.as_published import as_published_chapter
from lvm_core.comparison.build import build_comparison
from lvm_core.comparison.read import about_recipes
from lvm_core.comparison.rows import comparison_csv
from lvm_core.errors import run_stage
from lvm_core.figures import comparison_figure, offset_profile_figure
from lvm_core.files import read_csv, read_json, write_csv, write_json, write_text
from lvm_core.fivecat.params import EvaluateParams
from lvm_core.frontier.answer import answer, frontier_table
from lvm_core.gates.params import GatesParams
from lvm_core.gates.text import gates_text
from lvm_core.params import Seed, Threads, load_group, read_params, set_threads

PROFILED = ("oracle", "copy_last", "context_mean", "ridge")


def main() -> None:
    """Judge every row, write the table in three forms, the plots' tables and two pictures."""
    params = read_params()
    set_threads(load_group(params, "threads", Threads))
    gates = load_group(params, "gates", GatesParams)
    seed: int = load_group(params, "seed", Seed)
    reversed_too: list[str] = load_group(params, "time_direction", list[str])
    recipes = load_group(params, "recipes", dict[str, dict[str, Any]])
    about = about_recipes(load_group(params, "names", list[str]), recipes)
    seeds = params["train"]["seeds"]
    repeats = {name: (recipes[name].get("seed", seed), seeds) for name in params["train"]["repeat"] if seeds}
    cuts = load_group(params, "evaluate", EvaluateParams).coherence_cuts
    done = build_comparison(about, gates, cuts, seed, reversed_too, repeats)
    rows = done.json["rows"]
    profiles = {name: details.profile_table(summary) for name, summary in done.summaries.items()}
    curves = details.stack_tables({name: read_csv(f"plots/training/{name}.csv", "epoch") for name in about})
    frontier = read_json("metrics/frontier.json")
    claims = measure_claims(rows, curves, read_json("metrics/diagnosis.json"), done.time_direction)
    chapters = [
        f"## What can be reached\n\n{answer(frontier, rows)}",
        *text.time_direction_chapter(done.time_direction),
        *text.seeds_chapter(done.seeds),
        gates_text(gates, done.results, {row["name"]: row["kind"] for row in rows}),
        "\n".join(claims_text(claims)),
        as_published_chapter(done.json["as_published"]),
    ]
    table = comparison_csv(rows, list(gates.sets))
    write_csv("metrics/comparison.csv", table)
    write_json("metrics/comparison.json", done.json)
    page = text.comparison_text(rows, about, *details.window_counts(done.summaries), chapters)
    write_text("metrics/comparison.md", page)
    write_csv("plots/offset_profile.csv", details.stack_tables(profiles))
    write_csv("plots/training.csv", curves)
    write_csv("plots/frontier.csv", frontier_table(frontier, rows))
    comparison_figure(rows, "plots/comparison.svg")
    shown = {name: profiles[name]["val"] for name in (*about, *PROFILED)}
    offset_profile_figure(shown, "plots/offset_profile.svg")
    print(table[["name", "status", "val_recall_at_5", "val_cosine", "ood_recall_at_5"]].to_string(index=False))


if __name__ == "__main__":
    run_stage(main)
