"""Forward-distinctness: how each training window's target relates to its context, from row-wise dot products."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from lvm_core.params import Group
from lvm_core.windows import CONTEXT

ScoreName = Literal["distinctness", "forward_gain", "similarity"]
SCORES: tuple[ScoreName, ...] = ("distinctness", "forward_gain", "similarity")
"""The scores that can order a curriculum, higher first (prior results, section 5)."""


class ScoreParams(Group):
    """Which score orders the curriculum (`score` in params.yaml)."""

    name: Annotated[ScoreName, Field(description="score of the curricula that name no other")]


def lag_similarities(vectors: np.ndarray, max_lag: int = CONTEXT, block: int = 1024, threads: int = 1) -> np.ndarray:
    """Cosine of every bank row with each of the rows before it.

    Reads the bank once, in blocks that stay in the processor's cache while every lag is computed, so that it runs at
    about the speed of memory and needs no more memory than a block, whatever the size of the file.

    Args:
        vectors: [N, D] unit rows, float32 or float16, may be memory-mapped.
        max_lag: L.
        block: rows at a time.
        threads: that take the blocks in turn; the result does not depend on them.

    Returns:
        [N, L] float32; column l-1 holds cos(row r, row r-l), NaN where r < l. Article borders are not looked at:
        take the rows whose predecessors lie in their own article (window targets do, for l <= 5).
    """
    out = np.full((max_lag, len(vectors)), np.nan, dtype=np.float32)

    def fill(start: int) -> None:
        low = max(start - max_lag, 0)
        rows = np.asarray(vectors[low : start + block], dtype=np.float32)
        for lag in range(1, max_lag + 1):
            first = max(start - low, lag)
            if first < len(rows):
                out[lag - 1, low + first : low + len(rows)] = np.vecdot(rows[first:], rows[first - lag : -lag])

    with ThreadPoolExecutor(threads) as pool:  # numpy lets other threads work while it computes
        for _ in pool.map(fill, range(0, len(vectors), block)):
            pass
    return out.T


def score_windows(
    vectors: np.ndarray, targets: np.ndarray, article_of_row: np.ndarray, threads: int = 1
) -> pd.DataFrame:
    """Every score of prior results section 5 for the windows with these target rows.

    Columns: `row` (target row); `distinctness` = 1 - cos(target, last context), as P5 ran; `forward_gain` =
    cos(target, next in article) - cos(target, last context), NaN where the article ends; `similarity` =
    cos(target, last context), the sign-flipped score; and the P5.1 set: `sim_prev` (equal to `similarity`),
    `sim_prev2` = cos(target, second-last context), `sim_other_max` = max over the four older contexts,
    `adv_prev` = sim_prev - sim_other_max, `delta_prev2` = sim_prev - sim_prev2.

    Args:
        vectors: [N, D] unit rows.
        targets: [W] int64 target rows.
        article_of_row: [N] article number of each row.
        threads: to compute with.

    Returns:
        One row a window in the order of `targets`, float32 scores.
    """
    lags = lag_similarities(vectors, threads=threads).T  # [L, N], each lag in one piece
    following = np.minimum(targets + 1, len(vectors) - 1)
    has_next = (following > targets) & (article_of_row[following] == article_of_row[targets])
    sims = lags[:, targets]
    sim_prev, sim_prev2, sim_other_max = sims[0], sims[1], reduce(np.maximum, sims[1:])
    return pd.DataFrame(
        {
            "row": targets,
            "distinctness": 1 - sim_prev,
            "forward_gain": np.where(has_next, lags[0, following] - sim_prev, np.nan).astype(np.float32),
            "similarity": sim_prev,
            "sim_prev": sim_prev,
            "sim_prev2": sim_prev2,
            "sim_other_max": sim_other_max,
            "adv_prev": sim_prev - sim_other_max,
            "delta_prev2": sim_prev - sim_prev2,
        }
    )
