"""The tie rule against an enumeration, and every column of the table against a plain loop over windows."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lvm_core.bank import Bank
from lvm_core.config.groups import EvaluateParams
from lvm_core.fivecat.evaluate import evaluate
from lvm_core.fivecat.measures import from_callable, leave_one_out_orders
from lvm_core.fivecat.ranking import rank_counts, recall_at, reciprocal_rank
from lvm_core.fivecat.windows import canonical_windows, foreign_rows, shuffled_orders
from tests.synthetic import make_bank

WEIGHTS = torch.tensor([0.1, 0.3, -0.2, 0.2, 0.9])


@given(greater=st.integers(0, 6), tied=st.integers(0, 5), k=st.integers(1, 8))
def test_tie_rule_is_the_mean_over_all_orders_of_the_tied(greater: int, tied: int, k: int) -> None:
    ranks = [greater + 1 + order.index(0) for order in permutations(range(tied + 1))]
    assert recall_at(k, np.array(greater), np.array(tied)) == pytest.approx(np.mean([rank <= k for rank in ranks]))
    assert reciprocal_rank(np.array([greater]), np.array([tied]))[0] == pytest.approx(np.mean([1 / r for r in ranks]))


@settings(deadline=None, max_examples=50)
@given(levels=st.lists(st.integers(0, 3), min_size=6, max_size=12), data=st.data())
def test_rank_counts_against_a_loop(levels: list[int], data: Any) -> None:
    """Scores on a coarse grid, so that exact and near (3e-7) ties abound."""
    target = data.draw(st.integers(5, len(levels) - 1))
    jitter = data.draw(st.lists(st.sampled_from([-1.5e-7, 0.0, 1.5e-7]), min_size=len(levels), max_size=len(levels)))
    scores = np.array(levels) * 0.25 + np.array(jitter)
    greater, tied = rank_counts(torch.tensor(scores[None], dtype=torch.float32), np.array([target]), np.array([target]))
    for which, removed in ((0, set(range(target - 5, target))), (1, set())):
        others = [i for i in range(len(levels)) if i != target and i not in removed]
        assert greater[which, 0] == sum(levels[i] > levels[target] for i in others)
        assert tied[which, 0] == sum(levels[i] == levels[target] for i in others)


def ranks(scores: np.ndarray, target: int, left_out: range) -> tuple[int, int]:
    others = [j for j in range(len(scores)) if j != target and j not in left_out]
    greater = sum(scores[j] > scores[target] + 1e-6 for j in others)
    return greater, sum(abs(scores[j] - scores[target]) <= 1e-6 for j in others)


def readings(prediction: np.ndarray, article: np.ndarray, p: int) -> dict[str, tuple[np.ndarray, range]]:
    """Scores of all chunks, and those that are no candidates, by reading."""
    off, towards = article - article.mean(0), prediction - article.mean(0)
    centred = off @ towards / np.linalg.norm(off, axis=1) / np.linalg.norm(towards)
    plain, context = article @ prediction, range(p - 5, p)
    return {"": (plain, context), "_forward": (plain, range(p)), "_centred": (centred, context)}


def plain_loop(bank: Bank, params: EvaluateParams, seed: int) -> list[dict[str, Any]]:
    """All measures of `WEIGHTS @ contexts`, one window after the other, in float64."""
    windows = canonical_windows(bank, "val")
    shuffled, foreign = shuffled_orders(windows, seed), foreign_rows(windows, seed)
    assert foreign is not None
    weights = WEIGHTS.numpy().astype(np.float64)
    rows: list[dict[str, Any]] = []
    for i, row in enumerate(windows.rows):
        p, first, n = windows.position[i], windows.first_row[windows.article[i]], windows.n_chunks[windows.article[i]]
        article = bank.vectors[first : first + n].astype(np.float64)
        context = article[p - 5 : p]

        def predict(chunks: np.ndarray) -> np.ndarray:
            raw = weights @ chunks
            return raw / np.linalg.norm(raw)

        prediction = predict(context)
        scores = article @ prediction
        out: dict[str, Any] = {"row": row, "position": p, "raw_norm": float(np.linalg.norm(weights @ context))}
        out["coherence"] = float(np.mean([context[s] @ context[s + 1] for s in range(4)]))
        for k in range(-4, 5):
            at = p - 1 + k
            out[f"cos_k{k:+d}" if k else "cos_k0"] = scores[at] if 0 <= at < n else np.nan
        for suffix, (ranked, left_out) in {**readings(prediction, article, p), "_unmasked": (scores, range(0))}.items():
            greater, tied = ranks(ranked, p, left_out)
            out[f"candidates{suffix}"] = n - len(left_out)
            enough = n - len(left_out) >= params.min_candidates
            for k in (1, 5):
                out[f"recall_at_{k}{suffix}"] = np.clip((k - greater) / (tied + 1), 0, 1) if enough else np.nan
            mrr = np.mean([1 / r for r in range(greater + 1, greater + tied + 2)])
            out[f"mrr{suffix}"] = mrr if enough else np.nan
        arrangements = {
            "shuffle": [context[shuffled[i]]],
            "reverse": [context[::-1]],
            "leave_one_out": [np.concatenate([np.delete(context, j, axis=0), context[-1:]]) for j in range(5)],
            "repeat_last": [np.repeat(context[-1:], 5, axis=0)],
            "foreign_last": [np.concatenate([context[:-1], bank.vectors[foreign[i]][None].astype(np.float64)])],
        }
        for name, contexts in arrangements.items():
            out[f"cos_{name}"] = float(np.mean([predict(c) @ article[p] for c in contexts]))
        fed = context
        for h in range(1, params.rollout_steps + 1):
            prediction = predict(fed)
            fed = np.concatenate([fed[1:], prediction[None]])
            whole, due = p - 1 + params.rollout_steps < n, p - 1 + h
            out[f"rollout_cosine_{h}"] = article[due] @ prediction if whole else np.nan
            late = p + params.rollout_steps < n
            out[f"published_rollout_cosine_{h}"] = article[due + 1] @ prediction if late else np.nan
            for suffix, (ranked, left_out) in readings(prediction, article, p).items():
                greater, tied = ranks(ranked, due, left_out) if whole else (0, 0)
                found = np.clip((5 - greater) / (tied + 1), 0, 1)
                enough = whole and n - len(left_out) >= params.min_candidates
                out[f"rollout_recall_at_5_{h}{suffix}"] = found if enough else np.nan
        del out["candidates_centred"]  # they are the masked ones
        rows.append(out)
    return rows


def test_table_equals_a_plain_loop() -> None:
    bank = make_bank({"val": [6, 7, 8, 9, 10, 14, 15, 33, 21]}, 12, seed=4)
    params = EvaluateParams(batch_size=10, rollout_steps=4)
    model = from_callable(lambda contexts: torch.matmul(WEIGHTS, contexts))
    table = evaluate(bank, "val", model, params, seed=11).windows
    loop = plain_loop(bank, params, seed=11)
    assert len(table) == len(loop)
    more = {"contrastive", "best_context", "best_context_of_truth", "centred_cosine"}
    more |= {"cosine_mean", "cosine_nearest"}  # test_fivecat_instruments.py
    more |= {name for name in table.columns if name.startswith("full_bank_")}
    assert set(table.columns) - {"article"} - more == set(loop[0])
    for name in loop[0]:
        np.testing.assert_allclose(table[name].to_numpy(), [row[name] for row in loop], atol=1e-5, err_msg=name)


def test_summary_is_the_mean_over_the_stated_windows() -> None:
    bank = make_bank({"val": [6, 7, 8, 9, 10, 14, 15, 33, 21]}, 12, seed=4)
    params = EvaluateParams(coherence_cuts=[0.5, 0.7])
    evaluation = evaluate(bank, "val", lambda contexts: torch.matmul(WEIGHTS, contexts), params)
    table, summary = evaluation.windows, evaluation.summary
    table = table.astype({name: float for name in table.columns if name.startswith("cos_")})
    lengths = [6, 7, 8, 9, 10, 14, 15, 33, 21]
    assert summary["windows"] == {
        "all": sum(n - 5 for n in lengths),
        "margin": sum(max(n - 7, 0) for n in lengths),
        "margin_unseen": sum(max(n - 8, 0) for n in lengths),
        "profile_k+4": sum(max(n - 8, 0) for n in lengths),
        "retrieval": sum(n - 5 for n in lengths if n >= 15),
        "retrieval_forward": sum(max(n - 14, 0) for n in lengths),
        "retrieval_unmasked": sum(n - 5 for n in lengths if n >= 10),
        "full_bank": sum(n - 5 for n in lengths),
        "rollout": sum(max(n - 9, 0) for n in lengths),
        "published_margin": sum(max(n - 8, 0) for n in lengths),
        "published_rollout": sum(max(n - 10, 0) for n in lengths),
    }
    assert summary["articles"] == len(lengths)
    assert summary["rollout_by_step"]["1"]["ranked"] == sum(max(n - 9, 0) for n in lengths if n >= 15)
    assert summary["cosine"] == pytest.approx(table["cos_k+1"].mean())
    whole = table[table["cos_k+3"].notna()]
    means = {k: whole[f"cos_k{k:+d}" if k else "cos_k0"].mean() for k in range(-3, 4)}
    rivals = max(value for k, value in means.items() if k != 1)
    assert summary["margin"] == pytest.approx(means[1] - rivals)
    assert summary["margin_last"] == pytest.approx(means[1] - means[0])
    ahead = table[table["cos_k+4"].notna()]
    unseen = [ahead[f"cos_k+{k}"].mean() for k in range(1, 5)]
    assert summary["margin_unseen"] == pytest.approx(unseen[0] - max(unseen[1:]))
    ranked = table[table["candidates"] >= 10]
    for reading in ("", "_centred"):
        assert summary["chance"][f"recall_at_5{reading}"] == pytest.approx((5 / ranked["candidates"]).mean())
    chance = (5 / table["candidates_forward"])[table["candidates_forward"] >= 10].mean()
    assert summary["chance"]["recall_at_5_forward"] == pytest.approx(chance)
    low, high = table["coherence"] < 0.5, table["coherence"] > 0.7
    for name, members in {"low": low, "normal": ~low & ~high, "high": high}.items():
        assert summary["coherence"][name]["windows"] == members.sum() > 0
        assert summary["coherence"][name]["cosine"] == pytest.approx(table.loc[members, "cos_k+1"].mean())
    steps = summary["rollout_by_step"]
    assert summary["rollout"] == pytest.approx(np.mean([step["cosine"] for step in steps.values()]))


def test_leave_one_out_drops_one_and_repeats_the_last() -> None:
    assert leave_one_out_orders().tolist() == [
        [1, 2, 3, 4, 4],
        [0, 2, 3, 4, 4],
        [0, 1, 3, 4, 4],
        [0, 1, 2, 4, 4],
        [0, 1, 2, 3, 4],
    ]
