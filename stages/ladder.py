"""The summary's decision procedure: data/models/selected/, and metrics/ladder.{json,md} with what was tried and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lvm_core.bank import load_bank
from lvm_core.config.gates import GatesParams, set_of
from lvm_core.config.groups import EvaluateParams
from lvm_core.config.ladder import LadderParams
from lvm_core.config.params import Device, Seed, Threads, load_group
from lvm_core.config.settings import read_settings
from lvm_core.report.ladder_text import ladder_text, why_selected
from lvm_core.runtime.cli import run_stage
from lvm_core.runtime.files import write_json, write_text


def main() -> None:
    """Go up the ladder, copy the selected model, write both reports."""
    params = read_settings("ladder")
    settings: LadderParams = load_group(params, "ladder", LadderParams)
    gates: GatesParams = load_group(params, "gates", GatesParams)
    evaluate_params = load_group(params, "evaluate", EvaluateParams)
    seed: int = load_group(params, "seed", Seed)
    threads: int = load_group(params, "threads", Threads)
    wanted_device: str = load_group(params, "device", Device)
    recipes = load_group(params, "recipes", dict[str, dict[str, Any]])
    sets = {name: set_of(recipes[name], gates) for name in load_group(params, "names", list[str])}

    # Heavy imports come after the parameters are known to be good.
    from lvm_core.runtime.hardware import resolve_device, use_threads
    from lvm_core.selection.attempts import Judge
    from lvm_core.selection.ladder import run_ladder

    use_threads(threads)
    judge = Judge(load_bank("data/bank"), evaluate_params, gates, seed, resolve_device(wanted_device))
    about = {name: str(recipes[name].get("about", "")) for name in recipes}

    def write(found: Mapping[str, Any]) -> None:
        write_json("metrics/ladder.json", found)
        write_text("metrics/ladder.md", ladder_text(found, about))

    found = run_ladder(settings, sets, judge, write)
    print(f"ladder: {why_selected(found)}", flush=True)


if __name__ == "__main__":
    run_stage(main)
