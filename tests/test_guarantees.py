"""What holds of the data whatever they are, as laws: splits, windows, phases, scores, and figures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvm_core.bank import SPLITS
from lvm_core.config.data import SplitParams
from lvm_core.config.groups import SCORES, CurriculumParams, Rule
from lvm_core.corpus.build import split_articles
from lvm_core.corpus.chunked import ChunkedArticle, ChunkedSource, bank_articles, bank_chunks
from lvm_core.curriculum.phases import reversed_windows, score_windows, select_phases
from lvm_core.fivecat.evaluate import evaluate
from lvm_core.fivecat.references import context_mean
from lvm_core.fivecat.windows import canonical_windows
from lvm_core.runtime.errors import LvmError
from lvm_core.windows import assign_splits, context_rows
from tests.synthetic import bank_of, make_bank, permuted, walk

lengths = st.dictionaries(st.sampled_from(SPLITS), st.lists(st.integers(1, 25), min_size=1, max_size=6), min_size=1)
ids = st.lists(st.text(min_size=1, max_size=12), min_size=3, max_size=60, unique=True)
RULES = [Rule(rule="all"), Rule(rule="thresholds"), *(Rule(rule="top", score=name) for name in SCORES)]


@given(names=ids, dev=st.floats(0.0, 0.4), val=st.floats(0.0, 0.4), seed=st.integers(0, 2**32 - 1))
def test_every_article_is_in_one_split_whatever_the_order_they_come_in(names, dev, val, seed):
    split = dict(zip(names, assign_splits(names, dev=dev, val=val, seed=seed), strict=True))
    assert set(split) == set(names)
    assert set(split.values()) <= {"train", "dev", "val"}
    turned = dict(zip(names[::-1], assign_splits(names[::-1], dev=dev, val=val, seed=seed), strict=True))
    assert turned == split
    assert ("dev" in split.values()) == (dev > 0)


@given(
    counts=st.lists(st.integers(6, 12), min_size=5, max_size=12),
    other=st.lists(st.integers(6, 9), min_size=1, max_size=4),
)
def test_no_row_of_the_bank_is_in_two_splits_and_each_has_its_article(counts, other):
    def source(name, sizes):
        articles = [
            ChunkedArticle(f"{name}/{i}", "t", [f"{name} {i} {j}" for j in range(n)]) for i, n in enumerate(sizes)
        ]
        result = ChunkedSource(name)
        return result, [result.add(article) for article in articles]

    (train, home), (ood, elsewhere) = source("home", counts), source("elsewhere", other)
    splits = split_articles(train, ood, SplitParams(dev=0.2, val=0.2), 7)
    chunks, articles = bank_chunks(home + elsewhere), bank_articles([train, ood], splits)
    rows: set[int] = set()
    for article in articles.to_dict("records"):
        first, own = article["first_row"], range(article["first_row"], article["first_row"] + article["n_chunks"])
        assert not rows & set(own)
        rows |= set(own)
        assert {chunks["article_id"][row] for row in own} == {article["article_id"]}
        assert [chunks["chunk_index"][row] for row in own] == [row - first for row in own]
    assert sorted(rows) == list(range(len(chunks)))
    assert {articles["split"][i] for i in range(len(counts), len(articles))} == {"ood"}


@given(counts=lengths, seed=st.integers(0, 1000))
def test_no_window_crosses_an_article_and_no_target_is_in_its_context(counts, seed):
    bank = make_bank(counts, dimension=4, seed=seed)
    seen: set[int] = set()
    for split in SPLITS:
        targets = bank.targets(split)
        contexts = context_rows(targets)
        assert (bank.article_of_row[contexts] == bank.article_of_row[targets][:, None]).all()
        assert (contexts == targets[:, None] + [-5, -4, -3, -2, -1]).all()
        assert not (contexts == targets[:, None]).any()
        assert set(bank.articles["split"].to_numpy()[bank.article_of_row[targets]]) <= {split}
        assert len(set(targets.tolist())) == len(targets) == sum(max(n - 5, 0) for n in counts.get(split, ()))
        assert not seen & set(targets.tolist())
        seen |= set(targets.tolist())
        assert sorted(canonical_windows(bank, split).rows) == sorted(targets)


@given(
    counts=st.lists(st.integers(6, 25), min_size=1, max_size=8),
    a=st.floats(0.05, 1.0),
    more=st.floats(0.0, 1.0),
    limits=st.tuples(*[st.floats(-0.5, 0.9)] * 4),
    seed=st.integers(0, 1000),
)
def test_every_training_window_is_scored_once_and_phase_a_is_in_b_is_in_c(counts, a, more, limits, seed):
    bank = make_bank({"train": counts, "val": [9]}, dimension=4, seed=seed)
    targets = bank.targets("train")
    scores = score_windows(bank.vectors, targets, bank.article_of_row)
    assert scores["row"].tolist() == targets.tolist()
    settings = CurriculumParams.model_validate(
        {
            **{"top": {"a": a, "b": min(a + more * (1 - a), 1.0)}, "min_windows": 1, "near_duplicate": None},
            "thresholds": dict(zip(("sim_a", "adv_a", "sim_b", "adv_b"), limits, strict=True)),
        }
    )
    for rule in RULES:
        try:
            phases = select_phases(scores, rule, settings)
        except LvmError:  # a phase would be empty, or all windows have one score
            continue
        rows = {phase: selection.rows.tolist() for phase, selection in phases.items()}
        assert set(rows["a"]) <= set(rows["b"]) <= set(rows["c"])
        assert rows["c"] == targets.tolist()
        assert all(found == sorted(set(found)) for found in rows.values())


def test_reversed_articles_have_as_many_windows_and_none_crosses_either():
    bank = make_bank({"train": [20, 7, 30], "dev": [9], "val": [12]}, dimension=8)
    settings = CurriculumParams.model_validate(
        {
            **{"top": {"a": 0.3, "b": 0.7}, "min_windows": 1, "near_duplicate": None},
            "thresholds": {"sim_a": 0.1, "adv_a": 0.1, "sim_b": 0.0, "adv_b": 0.0},
        }
    )
    rows = reversed_windows(bank, {"p1": Rule(rule="all")}, settings)["p1"]["c"]
    assert len(rows) == len(bank.targets("train"))
    assert (bank.article_of_row[context_rows(rows)] == bank.article_of_row[rows][:, None]).all()


@settings(max_examples=15)
@given(counts=st.lists(st.integers(6, 25), min_size=2, max_size=7), seed=st.integers(0, 1000))
def test_figures_do_not_depend_on_the_order_of_the_articles(counts, seed):
    bank = make_bank({"train": [9], "val": counts}, dimension=8, seed=seed)
    one, other = (evaluate(b, "val", context_mean()).summary for b in (bank, permuted(bank, seed)))
    assert flat(one) == pytest.approx(flat(other), abs=2e-6, nan_ok=True)


def flat(summary, prefix=""):
    found: dict[str, float] = {}
    for key, value in summary.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{key}.")
        elif isinstance(value, (int, float)):
            found[prefix + key] = float(value)
    return found


def test_a_repeated_chunk_is_a_leak_the_diagnosis_counts(tmp_path):
    from lvm_core.config.groups import DiagnosisParams, EvaluateParams
    from lvm_core.fivecat.diagnosis import diagnose

    rng = np.random.default_rng(0)
    plain, repeating = walk(rng, 25, 16), walk(rng, 25, 16)
    repeating[10], repeating[20] = repeating[7], repeating[13]  # three back: in the context; seven back: not
    bank = bank_of([("a", "train", plain), ("b", "train", repeating), ("v", "val", walk(rng, 25, 16))])
    report, _ = diagnose(bank, DiagnosisParams(max_lag=20, near_duplicate=0.999), EvaluateParams(), 0)
    assert report["train"]["near_duplicate_in_context"] == pytest.approx(1 / 40)
    assert report["val"]["near_duplicate_in_context"] == 0
