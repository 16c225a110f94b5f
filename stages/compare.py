"""Put every recipe and every reference predictor side by side: metrics/comparison.csv, .json, .md and the pictures."""

from __future__ import annotations

from typing import Any

from lvm_core import comparison
from lvm_core.errors import run_stage
from lvm_core.figures import comparison_figure, offset_profile_figure
from lvm_core.files import read_csv, write_csv, write_json, write_text
from lvm_core.layout import REFERENCES
from lvm_core.params import Seed, load_group, read_params

EVALUATION = "data/evaluation"
PROFILED = ("oracle", "copy_last", "context_mean", "ridge")


def main() -> None:
    """Read the summaries, write the table in three forms, the offset profiles, the curves and two pictures."""
    params = read_params()
    recipes = load_group(params, "recipes", dict[str, dict[str, Any]])
    seed: int = load_group(params, "seed", Seed)
    about = comparison.about_recipes(load_group(params, "names", list[str]), recipes)
    after_a, final = (comparison.read_summaries(f"{EVALUATION}/{phase}", list(about)) for phase in ("a", "c"))
    references = comparison.read_summaries(f"{EVALUATION}/references", REFERENCES)
    windows = comparison.read_windows(f"{EVALUATION}/c", list(about))
    windows |= comparison.read_windows(f"{EVALUATION}/references", REFERENCES)
    rows = comparison.with_intervals(comparison.comparison_rows(final, references), windows, seed)
    summaries = final | references
    profiles = {name: comparison.profile_table(summary) for name, summary in summaries.items()}
    curves = {name: read_csv(f"plots/training/{name}.csv", "epoch") for name in about}

    table = comparison.comparison_csv(rows)
    write_csv("metrics/comparison.csv", table)
    write_json("metrics/comparison.json", comparison.comparison_details(rows, summaries, after_a, about))
    text = comparison.comparison_text(rows, about, *comparison.window_counts(summaries))
    write_text("metrics/comparison.md", text)
    write_csv("plots/offset_profile.csv", comparison.stack_tables(profiles))
    write_csv("plots/training.csv", comparison.stack_tables(curves))
    comparison_figure(rows, "plots/comparison.svg")
    shown = {name: profiles[name]["val"] for name in (*about, *PROFILED)}
    offset_profile_figure(shown, "plots/offset_profile.svg")
    print(table[["name", "kind", "val_recall_at_5", "val_cosine", "ood_recall_at_5"]].to_string(index=False))


if __name__ == "__main__":
    run_stage(main)
