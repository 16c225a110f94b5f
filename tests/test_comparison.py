"""The comparison table: every figure with an interval, differences paired, undefined figures empty."""

from __future__ import annotations

import numpy as np
import pytest

from lvm_core import comparison
from lvm_core.errors import LvmError
from lvm_core.figures import comparison_figure
from lvm_core.fivecat.evaluate import evaluate_splits
from lvm_core.fivecat.params import EvaluateParams
from lvm_core.fivecat.predictor import from_callable
from lvm_core.references import context_mean, copy_last, oracle
from tests.synthetic import make_bank

ABOUT = {"p1": "the last two chunks", "tiny": "another"}


def table(bank, recipes, references):
    """Rows, summaries and tables of windows of these predictors."""
    done = {p.name: evaluate_splits(bank, p, EvaluateParams(batch_size=64)) for p in (*recipes, *references)}
    summaries = {name: {split: one.summary for split, one in both.items()} for name, both in done.items()}
    windows = {name: {split: one.windows for split, one in both.items()} for name, both in done.items()}
    names = [predictor.name for predictor in recipes]
    rows = comparison.comparison_rows(
        {name: summaries[name] for name in names}, {p.name: summaries[p.name] for p in references}
    )
    return comparison.with_intervals(rows, windows, seed=0), summaries


@pytest.fixture(scope="module")
def usual():
    bank = make_bank({"train": [30] * 4, "val": [30] * 12, "ood": [25] * 12})
    recipes = [from_callable(lambda c: c[:, -1] + c[:, -2], "p1"), from_callable(lambda c: c[:, 0], "tiny")]
    return table(bank, recipes, [oracle(bank), copy_last(), context_mean()])


def test_every_figure_has_an_interval_around_it(usual):
    rows, _ = usual
    for row in rows:
        for figure in comparison.FIGURES:
            assert row[f"{figure}_lo"] <= row[figure] + 1e-9, (row["name"], figure)
            assert row[figure] <= row[f"{figure}_hi"] + 1e-9, (row["name"], figure)
    frame = comparison.comparison_csv(rows)
    assert tuple(frame.columns) == comparison.COLUMNS
    assert frame.notna().all().all()
    assert rows[0]["name"] == "oracle"  # sorted by masked R@5 on val


def test_differences_are_paired_and_exact(usual):
    rows, _ = usual
    by_name = {row["name"]: row for row in rows}
    for row in rows:
        for baseline in comparison.BASELINES:
            difference = row["val_recall_at_5"] - by_name[baseline]["val_recall_at_5"]
            assert row[f"val_r5_vs_{baseline}"] == pytest.approx(difference)
    own = by_name["copy_last"]
    assert (own["val_r5_vs_copy_last_lo"], own["val_r5_vs_copy_last_hi"]) == (0, 0)
    width = by_name["p1"]["val_r5_vs_copy_last_hi"] - by_name["p1"]["val_r5_vs_copy_last_lo"]
    alone = [by_name[name]["val_recall_at_5_hi"] - by_name[name]["val_recall_at_5_lo"] for name in ("p1", "copy_last")]
    assert width < np.hypot(*alone)


def test_the_page_shows_intervals_and_who_was_drawn(usual):
    rows, summaries = usual
    text = comparison.comparison_text(rows, ABOUT, *comparison.window_counts(summaries))
    assert "95% interval of a bootstrap over articles (12 of `val`, 12 of `ood`; 2,000 draws)" in text
    row = next(row for row in rows if row["name"] == "tiny")
    low, high = row["val_recall_at_5_lo"], row["val_recall_at_5_hi"]
    assert f"{row['val_recall_at_5']:.4f} [{low:.3f}, {high:.3f}]" in text
    assert "undefined" not in text


def test_without_p1_and_with_articles_of_one_window(tmp_path):
    bank = make_bank({"train": [30] * 4, "val": [6] * 5, "ood": []})
    rows, summaries = table(bank, [from_callable(lambda c: c[:, 0], "tiny")], [oracle(bank), copy_last()])
    for row in rows:
        assert row["val_cosine_lo"] <= row["val_cosine"] <= row["val_cosine_hi"]
        for figure in ("val_recall_at_5", "val_margin", "val_r5_vs_copy_last", "val_r5_vs_p1", "ood_cosine"):
            assert (row[figure], row[f"{figure}_lo"], row[f"{figure}_hi"]) == (None, None, None)
    assert "nan" not in comparison.comparison_csv(rows).to_csv(index=False)
    assert "`-`: undefined" in comparison.comparison_text(rows, ABOUT, *comparison.window_counts(summaries))
    comparison_figure(rows, tmp_path / "comparison.svg")
    assert (tmp_path / "comparison.svg").stat().st_size > 0


def test_two_rows_of_one_name_are_refused(usual):
    _, summaries = usual
    with pytest.raises(LvmError, match="copy_last has the name of a reference predictor"):
        comparison.comparison_rows({"copy_last": summaries["copy_last"]}, {"copy_last": summaries["copy_last"]})
