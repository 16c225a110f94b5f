"""Predictors with nothing or little to learn, which every model has to be read against (and mostly to beat).

`oracle`, `article_centroid`, `corpus_mean` and `random` do not read the context. `oracle` sees the answer: a ceiling,
and nobody's rival; `article_centroid` shows how far blur alone goes. All are fitted on `train` in canonical order;
`ridge` chooses its strength on `dev` by cosine, the formulas of `formulas.py` their numbers by R@5.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from lvm_core.bank import Bank
from lvm_core.bank.chunks import gather_chunks, mean_chunk
from lvm_core.config.groups import EvaluateParams
from lvm_core.config.references import FORMULAS, REFERENCES
from lvm_core.fivecat.formulas import fit_formula
from lvm_core.fivecat.least_squares import Equations, Sums, choose_on_dev, pairs, require_windows
from lvm_core.fivecat.measures import Predictor, from_callable
from lvm_core.fivecat.windows import (
    article_keys,
    canonical_windows,
    chunk_keys,
    iterate_batches,
    uniform,
)
from lvm_core.runtime.errors import LvmError
from lvm_core.windows import CONTEXT


def fit_references(
    bank: Bank, params: EvaluateParams, seed: int, names: Sequence[str] = tuple(REFERENCES)
) -> list[Predictor]:
    """The reference predictors of a bank, or the named ones of them; `seed` is that of the `random` directions.

    Raises:
        LvmError: the train split has no window, or dev has none and there are several ridge strengths.
    """
    size = params.batch_size
    fits: dict[str, Callable[[], Predictor]] = {
        "oracle": lambda: oracle(bank),
        "copy_last": copy_last,
        "context_mean": context_mean,
        "linear5": lambda: fit_linear5(bank, size),
        **{name: functools.partial(of_formula, bank, name) for name in FORMULAS},
        "ridge": lambda: fit_ridge(bank, params.ridge_strengths, size),
        "article_centroid": lambda: article_centroid(bank),
        "corpus_mean": lambda: corpus_mean(bank),
        "random": lambda: random_directions(bank, seed),
    }
    return [fits[name]() for name in names]


def oracle(bank: Bank) -> Predictor:
    """The true chunk."""
    return Predictor(
        "oracle",
        lambda contexts, rows, memory: gather_chunks(bank, rows, contexts.device),
        "answer",
        reads_context=False,
    )


def copy_last() -> Predictor:
    """The last context chunk."""
    return from_callable(lambda contexts: contexts[:, -1], "copy_last")


def context_mean() -> Predictor:
    """The mean of the five context chunks."""
    return from_callable(lambda contexts: contexts.mean(1), "context_mean")


def of_formula(bank: Bank, name: str) -> Predictor:
    """One of `FORMULAS`, fitted."""
    found = fit_formula(bank, name)
    formula, centre = found.formula, found.centre

    def predict(contexts: Tensor, rows: np.ndarray, memory: Tensor | None) -> Tensor:
        result: Tensor = formula.to(contexts.device)(contexts, centre.to(contexts.device) if memory is None else memory)
        return result

    return Predictor(name, predict, REFERENCES[name], fit=found.fit)


def fit_linear5(bank: Bank, batch_size: int = 512) -> Predictor:
    """The sum of the context chunks, each times a scalar: 5 weights by least squares on `train`.

    Raises:
        LvmError: the train split has no window.
    """
    require_windows(bank, "train", "linear5 and ridge need")
    gram = np.zeros((CONTEXT + 1, CONTEXT + 1))
    for contexts, targets in pairs(bank, "train", batch_size):
        both = torch.cat([contexts, targets[:, None]], dim=1)
        gram += torch.bmm(both, both.transpose(1, 2)).double().sum(0).numpy()
    # lstsq rather than solve: equal chunks make the normal equations singular, and any minimiser will do.
    weights = np.linalg.lstsq(gram[:CONTEXT, :CONTEXT], gram[:CONTEXT, CONTEXT])[0]
    tensor = torch.from_numpy(weights.astype(np.float32))

    def predict(contexts: Tensor) -> Tensor:
        return torch.matmul(tensor.to(contexts.device), contexts)  # 10 times faster than the same einsum

    return Predictor("linear5", lambda contexts, rows, memory: predict(contexts), fit={"weights": weights.tolist()})


def fit_ridge(bank: Bank, strengths: Sequence[float], batch_size: int = 512) -> Predictor:
    """Affine map of all 5*D context features: ridge regression in closed form on `train` (Hoerl and Kennard 1970).

    Minimises the mean over windows of |target - prediction|^2 plus strength * |coefficients|^2; the intercept is not
    penalised. The strength is the one with the best mean cosine on `dev`. Memory: about three [5D, 5D] float64
    matrices (350 MB at D=768).
    """
    require_windows(bank, "train", "linear5 and ridge need")
    sums = Sums(bank.vectors.shape[1], range(1 - CONTEXT, 2))
    for batch in iterate_batches(bank, canonical_windows(bank, "train"), batch_size, "cpu"):
        sums.add(batch)
    products, chunks = sums.means()
    equations = Equations.of(products, chunks, products[CONTEXT:], chunks[CONTEXT:])
    del sums, products  # of which the cross-covariance is left

    def solve(strength: float) -> Tensor:
        return torch.cholesky_solve(equations.right[0], equations.penalised_factor(strength))

    chosen, cosines, weight, bias = choose_on_dev(bank, equations, strengths, solve, batch_size, "ridge")

    def predict(contexts: Tensor) -> Tensor:
        return torch.addmm(bias.to(contexts.device), contexts.flatten(1), weight.to(contexts.device))

    fit = {"strength": chosen, **({"dev_cosine": cosines} if len(strengths) > 1 else {})}
    return Predictor("ridge", lambda contexts, rows, memory: predict(contexts), fit=fit)


def article_centroid(bank: Bank) -> Predictor:
    """The mean of all chunks of the article, the target included (cheats)."""
    first, counts = bank.articles["first_row"].to_numpy(), bank.articles["n_chunks"].to_numpy()

    def predict(contexts: Tensor, rows: np.ndarray, memory: Tensor | None) -> Tensor:
        touched, local = np.unique(bank.article_of_row[rows], return_inverse=True)
        whole = [np.arange(first[article], first[article] + counts[article]) for article in touched.tolist()]
        centroids = torch.stack([gather_chunks(bank, part, contexts.device).mean(0) for part in whole])
        return centroids[torch.from_numpy(local).to(contexts.device)]

    return Predictor("article_centroid", predict, "document", reads_context=False)


def corpus_mean(bank: Bank) -> Predictor:
    """The mean of all chunks of the train split, the same for every window."""
    if not len(bank.articles_of("train")):
        raise LvmError("data/bank: the train split has no chunk; corpus_mean cannot be computed")
    mean = torch.from_numpy(mean_chunk(bank, "train"))
    return Predictor(
        "corpus_mean",
        lambda contexts, rows, memory: mean.to(contexts.device).expand(len(rows), -1),
        reads_context=False,
    )


def random_directions(bank: Bank, seed: int) -> Predictor:
    """A uniform random direction for each bank row, drawn from the seed, the article's id and the chunk's position."""
    keys = article_keys(bank.articles["article_id"].astype(str), seed, "direction")
    first = bank.articles["first_row"].to_numpy()

    def predict(contexts: Tensor, rows: np.ndarray, memory: Tensor | None) -> Tensor:
        article = bank.article_of_row[rows]
        draws = torch.from_numpy(uniform(chunk_keys(keys[article], rows - first[article]), contexts.shape[2]))
        return torch.special.ndtri(draws).float().to(contexts.device)  # normal numbers: no direction is preferred

    return Predictor("random", predict, reads_context=False)
