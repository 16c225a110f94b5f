"""Judge a predictor on a split: one table of windows, and the figures computed from it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lvm_core.bank import Bank
from lvm_core.bank.chunks import Memory, gather_chunks, mean_chunk
from lvm_core.config.figures import (
    ABLATIONS,
    FULL_BANK_RANKS,
    OFFSETS,
    RANKS,
    READINGS,
    STEP_RECALL,
    figures_in,
    full_bank_column,
    offset_column,
    published_step_column,
    step_columns,
)
from lvm_core.config.groups import EvaluateParams
from lvm_core.config.references import Sees
from lvm_core.fivecat.figures import summarise, window_terms
from lvm_core.fivecat.measures import (
    Predictor,
    closeness_columns,
    coherence_of,
    contrastive_column,
    draw_targets,
    from_callable,
    order_columns,
    profile_columns,
    rollout_columns,
    unit_predictions,
)
from lvm_core.fivecat.ranking import Centred, article_scores, full_bank_columns, retrieval_columns
from lvm_core.fivecat.statistics import Judgement, bootstrap, interval
from lvm_core.fivecat.windows import (
    Batch,
    Windows,
    foreign_rows,
    iterate_batches,
    judged_windows,
    shuffled_orders,
)
from lvm_core.runtime.cli import Progress
from lvm_core.runtime.files import atomic_directory, write_json, write_npy, write_parquet

REPORTED_SPLITS = ("val", "ood")
"""The splits that only report; `dev` chooses, `train` is learned from."""


@dataclass(frozen=True)
class Evaluation:
    """What a predictor reached on a split."""

    windows: pd.DataFrame
    """One row a window in canonical order (article id, position): `row` (bank row of the target), `article` (its id),
    `position` (in the article), `candidates[_forward|_unmasked]`, and the measures, NaN where undefined: `cos_k-4` ..
    `cos_k+4`, `recall_at_1`, `recall_at_5`, `mrr` (and `_forward`, `_centred`, `_unmasked`), `cos_<ablation>`,
    `rollout_cosine_<h>`, `rollout_recall_at_5_<h>` (and `_forward`, `_centred`), `published_rollout_cosine_<h>`,
    `coherence`, `raw_norm`, `contrastive`, `best_context`, `best_context_of_truth`, `centred_cosine`, `cosine_mean`,
    `cosine_nearest`, `full_bank_recall_at_<k>` (float32, but means are taken in float64)."""
    summary: dict[str, Any]
    """The figures (`figures.summarise`), json values."""
    draws: np.ndarray
    """[F, B] float64: `config.figures.figure_names` in each draw of articles (`statistics.bootstrap`)."""
    sees: Sees = "context"
    """What the predictor is given."""


def evaluate(
    bank: Bank,
    split: str,
    predictor: Predictor | Callable[[Tensor], Tensor],
    params: EvaluateParams | None = None,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
    leave_out: Collection[str] = (),
    on_batch: Callable[[int], None] | None = None,
) -> Evaluation:
    """Judge a predictor on the windows of a split, by the definitions of the package.

    The result depends neither on the batch size nor on the order of the articles in the bank, up to the rounding of
    float32 sums.

    Args:
        bank: the vectors, float32 or float16.
        split: one of `bank.SPLITS`.
        predictor: a `Predictor`, or any function of contexts [B, 5, D] to predictions [B, D], which sees the context.
        params: None for the defaults.
        seed: of the shuffled contexts, the foreign chunks, the targets of contrastive accuracy and the bootstrap.
        device: on which contexts are handed to the predictor and cosines computed.
        leave_out: tests of `figures.COSTLY_TESTS` that are not made; their figures are then undefined.
        on_batch: called after each batch with its number of windows.

    Raises:
        LvmError: the predictor's output has a wrong shape or is not finite, or `near_duplicate` leaves no window.
    """
    params = params or EvaluateParams()
    judged = predictor if isinstance(predictor, Predictor) else from_callable(predictor)
    windows = judged_windows(bank, split, params)
    fixed = _prepare(bank, split, windows, params, seed, device)
    means = _means_seen(bank, judged.sees, device)
    parts = []
    with torch.inference_mode():
        for batch in iterate_batches(bank, windows, params.batch_size, device):
            memory = None if means is None else means(torch.from_numpy(batch.rows).to(device))
            parts.append(_measure(judged, batch, memory, fixed, params, leave_out))
            if on_batch:
                on_batch(len(batch))
    columns = {
        "row": windows.rows,
        "article": windows.article_id[windows.article],
        "position": windows.position,
        **{name: _join([part[name] for part in parts], name) for name in _measured(params.rollout_steps)},
    }
    table = pd.DataFrame(columns)
    terms = window_terms(table, params.coherence_cuts)
    drawn = bootstrap(terms, table["article"], (seed, *split.encode()))
    ends = {name: interval(values) for name, values in drawn.items() if name.startswith(STEP_RECALL)}
    summary = summarise(table, terms, params.coherence_cuts, ends)
    return Evaluation(table, summary, np.stack(list(drawn.values())), judged.sees)


def judgement_of(evaluations: Mapping[str, Evaluation]) -> Judgement:
    """The figures of a predictor's evaluations by split, with their bootstrap values."""
    value: dict[str, float | None] = {}
    draws: dict[str, np.ndarray] = {}
    for split, done in evaluations.items():
        found = figures_in(done.summary)
        value |= {f"{split}_{name}": one for name, one in found.items()}
        draws |= {f"{split}_{name}": drawn for name, drawn in zip(found, done.draws, strict=True)}
    return Judgement(value, draws, _sees(evaluations))


def _sees(evaluations: Mapping[str, Evaluation]) -> Sees:
    """What the predictor of these evaluations is given."""
    return next((one.sees for one in evaluations.values()), "context")


def evaluate_splits(
    bank: Bank,
    predictor: Predictor,
    params: EvaluateParams,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
    splits: Sequence[str] = REPORTED_SPLITS,
    leave_out: Collection[str] = (),
) -> dict[str, Evaluation]:
    """`evaluate` on several splits, with progress lines on stderr and a line on each; evaluations by split."""
    done = {}
    for split in splits:
        progress = Progress(f"{predictor.name} on {split}", len(judged_windows(bank, split, params)), "windows")
        done[split] = evaluate(
            bank, split, predictor, params, seed=seed, device=device, leave_out=leave_out, on_batch=progress.update
        )
        shown = (_shown(title, done[split].summary[name]) for title, name in SAID.items())
        print(f"{predictor.name} on {split}: {', '.join(shown)}", flush=True)
    return done


SAID = {"R@5": "recall_at_5", "cosine": "cosine"}
"""Figures that the line on an evaluation names, by their titles."""


def _shown(title: str, value: float | None) -> str:
    return f"{title} undefined" if value is None else f"{title} {value:.3f}"


@dataclass(frozen=True)
class _Fixed:
    """What is the same for every predictor judged on a split: random draws, and the mean of its chunks."""

    bank: Bank
    shuffled: np.ndarray  # [W, 5]
    foreign: np.ndarray | None  # [W] bank rows
    others: np.ndarray  # [n] bank rows of the targets of contrastive accuracy
    other_vectors: Tensor  # [n, D]
    centre: Tensor  # [D]


def _prepare(
    bank: Bank, split: str, windows: Windows, params: EvaluateParams, seed: int, device: torch.device | str
) -> _Fixed:
    others = draw_targets(windows, params.contrastive_targets, seed)
    return _Fixed(
        bank,
        shuffled_orders(windows, seed),
        foreign_rows(windows, seed),
        others,
        gather_chunks(bank, others, device),
        torch.from_numpy(mean_chunk(bank, split)).to(device),
    )


def _means_seen(bank: Bank, sees: Sees, device: torch.device | str) -> Callable[[Tensor], Tensor] | None:
    """From rows of targets [B] to the means [B, D] that a predictor sees beside the context; None if it sees none."""
    if sees not in ("memory", "document"):
        return None
    memory = Memory.of_bank(bank, device)
    return memory.before if sees == "memory" else memory.whole


def _measure(
    predictor: Predictor,
    batch: Batch,
    memory: Tensor | None,
    fixed: _Fixed,
    params: EvaluateParams,
    leave_out: Collection[str],
) -> dict[str, np.ndarray]:
    bank, few = fixed.bank, params.min_candidates
    contexts = batch.contexts()
    predictions, norm = unit_predictions(predictor, contexts, batch.rows, memory)
    scores, centred = article_scores(predictions, batch), Centred.of(batch)
    profile = profile_columns(scores, batch)
    own = profile[offset_column(1)]
    strangers = None if fixed.foreign is None else gather_chunks(bank, fixed.foreign[batch.index], batch.chunks.device)
    costly: dict[str, Callable[[], dict[str, np.ndarray]]] = {
        "order": lambda: order_columns(predictor, batch, own, fixed.shuffled[batch.index], strangers, memory),
        "rollout": lambda: rollout_columns(
            predictor, batch, predictions, scores, centred, params.rollout_steps, few, memory
        ),
        "contrastive": lambda: {
            "contrastive": contrastive_column(predictions, own, batch.rows, fixed.others, fixed.other_vectors)
        },
        "full_bank": lambda: full_bank_columns(bank, predictions, own, batch.rows, few),
    }
    if not params.full_bank:
        leave_out = {*leave_out, "full_bank"}
    measured = {
        **dict.fromkeys(_measured(params.rollout_steps), np.full(len(batch), np.nan)),
        **retrieval_columns(scores, batch, few, centred.scores(predictions)),
        **profile,
        "coherence": coherence_of(contexts),
        "raw_norm": norm.cpu().numpy(),
        **closeness_columns(predictions, contexts, scores, batch, fixed.centre, centred.means),
    }
    for test, columns in costly.items():
        if test not in leave_out:
            measured |= columns()
    return {name: values.astype(_kind(name)) for name, values in measured.items()}


def _measured(steps: int) -> list[str]:
    """Names of the measured columns, in the order of the table."""
    ranked = ["candidates", *(f"recall_at_{k}" for k in RANKS), "mrr"]
    retrieval = (f"{name}{end}" for end in (*READINGS, "_unmasked") for name in ranked)
    return [
        *(name for name in retrieval if name != "candidates_centred"),  # they are the masked ones
        *(offset_column(k) for k in OFFSETS),
        *(f"cos_{name}" for name in ABLATIONS),
        *(name for step in range(1, steps + 1) for name in (*step_columns(step), published_step_column(step))),
        *("coherence", "raw_norm", "contrastive", "best_context", "best_context_of_truth", "centred_cosine"),
        *("cosine_mean", "cosine_nearest"),
        *(full_bank_column(k) for k in FULL_BANK_RANKS),
    ]


def _kind(name: str) -> type[np.generic]:
    """Type of a measured column: cosines come out of float32 arithmetic, and a table of them may be long."""
    return np.int32 if name.startswith("candidates") else np.float32


def _join(parts: list[np.ndarray], name: str) -> np.ndarray:
    return np.concatenate(parts) if parts else np.empty(0, dtype=_kind(name))


def write_evaluations(
    directory: str | Path,
    evaluations: Mapping[str, Evaluation],
    fit: Mapping[str, Any] | None = None,
    within: Mapping[str, Mapping[str, Evaluation]] | None = None,
    dev: Mapping[str, float | None] | None = None,
) -> None:
    """Replace `directory` as a whole by `<split>.parquet` (windows) and `<split>.npy` (draws) of each split, and
    `summary.json` (figures by split, what the predictor `sees`, under `fit` what it fitted, if there is any, and under
    `dev` the figures that the served model is chosen by, `candidates.dev_figures`).

    `within`: further evaluations, by the name of a folder in this one.
    """
    with atomic_directory(directory) as temporary:
        more = {"fit": fit, "dev": dev}
        _write(temporary, evaluations, {key: dict(value) for key, value in more.items() if value})
        for name, others in (within or {}).items():
            _write(temporary / name, others, {})


def _write(directory: Path, evaluations: Mapping[str, Evaluation], more: Mapping[str, Any]) -> None:
    summary: dict[str, Any] = {split: evaluation.summary for split, evaluation in evaluations.items()}
    summary["sees"] = _sees(evaluations)
    for split, evaluation in evaluations.items():
        write_parquet(directory / f"{split}.parquet", evaluation.windows)
        write_npy(directory / f"{split}.npy", evaluation.draws)
    write_json(directory / "summary.json", summary | dict(more))
