"""Put every recipe and every reference predictor side by side: metrics/comparison.csv, .json, .md and the pictures."""

from __future__ import annotations

from lvm_core.comparison import build_comparison, in_short, remove_left_over, write_figures
from lvm_core.comparison.claims import measure_claims
from lvm_core.comparison.rows import about_recipes, comparison_csv, pos_scalars, profile_table, stack_tables
from lvm_core.config.figures import headlines, measured_headlines
from lvm_core.config.gates import sets_of
from lvm_core.config.references import REFERENCES
from lvm_core.config.settings import CompareSettings, read_settings
from lvm_core.frontier.answer import answer, frontier_table
from lvm_core.report.drawing import write_svg
from lvm_core.report.page import comparison_text
from lvm_core.report.pictures import highlighted, profile_picture
from lvm_core.report.ranking import ranking_picture
from lvm_core.runtime.cli import run_stage
from lvm_core.runtime.files import write_csv, write_json, write_text
from lvm_core.runtime.hardware import set_threads
from lvm_core.runtime.readers import read_csv, read_json
from lvm_core.train import CURVES


def main() -> None:
    """Judge every row, write the table in three forms, the plots' tables and two pictures."""
    params = read_settings(CompareSettings)
    set_threads(params.threads)
    gates, recipes, names = params.gates, params.recipes, params.names
    about, sets = about_recipes(names, recipes), sets_of(names, recipes, gates)
    seed, seeds = params.seed, params.train["seeds"]
    repeats = {name: (recipes[name].get("seed", seed), seeds) for name in params.train["repeat"] if seeds}
    done = build_comparison(about, gates, sets, seed, params.time_direction, repeats)
    done.json["pos_scalars"] = pos_scalars(names)
    rows, frontier = done.json["rows"], read_json("metrics/frontier.json")
    profiles = {name: profile_table(summary) for name, summary in done.summaries.items()}
    curves = stack_tables({name: read_csv(f"plots/training/{name}.csv", "epoch") for name in sorted(names)})
    table = comparison_csv(rows, list(gates.sets))
    write_csv("metrics/comparison.csv", table)
    rivals = {row["name"]: row["vs_rival"] for row in rows}
    details = {
        name: headlines(summary) | {"vs_rival": rivals[name], "rollout_vs_copy_last": done.steps[name]}
        for name, summary in done.summaries.items()
    }
    write_figures("metrics/details", details)
    for phase, summaries in done.after.items():
        write_figures(f"metrics/stage_{phase}", {name: measured_headlines(one) for name, one in summaries.items()})
    claims = measure_claims(done.json, curves, read_json("metrics/diagnosis.json"))
    done.json.update(can_be_reached=answer(frontier, rows), claims=[claim.model_dump() for claim in claims])
    write_json("metrics/comparison.json", in_short(done.json), unfolded=2)
    write_text("metrics/comparison.md", comparison_text(done.json, frontier))
    write_csv(CURVES, curves)
    named = [row["name"] for row in highlighted(rows)]
    drawn = {"offset_profile": stack_tables(profiles), "frontier": frontier_table(frontier, rows)}
    for name, values in drawn.items():
        write_csv(f"plots/{name}.csv", values.assign(highlight=values["name"].isin(named).astype(int)))
    chance = done.json["splits"]["val"]["chance"]["recall_at_5"]
    write_svg("plots/comparison.svg", ranking_picture(rows, ("recall_at_5", "cosine"), chance).svg)
    write_svg("plots/offset_profile.svg", profile_picture(rows).svg)
    for name in done.json["formulas_forward"]:
        print(f"compare: {name} PASSES EVERY CERTIFIED GATE, though nothing was trained: it beats all that see as much")
    left = remove_left_over([*names, *REFERENCES])
    if left:
        print(f"compare: removed, of recipes that are not in names: {', '.join(left)}")
    print(table[["name", "status", "val_recall_at_5", "val_cosine", "ood_recall_at_5"]].to_string(index=False))


if __name__ == "__main__":
    run_stage(main)
