"""Test C: does the prediction depend on the order of the context, and on its last chunk?

Each ablation is a rearrangement of the context; its measure is the change in the cosine to the target.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from lvm_core.fivecat.batches import Batch
from lvm_core.fivecat.names import ABLATIONS
from lvm_core.fivecat.predictor import Predictor, unit_predictions
from lvm_core.windows import CONTEXT


def leave_one_out_orders() -> np.ndarray:
    """[5, 5] int64: row i is the context without chunk i, with another copy of the last chunk appended.

    Dropping the last chunk and appending a copy of it is the context itself, as in the published test, whose average
    over i includes it.
    """
    last = CONTEXT - 1
    return np.array([[j for j in range(CONTEXT) if j != i] + [last] for i in range(CONTEXT)])


def order_columns(
    predictor: Predictor, batch: Batch, cosine: np.ndarray, shuffled: np.ndarray, foreign: Tensor | None
) -> dict[str, np.ndarray]:
    """The window table's columns of test C: [B] float32 cosine to the target under each ablation.

    Args:
        predictor: to judge; one that does not read the context gets NaN everywhere.
        batch: the windows.
        cosine: [B] float32 cosine to the target with the true context.
        shuffled: [B, 5] int64 random orders.
        foreign: [B, D] float32 chunks of other articles; None where there are none (NaN).
    """
    unknown = np.full(len(batch), np.nan)
    if not predictor.reads_context:
        return {f"cos_{name}": unknown for name in ABLATIONS}
    target = batch.at_offset(1)

    def measure(contexts: Tensor) -> np.ndarray:
        predictions, _ = unit_predictions(predictor, contexts, batch.rows)
        result: np.ndarray = (predictions * target).sum(1).cpu().numpy()
        return result

    last = CONTEXT - 1
    columns = {
        "cos_shuffle": measure(batch.contexts(shuffled)),
        "cos_reverse": measure(batch.contexts(np.arange(CONTEXT)[::-1])),
        # The order without its last chunk is the context itself, known already.
        "cos_leave_one_out": (sum(measure(batch.contexts(order)) for order in leave_one_out_orders()[:last]) + cosine)
        / CONTEXT,
        "cos_repeat_last": measure(batch.contexts(np.full(CONTEXT, last))),
        "cos_foreign_last": unknown,
    }
    if foreign is not None:
        contexts = batch.contexts()
        contexts[:, last] = foreign
        columns["cos_foreign_last"] = measure(contexts)
    return columns
