"""5CAT as a per-window loop: a second opinion on `lvm_core.fivecat`, and what its speed is measured against.

Written from the definitions (design section 5) and not from the package's code: one window at a time, plain torch, one
call of the predictor for each context. Only the seeded draws of test C (the shuffled order, the foreign chunk) are
taken from the package, so that both see the same ones. Careful, but not tuned: articles are read once, vectors are
unit length, each article's cosines are one product.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lvm_core.bank import Bank
from lvm_core.config.groups import EvaluateParams
from lvm_core.fivecat.measures import Predictor
from lvm_core.fivecat.windows import canonical_windows, foreign_rows, shuffled_orders

TIE = 1e-6
"""Cosines this close are tied."""

PRIOR = 10
"""So many chunks does the mean of the training chunks weigh in the mean that a predictor is given."""

Ask = Callable[[Tensor, int], tuple[Tensor, float]]
"""(context [5, D], bank row of the chunk to predict) -> unit prediction [D], its norm before."""
Columns = dict[str, list[float]]
"""Measures of windows by name, without those windows in which they are undefined."""


@torch.inference_mode()
def naive_summary(
    bank: Bank, split: str, predictor: Predictor, params: EvaluateParams, seed: int = 0
) -> dict[str, Any]:
    """The figures of tests A to E in both frames, under the keys of `Evaluation.summary`.

    Args:
        bank: the vectors.
        split: one of `bank.SPLITS`.
        predictor: to judge; called with one window at a time.
        params: rollout steps, coherence cuts and fewest candidates.
        seed: of the draws of test C.
    """
    drawn = canonical_windows(bank, split)
    shuffled, foreign = shuffled_orders(drawn, seed), foreign_rows(drawn, seed)
    train, own = (
        _unit(bank.vectors[np.isin(bank.article_of_row, bank.articles_of(s).index)]) for s in ("train", split)
    )
    prior = train.sum(0) * PRIOR / max(len(train), 1)

    values: Columns = defaultdict(list)
    chosen = bank.articles[bank.articles["split"] == split].sort_values("article_id")
    window = articles = 0
    for first, count in zip(chosen["first_row"], chosen["n_chunks"], strict=True):
        article = _unit(bank.vectors[first : first + count])
        articles += count > 5
        for t in range(5, count):  # t: position of the target
            context = article[t - 5 : t]
            known = article[:t] if predictor.sees == "memory" else article
            memory = (known.sum(0) + prior) / (len(known) + PRIOR) if predictor.sees in ("memory", "document") else None
            ask = _asker(predictor, memory)
            prediction, norm = ask(context, first + t)
            scores = article @ prediction
            values["all"].append(1.0)
            values["raw_norm"].append(norm)
            _offsets(values, scores, t)
            _retrieval(values, scores, _centred(article, prediction), t, params.min_candidates)
            means = [float(F.normalize(chunks.mean(0), dim=0) @ prediction) for chunks in (article, own)]
            values["cosine_mean"].append(max(means))
            values["cosine_nearest"].append(float(scores.max()))
            if predictor.reads_context:
                order = torch.from_numpy(shuffled[window])
                stranger = None if foreign is None else _unit(bank.vectors[foreign[window]][None])[0]
                _order(values, ask, article, t, first, order, stranger, float(scores[t]))
            _rollout(values, ask, article, t, first, prediction, params)
            _coherence(values, context, float(scores[t]), params.coherence_cuts)
            window += 1
    return _summary(values, articles, params.rollout_steps)


def _asker(predictor: Predictor, memory: Tensor | None) -> Ask:
    def ask(context: Tensor, row: int) -> tuple[Tensor, float]:
        raw = predictor(context[None], np.array([row]), None if memory is None else memory[None])[0]
        return F.normalize(raw, dim=0), float(raw.norm())

    return ask


def _centred(article: Tensor, prediction: Tensor) -> Tensor:
    """Cosines of what the mean of the article leaves of chunks and prediction; 0 where nothing is predicted."""
    mean = article.mean(0)
    return F.normalize(article - mean, dim=1) @ F.normalize(prediction - mean, dim=0) * bool(prediction.any())


def _unit(vectors: np.ndarray) -> Tensor:
    tensor = torch.from_numpy(np.array(vectors))
    return tensor if tensor.dtype == torch.float32 else F.normalize(tensor.float(), dim=1)


def _offsets(values: Columns, scores: Tensor, t: int) -> None:
    """Test A: the cosine at offset k is that with chunk t - 1 + k. In the published frame k is one more."""
    count = len(scores)
    cosine = {k: float(scores[t - 1 + k]) for k in range(-4, 5) if 0 <= t - 1 + k < count}
    values["cosine"].append(cosine[1])
    if all(k in cosine for k in range(-3, 4)):
        for k, value in cosine.items():
            values[f"profile {k}"].append(value)
    if all(k in cosine for k in (2, 3, 4)):
        for k in (1, 2, 3, 4):
            values[f"unseen {k}"].append(cosine[k])
    if all(k in cosine for k in range(-2, 5)):
        for k in range(-3, 4):
            values[f"published {k}"].append(cosine[k + 1])


def _rank(scores: Tensor, target: int, left_out: range) -> tuple[int, int, int]:
    """Candidates (the target included), those that beat the target, and the others that tie with it."""
    rivals = torch.ones(len(scores), dtype=torch.bool)
    rivals[left_out.start : left_out.stop] = False
    rivals[target] = False
    lead = scores[rivals] - scores[target]
    return len(lead) + 1, int((lead > TIE).sum()), int((lead.abs() <= TIE).sum())


def _recall(k: int, greater: int, tied: int) -> float:
    """The share of the orders of the tied ones in which the target is among the first k."""
    return min(max((k - greater) / (tied + 1), 0.0), 1.0)


def _retrieval(values: Columns, scores: Tensor, centred: Tensor, t: int, fewest: int) -> None:
    """Test B: masked without the five context chunks, unmasked with them, forward only what follows them."""
    for name, ranked, left_out in (
        ("retrieval", scores, range(t - 5, t)),
        ("retrieval_forward", scores, range(t)),
        ("retrieval_centred", centred, range(t - 5, t)),
        ("retrieval_unmasked", scores, range(0)),
    ):
        candidates, greater, tied = _rank(ranked, t, left_out)
        if candidates < fewest:
            continue
        for k in (1, 5):
            values[f"{name} recall_at_{k}"].append(_recall(k, greater, tied))
            values[f"{name} chance {k}"].append(min(1.0, k / candidates))
        places = range(greater + 1, greater + tied + 2)
        values[f"{name} mrr"].append(sum(1.0 / place for place in places) / len(places))


def _order(
    values: Columns,
    ask: Ask,
    article: Tensor,
    t: int,
    first: int,
    order: Tensor,
    stranger: Tensor | None,
    cosine: float,
) -> None:
    """Test C: how the cosine with the target changes when the context is rearranged."""
    context, target = article[t - 5 : t], article[t]
    arrangements = {
        "shuffle": [context[order]],
        "reverse": [context.flip(0)],
        "leave_one_out": [torch.cat([context[:i], context[i + 1 :], context[-1:]]) for i in range(5)],
        "repeat_last": [context[-1].repeat(5, 1)],
    }
    if stranger is not None:
        arrangements["foreign_last"] = [torch.cat([context[:-1], stranger[None]])]
    for name, contexts in arrangements.items():
        cosines = [float(ask(arranged, first + t)[0] @ target) for arranged in contexts]
        values[f"order {name}"].append(sum(cosines) / len(cosines) - cosine)


def _rollout(
    values: Columns, ask: Ask, article: Tensor, t: int, first: int, prediction: Tensor, params: EvaluateParams
) -> None:
    """Test D: step h against chunk t - 1 + h, where the article has all steps; published: against the one after it."""
    steps, count = params.rollout_steps, len(article)
    if t - 1 + steps >= count:
        return
    context = article[t - 5 : t]
    for step in range(1, steps + 1):
        due = t - 1 + step
        if step > 1:
            context = torch.cat([context[1:], prediction[None]])
            prediction, _ = ask(context, first + due)
        scores = article @ prediction
        values[f"rollout cosine {step}"].append(float(scores[due]))
        if t + steps < count:
            values["published rollout"].append(float(scores[due + 1]))
        for reading, ranked, left_out in (
            ("", scores, range(t - 5, t)),
            ("_forward", scores, range(t)),
            ("_centred", _centred(article, prediction), range(t - 5, t)),
        ):
            candidates, greater, tied = _rank(ranked, due, left_out)
            if candidates >= params.min_candidates:
                values[f"rollout recall {step}{reading}"].append(_recall(5, greater, tied))


def _coherence(values: Columns, context: Tensor, cosine: float, cuts: list[float]) -> None:
    """Test E: windows by the mean cosine of neighbours in the context; the borders belong to `normal`."""
    coherence = float((context[1:] * context[:-1]).sum(1).mean())
    name = "low" if coherence < cuts[0] else "high" if coherence > cuts[1] else "normal"
    values[f"coherence {name}"].append(cosine)


def _summary(values: Columns, articles: int, steps: int) -> dict[str, Any]:
    """Means, None where there is no window."""

    def mean(*names: str) -> float | None:
        pool = [value for name in names for value in values.get(name, [])]
        return sum(pool) / len(pool) if pool else None

    def number(name: str) -> int:
        return len(values.get(name, []))

    def less(target: float | None, *others: float | None) -> float | None:
        known = [value for value in others if value is not None]
        return target - max(known) if target is not None and known else None

    def label(k: int) -> str:
        return f"{k:+d}" if k else "0"

    profile = {k: mean(f"profile {k}") for k in range(-4, 5)}
    published = {k: mean(f"published {k}") for k in range(-3, 4)}
    steps_of = range(1, steps + 1)
    readings = ("", "_forward", "_centred")
    suffixes = {f"retrieval{end}": end for end in (*readings, "_unmasked")}
    ranked = {
        f"{figure}{suffix}": mean(f"{name} {figure}")
        for name, suffix in suffixes.items()
        for figure in ("recall_at_1", "recall_at_5", "mrr")
    }
    orders = ("shuffle", "reverse", "leave_one_out", "repeat_last", "foreign_last")
    return {
        "windows": {
            "all": number("all"),
            "margin": number("profile 1"),
            "margin_unseen": number("unseen 1"),
            "profile_k+4": number("profile 4"),
            **{name: number(f"{name} mrr") for name in suffixes if name != "retrieval_centred"},
            "rollout": number("rollout cosine 1"),
            "published_margin": number("published 1"),
            "published_rollout": number("published rollout") // steps,
        },
        "articles": articles,
        "cosine": mean("cosine"),
        **{name: mean(name) for name in ("raw_norm", "cosine_mean", "cosine_nearest")},
        "profile": {label(k): value for k, value in profile.items()},
        "margin": less(profile[1], *(profile[k] for k in range(-3, 4) if k != 1)),
        "margin_last": less(profile[1], profile[0]),
        "margin_unseen": less(mean("unseen 1"), *(mean(f"unseen {k}") for k in (2, 3, 4))),
        **ranked,
        "chance": {
            f"recall_at_{k}{suffix}": mean(f"{name} chance {k}") for name, suffix in suffixes.items() for k in (1, 5)
        },
        **{f"order_{name}": mean(f"order {name}") for name in orders},
        "rollout": mean(*(f"rollout cosine {h}" for h in steps_of)),
        "rollout_by_step": {
            str(h): {
                "cosine": mean(f"rollout cosine {h}"),
                **{f"recall_at_5{end}": mean(f"rollout recall {h}{end}") for end in readings},
                **{f"ranked{end}": number(f"rollout recall {h}{end}") for end in readings},
            }
            for h in steps_of
        },
        "coherence": {
            name: {"cosine": mean(f"coherence {name}"), "windows": number(f"coherence {name}")}
            for name in ("low", "normal", "high")
        },
        "published_margin": less(published[1], *(published[k] for k in published if k != 1)),
        "published_profile": {label(k): value for k, value in published.items()},
        "published_rollout": mean("published rollout"),
    }
