"""The summary's decision procedure: data/models/selected/, and metrics/ladder.{json,md} with what was tried and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lvm_core.bank import load_bank
from lvm_core.errors import run_stage
from lvm_core.files import write_json, write_text
from lvm_core.fivecat.params import EvaluateParams
from lvm_core.gates.params import GatesParams, set_of
from lvm_core.ladder.params import LadderParams
from lvm_core.ladder.text import ladder_text, why_selected
from lvm_core.params import Device, Seed, Threads, load_group
from lvm_core.settings import read_settings


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
    from lvm_core.hardware import resolve_device, use_threads
    from lvm_core.ladder.attempts import Judge
    from lvm_core.ladder.climb import climb

    use_threads(threads)
    judge = Judge(load_bank("data/bank"), evaluate_params, gates, seed, resolve_device(wanted_device))
    about = {name: str(recipes[name].get("about", "")) for name in recipes}

    def write(found: Mapping[str, Any]) -> None:
        write_json("metrics/ladder.json", found)
        write_text("metrics/ladder.md", ladder_text(found, about))

    found = climb(settings, sets, judge, write)
    print(f"ladder: {why_selected(found)}", flush=True)


if __name__ == "__main__":
    run_stage(main)
