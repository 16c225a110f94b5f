"""What a model's confidence means: curves for the service, how far they are off, and the filling strategies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from lvm_core.bank import load_bank
from lvm_core.config.groups import ServiceParams
from lvm_core.config.params import load_common, load_group, read_params
from lvm_core.models.checkpoint import load_model
from lvm_core.runtime.cli import run_stage
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import sha256_of, write_csv, write_json
from lvm_core.runtime.hardware import use_threads
from lvm_core.service import reliability as judged
from lvm_core.service.confidence import Calibration, measure
from lvm_core.service.loading import check_servable
from lvm_core.service.nearest import Index


def main(name: str) -> None:
    """Fit curves on dev and hold them against val and ood: data/calibration, metrics/calibration, plots/reliability.

    With too few articles in dev there is a calibration without curves, which says why.
    """
    params = read_params()
    settings = load_group(params, "service", ServiceParams)
    use_threads(load_common(params).threads)
    bank, directory = load_bank("data/bank"), Path("data/models") / name
    model = load_model(directory)
    check_servable(model, directory)
    index = Index.of(bank)
    outcomes = list(measure(model, bank, index, "dev", settings.steps))
    if not outcomes:
        raise LvmError("data/bank: split dev has no window to calibrate on; raise split.dev or lower corpus.min_chars")
    whole, why_not = outcomes[0], judged.too_few(outcomes[0])  # five given chunks, one step ahead
    held = {} if why_not else judged.held_against(model, bank, index, whole)
    found = {split: judged.bias(*one, None if split == "dev" else whole) for split, one in held.items()}
    calibration = Calibration(
        model=model.info.recipe["name"],
        model_sha256=sha256_of(directory / "model.safetensors"),
        bank_sha256=bank.info.content_sha256,
        curves=[] if why_not else [one.curve() for one in outcomes],
        why_not=why_not,
        articles=len(np.unique(whole.articles)),
        sources=sorted(set(bank.articles_of("dev")["source"])),
        bias=found,
    )
    calibration.write(f"data/calibration/{name}.json")
    kinds, val = judged.fill_figures(outcomes), held.get("val")
    fit = judged.calibration_figures(*val) if val else None
    write_json(f"metrics/calibration/{name}.json", {"why_not": why_not, "dev": kinds, "val": fit, "bias": found})
    groups = [{"name": name, **group} for group in (judged.reliability(*val) if val else [])]
    columns = ["name", "confidence", "observed", "low", "high", "windows"]
    write_csv(f"plots/reliability/{name}.csv", pd.DataFrame(groups, columns=columns))
    rate, windows = kinds["given"]["5_given"]["found"], len(whole.hits)
    print(f"calibrate {name}: {rate:.3f} of {windows:,} dev windows have the true chunk among 5 of the whole bank")
    print(f"calibrate {name}: {why_not or judged.biases_text(found)}")


if __name__ == "__main__":
    run_stage(main, "MODEL")
