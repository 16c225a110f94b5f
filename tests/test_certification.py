"""The gates as they stand in params.yaml, certified: they let through what predicts the next chunk, and no other."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest

from lvm_core.bank import Bank
from lvm_core.bank.chunks import gather_chunks
from lvm_core.config.gates import GatesParams, unread_tests
from lvm_core.config.groups import EvaluateParams
from lvm_core.config.params import load_group, read_params
from lvm_core.config.references import REFERENCES, RELATIVES, rivals_of
from lvm_core.fivecat.evaluate import REPORTED_SPLITS, evaluate, judgement_of
from lvm_core.fivecat.measures import Predictor, from_callable
from lvm_core.fivecat.references import copy_last, fit_references, oracle
from lvm_core.fivecat.relatives import relatives_of
from lvm_core.report.gate_tables import TRIVIAL, gate_tables
from lvm_core.report.tables import markdown
from lvm_core.selection import to_json
from lvm_core.selection.judge import formulas_forward, judge_gates, judge_relatives, status_of
from tests.laws import Law
from tests.paths import ROOT
from tests.synthetic import bank_of, published_articles, walk

PARAMS: GatesParams = load_group(read_params(ROOT / "params.yaml"), "gates", GatesParams)
LENGTHS = {"train": [50] * 12, "dev": [45] * 3, "val": [40, 55, 48, 62] * 3, "ood": [44, 58, 51, 69] * 3}
DIMENSION, NOISE = 48, 3.0  # with less noise a linear map finds every next chunk too, and nothing can beat it


def bank_from(article, seed: int) -> Bank:
    """A bank whose articles are made by a function of a random generator and a length."""
    rng = np.random.default_rng(seed)
    return bank_of(
        [(f"{s}-{n:02d}", s, article(rng, k)) for s, lengths in LENGTHS.items() for n, k in enumerate(lengths)]
    )


BANKS = {
    # as similar to each other, chunk by chunk, as those of the earlier work
    "lags": lambda seed: bank_from(
        lambda rng, length: published_articles(1, length, DIMENSION, int(rng.integers(2**31)))[0], seed
    ),
    # weakly bound first-order walks around a topic: where chunks are much alike, copying ranks perfectly already
    "walk": lambda seed: bank_from(lambda rng, length: walk(rng, length, DIMENSION, stay=0.3, topic=0.5), seed),
    "law": lambda seed: Law(DIMENSION, noise=NOISE, seed=seed).bank(LENGTHS, seed),
}


def late(bank: Bank) -> Predictor:
    """Answers with the chunk after the next one: what the earlier tape took for right."""
    last = len(bank.vectors) - 1
    return Predictor(
        "late", lambda contexts, rows, memory: gather_chunks(bank, np.minimum(rows + 1, last)), reads_context=False
    )


def judgements_of(bank: Bank, predictors: list[Predictor]):
    """What each predictor is judged by, as far as the sets read it."""
    unread = unread_tests(PARAMS, PARAMS.sets)
    return {
        one.name: judgement_of({split: evaluate(bank, split, one, leave_out=unread) for split in REPORTED_SPLITS})
        for one in predictors
    }


@functools.cache
def judged(kind: str, seed: int):
    """Bank, judgements and answers: of the references, their near relatives (with the first seed), the late predictor
    and, on a law's bank, the law's own."""
    bank = BANKS[kind](seed)
    predictors = [*fit_references(bank, EvaluateParams(), seed), late(bank)]
    if seed == 0:
        predictors += relatives_of(bank, seed)
    if kind == "law":
        law = Law(DIMENSION, noise=NOISE, seed=seed)
        best = law.best_predictor()
        predictors += [best, from_callable(lambda contexts: best(contexts.flip(1), np.empty(0)), "backwards")]
    judgements = judgements_of(bank, predictors)
    return bank, judgements, judge_gates(PARAMS, judgements)


def rows_of(kinds):
    """Names and kinds as the report reads them."""
    return [{"name": name, "kind": kind} for name, kind in kinds.items()]


def remarks(results, kinds) -> list[str]:
    """What the report says before each matrix of gates."""
    shown = gate_tables(to_json(results), rows_of(kinds))
    return [" ".join(remark.text for remark in one.remarks) for one in shown]


every_bank = pytest.mark.parametrize("kind", BANKS)
every_seed = pytest.mark.parametrize("seed", [0, 1])


@every_seed
@every_bank
def test_the_oracle_passes_every_certified_gate_that_applies(kind, seed):
    _, judgements, results = judged(kind, seed)
    row = results["certified"].corrected["oracle"]
    assert {name: gate.passed for name, gate in row.gates.items()} == {
        "ranks_next": True,
        "goes_forward": True,
        "specific": True,
        "uses_order": None,
        "transfers": True,
        "rolls": True,
    }
    assert (row.outcome.passed, row.outcome.of, row.outcome.whole) == (5, 5, True)
    assert status_of("oracle", judgements, results) == "forward"


BY_RIGHT = {("lags", 1): ["decay_memory"], ("law", 0): ["ridge"], ("law", 1): ["ridge"]}
"""Formulas that do lead: what has been read tells something of a topic, and a linear map is the form of the law."""


@every_seed
@every_bank
def test_each_trivial_predictor_and_near_relative_fails_or_leads_by_right(kind, seed):
    """A gate that only its own rivals fail would certify whatever lies beside them."""
    _, judgements, results = judged(kind, seed)
    rows, relatives = results["certified"].corrected, {}
    if seed == 0:
        own = {name: judgements[name] for name in RELATIVES}
        relatives = judge_relatives(PARAMS, {name: judgements[name] for name in REFERENCES}, own)
    leading = formulas_forward(results, relatives)
    assert leading == BY_RIGHT.get((kind, seed), [])
    for name in {*TRIVIAL, *relatives} - {*leading}:
        assert any(gate.passed is False for gate in rows[name].gates.values()), name
        assert status_of(name, judgements, results) != "forward"
    for name in leading:
        figures = ("val_recall_at_5", "val_recall_at_5_forward", "ood_recall_at_5_forward")
        for rival, figure in itertools.product(rivals_of(name, judgements[name].sees), figures):
            lead = judgements[name].draws[figure] - judgements[rival].draws[figure]
            assert np.quantile(lead, 0.025) > 0, (rival, figure)
        for relative, reached in relatives.items():
            assert reached["failed"] == rows[relative].outcome.missed


def test_a_set_whose_rivals_are_too_few_is_found_out():
    """By the near relatives, which are nobody's rivals; and the report names them."""
    few = {"best_of": ["copy_last", "context_mean", "decay", "linear5", "corpus_mean", "random"]}
    ranks = {"all_of": [{"split": "val", "figure": "recall_at_5", "bound": "lo", "above": 0.0, "minus": few}]}
    kept = {name: gate for name, gate in PARAMS.sets["certified"].items() if name != "goes_forward"}
    lax = GatesParams.model_validate({"sets": {**PARAMS.sets, "certified": kept | {"ranks_next": ranks}}})
    judgements = judged("lags", 0)[1]
    references = {name: judgements[name] for name in REFERENCES}
    reached = judge_relatives(lax, references, {name: judgements[name] for name in RELATIVES})
    results = judge_gates(lax, references)
    assert formulas_forward(results, reached) == ["decay_memory", "memory_0.6", "memory_1.0"]
    assert reached["memory_1.0"] == {"sees": "memory", "passed": 5, "of": 5, "failed": []}
    assert reached["centred_0.3"]["failed"] == ["ranks_next", "transfers", "rolls"]
    said = remarks(results, dict.fromkeys(references, "reference"))[0]
    assert "Passed whole without a training: decay_memory." in said
    assert "More than half of them pass specific, uses_order, which alone tells little." in said


@pytest.mark.parametrize("length", [8, 12])
def test_articles_too_short_to_rank_in_certify_nobody(length):
    lengths = {"train": [50] * 6, "dev": [45] * 2, "val": [length] * 12, "ood": [length] * 12}
    rng = np.random.default_rng(0)
    bank = bank_of(
        [(f"{s}-{n}", s, walk(rng, k, DIMENSION, stay=0.3)) for s, many in lengths.items() for n, k in enumerate(many)]
    )
    judgements = judgements_of(bank, fit_references(bank, EvaluateParams(), 0))
    results = judge_gates(PARAMS, judgements)
    for name, row in results["certified"].corrected.items():
        assert "ranks_next" in row.outcome.undefined
        assert not row.outcome.whole, name
        assert status_of(name, judgements, results) != "forward"
    assert "cannot be told on these data" in remarks(results, dict.fromkeys(judgements, "reference"))[0]


@every_seed
def test_the_best_predictor_of_a_known_law_passes_them_all(seed):
    _, judgements, results = judged("law", seed)
    row = results["certified"].corrected["law"]
    assert all(gate.passed is True for gate in row.gates.values()), row
    assert row.gates.keys() == PARAMS.sets["certified"].keys()
    assert status_of("law", judgements, results) == "forward"


def test_the_law_read_backwards_does_not_pass():
    """The same rotations given to the oldest chunks."""
    row = judged("law", 0)[2]["certified"].corrected["backwards"]
    assert row.gates["ranks_next"].passed is False
    assert row.gates["uses_order"].passed is False


def test_no_other_mixture_of_the_two_chunks_beats_the_laws_own():
    law = Law(DIMENSION)
    bank = law.bank({"val": [60] * 40})
    mixtures = [Law(DIMENSION, near=near, far=far) for near, far in [(1, 0.4), (1, 1.1), (1, 0), (0, 1), (-1, 0.7)]]
    best, *others = (evaluate(bank, "val", one.best_predictor()).summary["cosine"] for one in (law, *mixtures))
    assert best > max(others) + 0.01
    assert best > 0.8


@every_seed
@every_bank
def test_the_chunk_after_the_next_is_not_the_next(kind, seed):
    """One offset late: perfect on the tape of the earlier reports, and caught by `specific`."""
    _, judgements, results = judged(kind, seed)
    assert results["certified"].corrected["late"].gates["specific"].passed is False
    published = results["published_5cat"].published["late"].gates
    assert published["a_offsets"].passed is True
    assert published["d_rollout"].passed is True
    assert results["published_5cat"].corrected["late"].gates["a_offsets"].passed is False
    assert status_of("late", judgements, results) != "forward"


@every_seed
@every_bank
def test_the_oracle_fails_gates_of_the_published_frame_only(kind, seed):
    _, _, results = judged(kind, seed)
    for name in ("published_5cat", "stage_a"):
        corrected = results[name].corrected["oracle"].gates
        assert {gate.passed for gate in corrected.values()} <= {True, None}
        assert corrected["a_offsets" if name == "published_5cat" else "margin_val"].passed is True
    assert results["published_5cat"].corrected["oracle"].gates["d_rollout"].passed is True
    assert results["published_5cat"].corrected["oracle"].gates["c_order"].passed is None
    assert results["published_5cat"].published["oracle"].gates["a_offsets"].passed is False
    assert results["stage_a"].published["oracle"].gates["margin_val"].passed is False
    assert results["stage_a"].published["oracle"].gates["margin_ood"].passed is False


def neighbours(bank: Bank, split: str) -> float:
    """Mean cosine of adjacent chunks of a split."""
    articles = [
        bank.vectors[first : first + n] for first, n in bank.articles_of(split)[["first_row", "n_chunks"]].values
    ]
    return float(np.concatenate([(one[1:] * one[:-1]).sum(1) for one in articles]).mean())


@every_bank
def test_the_published_rollout_of_true_chunks_is_the_similarity_of_neighbours(kind):
    bank, _, results = judged(kind, 0)
    asked = PARAMS.sets["published_5cat"]["d_rollout"].all_of
    found = results["published_5cat"].published["oracle"].gates["d_rollout"].conditions
    for condition, answer in zip(asked, found, strict=True):
        assert answer.value == pytest.approx(neighbours(bank, str(condition.split)), abs=0.02)


def test_so_the_data_alone_decide_whether_the_oracle_passes_the_published_rollout():
    results = judged("law", 0)[2]  # neighbours are nearly orthogonal
    assert results["published_5cat"].published["oracle"].gates["d_rollout"].passed is False
    assert results["stage_a"].published["oracle"].gates["rollout"].passed is False
    alike = alike_bank()
    assert min(neighbours(alike, split) for split in REPORTED_SPLITS) > 0.6
    results = judge_gates(PARAMS, judgements_of(alike, [oracle(alike), copy_last()]))
    assert results["published_5cat"].published["oracle"].gates["d_rollout"].passed is True


def alike_bank() -> Bank:
    """So much alike are neighbours here that the next chunk is always among the five nearest to the last one."""
    return bank_from(lambda rng, length: walk(rng, length, DIMENSION, stay=0.8, topic=0.2), 0)


def test_where_copying_ranks_perfectly_the_set_cannot_certify_and_the_page_says_so():
    bank = alike_bank()
    judgements = judgements_of(bank, fit_references(bank, EvaluateParams(), 0))
    results = judge_gates(PARAMS, judgements)
    assert judgements["copy_last"].value["val_recall_at_5"] == 1
    assert results["certified"].corrected["oracle"].gates["ranks_next"].passed is False
    assert "The oracle itself fails ranks_next" in remarks(results, dict.fromkeys(judgements, "reference"))[0]


def test_status_words_of_the_reference_predictors():
    _, judgements, results = judged("lags", 0)
    words = {name: status_of(name, judgements, results) for name in judgements}
    assert words["oracle"] == "forward"
    assert words["copy_last"] == "copies"
    assert words["article_centroid"] == "blurs"
    assert words["random"] == "lost"
    assert (
        words["corpus_mean"] == "lost"
    )  # topics have no common direction here, so that a mean of train is none of val
    assert words["context_mean"] == "weak"


def test_shuffling_means_nothing_to_a_mean():
    """Rounding must not look like the use of order."""
    for kind in BANKS:
        _, judgements, results = judged(kind, 0)
        assert results["certified"].corrected["context_mean"].gates["uses_order"].passed is False
        assert abs(judgements["context_mean"].value["val_order_shuffle"]) < 1e-7


def test_the_page_says_who_passes_and_which_set_nobody_can():
    _, judgements, results = judged("law", 0)
    kinds = {name: "recipe" if name in ("law", "backwards") else "reference" for name in judgements}
    shown = {one.caption: one for one in gate_tables(to_json(results), rows_of(kinds))}
    ours, theirs = (
        shown[f"Gate set {title}"]
        for title in ("certified, corrected frame", "5CAT as published, published frame (one chunk late)")
    )
    ours_said = " ".join(remark.text for remark in ours.remarks)
    for said in (
        "Passed whole by law.",
        "Passed whole without a training: ridge.",
        "applies: ranks_next 1 of 12, goes_forward 1 of 12, specific 2 of 12, uses_order 2 of 9, transfers 2 of 12,",
    ):
        assert said in ours_said
    said = " ".join(remark.text for remark in shown["Gate set 5CAT as published, corrected frame"].remarks)
    assert "The oracle passes all 3 gates that apply to it." in said
    assert theirs.remarks[0].text.startswith("The oracle itself fails a_offsets, d_rollout:")
    assert ("No trained recipe passes published_5cat.", True) in theirs.remarks
    text = markdown(ours.table)
    assert "| `oracle` | 5 of 5 | pass | pass | pass | - | pass | pass |" in text
    assert text.index("`law`") < text.index("`oracle`")
