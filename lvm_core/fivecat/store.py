"""Evaluations on disk: a folder with a window table for each split and one summary."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lvm_core.files import atomic_directory, write_json, write_parquet
from lvm_core.fivecat.evaluate import Evaluation


def write_evaluations(
    directory: str | Path,
    evaluations: Mapping[str, Evaluation],
    fit: Mapping[str, Any] | None = None,
    within: Mapping[str, Mapping[str, Evaluation]] | None = None,
) -> None:
    """Replace `directory` as a whole by `<split>.parquet` of each split and `summary.json` (figures by split).

    Args:
        directory: to write.
        evaluations: by split.
        fit: what the predictor fitted; put under `fit` in the summary if there is any.
        within: further evaluations, by the name of a folder in this one.

    Raises:
        LvmError: the folder cannot be written to.
    """
    with atomic_directory(directory) as temporary:
        _write(temporary, evaluations, {"fit": dict(fit)} if fit else {})
        for name, others in (within or {}).items():
            _write(temporary / name, others, {})


def _write(directory: Path, evaluations: Mapping[str, Evaluation], more: Mapping[str, Any]) -> None:
    summary: dict[str, Any] = {split: evaluation.summary for split, evaluation in evaluations.items()}
    for split, evaluation in evaluations.items():
        write_parquet(directory / f"{split}.parquet", evaluation.windows)
    write_json(directory / "summary.json", summary | dict(more))
