"""Put every recipe and every reference predictor side by side: metrics/comparison.csv, .json, .md and the pictures."""

from __future__ import annotations

from typing import Any

import pandas as pd

from lvm_core.comparison import about_recipes, comparison_csv, comparison_rows, comparison_text, read_summaries
from lvm_core.errors import run_stage
from lvm_core.figures import comparison_figure, offset_profile_figure
from lvm_core.files import atomic_directory, write_csv, write_json, write_text
from lvm_core.fivecat.headline import headlines
from lvm_core.layout import REFERENCES
from lvm_core.params import load_group, read_params

EVALUATION = "data/evaluation"
PROFILED = ("oracle", "copy_last", "context_mean", "ridge")


def main() -> None:
    """Read the summaries, write the table in three forms, the offset profiles and two pictures."""
    params = read_params()
    about = about_recipes(
        load_group(params, "names", list[str]), load_group(params, "recipes", dict[str, dict[str, Any]])
    )
    names = list(about)
    after_a, final = (read_summaries(f"{EVALUATION}/{phase}", names) for phase in ("a", "c"))
    references = read_summaries(f"{EVALUATION}/references", REFERENCES)
    rows = comparison_rows(final, references)
    summaries = final | references
    details = [
        {**row, "about": about.get(row["name"]), **{split: summaries[row["name"]][split] for split in ("val", "ood")}}
        for row in rows
    ]
    stage_a = {name: headlines(summary) for name, summary in after_a.items()}
    write_csv("metrics/comparison.csv", comparison_csv(rows))
    write_json("metrics/comparison.json", {"frame": "corrected", "rows": details, "after_stage_a": stage_a})
    windows = {split: next(iter(summaries.values()))[split]["windows"]["all"] for split in ("val", "ood")}
    write_text("metrics/comparison.md", comparison_text(rows, about, windows))

    profiles = {
        name: {split: {int(k): value for k, value in summary[split]["profile"].items()} for split in ("val", "ood")}
        for name, summary in summaries.items()
    }
    with atomic_directory("plots/offset_profile") as directory:
        for name, by_split in profiles.items():
            write_csv(directory / f"{name}.csv", pd.DataFrame(by_split).rename_axis("k").reset_index())
    comparison_figure(rows, "plots/comparison.svg")
    offset_profile_figure({n: profiles[n]["val"] for n in (*names, *PROFILED)}, "plots/offset_profile.svg")
    print(
        comparison_csv(rows)[["name", "kind", "val_recall_at_5", "val_cosine", "ood_recall_at_5"]].to_string(
            index=False
        )
    )


if __name__ == "__main__":
    run_stage(main)
