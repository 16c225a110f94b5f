"""The summary's decision procedure: data/models/selected/, and metrics/ladder.{json,md} with what was tried and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lvm_core.bank import load_bank
from lvm_core.config.gates import set_of
from lvm_core.config.ladder import LadderSettings
from lvm_core.config.settings import read_settings
from lvm_core.report.ladder_text import ladder_text, why_selected
from lvm_core.runtime.cli import run_stage
from lvm_core.runtime.files import write_json, write_text


def main() -> None:
    """Go up the ladder, copy the selected model, write both reports."""
    params = read_settings(LadderSettings)
    recipes = params.recipes
    sets = {name: set_of(recipes[name], params.gates) for name in params.names}

    # Heavy imports come after the parameters are known to be good.
    from lvm_core.runtime.hardware import resolve_device, use_threads
    from lvm_core.selection.dev_gates import Judge
    from lvm_core.selection.ladder import run_ladder

    use_threads(params.threads)
    judge = Judge(load_bank("data/bank"), params.evaluate, params.gates, params.seed, resolve_device(params.device))
    about = {name: str(recipes[name].get("about", "")) for name in recipes}

    def write(found: Mapping[str, Any]) -> None:
        write_json("metrics/ladder.json", found)
        write_text("metrics/ladder.md", ladder_text(found, about))

    found = run_ladder(params.ladder, sets, judge, write)
    print(f"ladder: {why_selected(found)}", flush=True)


if __name__ == "__main__":
    run_stage(main)
