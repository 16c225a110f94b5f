"""What a model's confidence means: curves for the service, their reliability on val, and the filling strategies."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from lvm_core.bank import load_bank
from lvm_core.config.groups import ServiceParams
from lvm_core.config.params import load_common, load_group, read_params
from lvm_core.models.checkpoint import load_model
from lvm_core.runtime.cli import run_stage
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import sha256_of, write_csv, write_json
from lvm_core.runtime.hardware import use_threads
from lvm_core.service.confidence import (
    Calibration,
    calibration_figures,
    fill_figures,
    measure,
    measure_kind,
    reliability,
)
from lvm_core.service.nearest import Index


def main(name: str) -> None:
    """Fit the curves on dev and hold them against val: data/calibration, metrics/calibration, plots/reliability."""
    params = read_params()
    settings = load_group(params, "service", ServiceParams)
    use_threads(load_common(params).threads)
    bank, directory = load_bank("data/bank"), Path("data/models") / name
    model = load_model(directory)
    index = Index.of(bank)
    outcomes = list(measure(model.predict, bank, index, "dev", settings.steps))
    if not outcomes:
        raise LvmError("data/bank: split dev has no window to calibrate on; raise split.dev or lower corpus.min_chars")
    calibration = Calibration(
        model=model.info.recipe["name"],
        model_sha256=sha256_of(directory / "model.safetensors"),
        bank_sha256=bank.info.content_sha256,
        curves=[one.curve() for one in outcomes],
    )
    calibration.write(f"data/calibration/{name}.json")
    held_out, kinds = next(measure_kind(model.predict, bank, index, "val", 1), None), fill_figures(outcomes)
    curve = calibration.curves[0]  # of whole contexts, one step ahead
    val = calibration_figures(held_out, curve) if held_out else None
    write_json(f"metrics/calibration/{name}.json", {"dev": kinds, "val": val})
    groups = reliability(held_out, curve) if held_out else []
    columns = ["name", "confidence", "observed", "low", "high", "windows"]
    write_csv(
        f"plots/reliability/{name}.csv", pd.DataFrame([{"name": name, **group} for group in groups], columns=columns)
    )
    found, windows = kinds["given"]["5_given"]["found"], len(outcomes[0].hits)
    print(f"calibrate {name}: {found:.3f} of {windows:,} dev windows have the true chunk among 5 of the whole bank")


if __name__ == "__main__":
    run_stage(main, "MODEL")
