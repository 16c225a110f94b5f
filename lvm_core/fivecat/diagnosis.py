"""Diagnosis of a bank before anything is trained: what the data can and cannot show.

`s_i` = mean cosine of context i (0 oldest, 4 last) with the target; the measures named "as published" are those of the
earlier work (prior results, section 1.5).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from lvm_core.bank import Bank, BankInfo, lag_similarities, row_norms, warnings
from lvm_core.config.figures import MARGIN_OFFSETS, UNSEEN_OFFSETS
from lvm_core.config.groups import DiagnosisParams, EvaluateParams
from lvm_core.windows import CONTEXT

SPLITS = ("train", "val", "ood")
"""The splits that are looked at."""


def lag_curve(lags: np.ndarray, rows: np.ndarray, position: np.ndarray) -> np.ndarray:
    """[L] mean cosine at each lag over the pairs of rows that lie in one article.

    Args:
        lags: [N, L] from `lag_similarities`.
        rows: whose pairs with rows before them are taken.
        position: [N] of each row of the bank in its article.
    """
    n_lags = lags.shape[1]
    inside = position[rows, None] >= np.arange(1, n_lags + 1)
    values = np.where(inside, lags[rows], 0.0).sum(axis=0, dtype=np.float64)
    counts = inside.sum(axis=0)
    return np.divide(values, counts, out=np.full(n_lags, np.nan), where=counts > 0)


def position_profile(lags: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """[5] s_0 .. s_4: mean cosine of each context position with the target (column l-1 of `lags` is lag l)."""
    profile: np.ndarray = lags[targets, :CONTEXT].mean(axis=0, dtype=np.float64)[::-1]
    return profile


def reversed_profile(lags: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """[5] s_0 .. s_4 of the same articles read backwards.

    A window t-5 .. t read backwards has target t-5 and last context t-4, so its pair at lag l is (t-5+l, t-5).
    """
    return np.array([lags[targets - CONTEXT + lag, lag - 1].mean(dtype=np.float64) for lag in range(CONTEXT, 0, -1)])


def sequence_order(profile: np.ndarray) -> str:
    """`increasing`, `decreasing` or `non-monotonic`, as published."""
    steps = np.diff(profile)
    if (steps > 0).all():
        return "increasing"
    return "decreasing" if (steps < 0).all() else "non-monotonic"


def cross_similarity(bank: Bank, split: str, seed: int, pairs: int = 100_000) -> float | None:
    """Mean cosine of random pairs of chunks from different articles of a split; None with a single article."""
    articles = bank.articles_of(split)
    if len(articles) < 2:
        return None
    drawn = np.random.default_rng(seed).choice(split_rows(articles), (2, pairs))
    apart = drawn[:, bank.article_of_row[drawn[0]] != bank.article_of_row[drawn[1]]]
    total, block = 0.0, 8192
    for start in range(0, apart.shape[1], block):
        left, right = (np.asarray(bank.vectors[rows[start : start + block]], np.float32) for rows in apart)
        total += float(np.einsum("nd,nd->", left, right))
    return total / apart.shape[1]


def split_rows(articles: pd.DataFrame) -> np.ndarray:
    """Bank rows of these articles, ascending."""
    spans = zip(articles["first_row"], articles["n_chunks"], strict=True)
    return np.concatenate([np.arange(first, first + count) for first, count in spans])


def leaked_share(bank: Bank, split: str, threshold: float, block: int = 1024) -> float:
    """Share of a split's chunks with a near-duplicate (cosine >= threshold) among the chunks of `train`."""
    rows, train = split_rows(bank.articles_of(split)), split_rows(bank.articles_of("train"))
    best = np.full(len(rows), -1.0, dtype=np.float32)
    for train_start in range(0, len(train), 16 * block):
        columns = np.asarray(bank.vectors[train[train_start : train_start + 16 * block]], dtype=np.float32).T
        for start in range(0, len(rows), block):
            part = np.asarray(bank.vectors[rows[start : start + block]], dtype=np.float32)
            np.maximum(best[start : start + block], (part @ columns).max(axis=1), out=best[start : start + block])
    return float((best >= threshold).mean())


def diagnose(
    bank: Bank, params: DiagnosisParams, evaluation: EvaluateParams, seed: int
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Every figure of the diagnosis, and the lag-similarity curve; `seed` is of the pairs for `between_articles`.

    Returns:
        A nested dict by split (`train`, `val`, `ood`; splits without windows are left out), and a table with columns
        `name` (the split), `lag`, `similarity`. What is named `bank_...` is of the whole bank, in each split the same.
    """
    lags = lag_similarities(bank.vectors, max(params.max_lag, CONTEXT))
    norms = row_norms(bank.vectors)
    texts = np.array([len(text) for text in bank.texts()])
    report: dict[str, Any] = {}
    curves = []
    for split in SPLITS:
        targets = bank.targets(split)
        if not len(targets):
            continue
        articles = bank.articles_of(split)
        rows = split_rows(articles)
        curve = lag_curve(lags, rows, bank.position_of_row)[: params.max_lag]
        curves.append(pd.DataFrame({"name": split, "lag": np.arange(1, len(curve) + 1), "similarity": curve}))
        profile = position_profile(lags, targets)
        backwards = reversed_profile(lags, targets)
        adjacent = np.stack([lags[targets - 1 - i, 0] for i in range(CONTEXT - 1)]).mean(dtype=np.float64)
        report[split] = {
            "articles": len(articles),
            "chunks": len(rows),
            "windows": len(targets),
            "chunks_per_article": float(articles["n_chunks"].mean()),
            "characters_per_chunk": float(texts[rows].mean()) if texts[rows].any() else None,
            "temporal_signal": float(profile[-1] - profile[0]),
            "temporal_signal_reversed": float(backwards[-1] - backwards[0]),
            "coherence": float(adjacent),
            "position_profile": {f"s{index}": float(value) for index, value in enumerate(profile)},
            "order_increasing": int(sequence_order(profile) == "increasing"),
            "between_articles": cross_similarity(bank, split, seed),
            "near_duplicate_of_last": float((lags[targets, 0] >= params.near_duplicate).mean()),
            "near_duplicate_in_context": float((lags[targets, :CONTEXT].max(axis=1) >= params.near_duplicate).mean()),
            "near_duplicate_in_train": None if split == "train" else leaked_share(bank, split, params.near_duplicate),
            "norm_min": float(norms[rows].min()),
            "norm_max": float(norms[rows].max()),
            "windows_of": defined_windows(bank, split, evaluation),
            "bank_cut_chunks": bank.info.cut_chunks,
            "bank_unknown_chunks": bank.info.unknown_chunks,
            "bank_unknown_share": bank.info.unknown_share,
        }
    return report, pd.concat(curves, ignore_index=True)


FIGURES = {
    "cosine": "cosine, order, coherence",
    "margin": "margin and margin_last",
    "margin_unseen": "margin_unseen",
    "retrieval": "retrieval in the article (R@1, R@5, MRR)",
    "rollout": "rollout",
}
"""What the counts of `defined_windows` stand for."""


def defined_windows(bank: Bank, split: str, params: EvaluateParams) -> dict[str, int]:
    """Number of windows of a split over which each kind of figure is a mean, by the keys of `FIGURES`."""
    from lvm_core.fivecat.windows import has_offset, judged_windows  # torch, which takes seconds to load

    windows = judged_windows(bank, split, params)
    position, length = windows.position, windows.n_chunks[windows.article]

    def having(offsets: range) -> int:
        return int(np.logical_and.reduce([has_offset(position, length, k) for k in offsets]).sum())

    return {
        "cosine": len(windows),
        "margin": having(MARGIN_OFFSETS),
        "margin_unseen": having(range(1, UNSEEN_OFFSETS.stop)),
        "retrieval": int((length - CONTEXT >= params.min_candidates).sum()),
        "rollout": having(range(1, params.rollout_steps + 1)),
    }


def needs(figure: str, params: EvaluateParams) -> str:
    """What an article must have for a figure to be defined on some of its windows."""
    chunks = {
        "cosine": CONTEXT + 1,
        "margin": CONTEXT + MARGIN_OFFSETS.stop - 1,
        "margin_unseen": CONTEXT + UNSEEN_OFFSETS.stop - 1,
        "retrieval": CONTEXT + params.min_candidates,
        "rollout": CONTEXT + params.rollout_steps,
    }[figure]
    return f"no article has the {chunks} chunks that it takes"


def undefined_lines(report: dict[str, Any], evaluation: EvaluateParams) -> list[str]:
    """One line for each figure that is undefined on some split, and why; or one line that says there is none."""
    missing = [split for split in SPLITS if split not in report]
    lines = [f"- `{split}`: every figure, because the split has no window." for split in missing]
    for figure, title in FIGURES.items():
        without = [split for split in report if not report[split]["windows_of"][figure]]
        if without:
            splits = ", ".join(f"`{split}`" for split in without)
            lines.append(f"- {splits}: {title}, because {needs(figure, evaluation)}.")
    return lines or ["None: every figure of the evaluation is defined on every split."]


def memory_lines(report: dict[str, Any]) -> list[str]:
    """What the memory is worth where each article is a single window; nothing where none is."""
    alone = [
        f"`{split}`"
        for split, found in report.items()
        if found["windows"] == found["articles"] and found["chunks"] == (CONTEXT + 1) * found["articles"]
    ]
    if not alone:
        return []
    return [
        f"- **Memory** ({', '.join(alone)}): every article is a single window, as where vectors were brought without "
        "article ids. Nothing was read before the five chunks, so the memory is the mean of the five, and rows that "
        "see it know nothing beyond the context. The whole article less the five is the target: rows that see the "
        "document are given it."
    ]


def encoder_lines(info: BankInfo) -> list[str]:
    """What the encoder read of the texts."""
    if not info.encoder_sha256:
        return ["The vectors were imported: nothing is known of texts that their encoder did not read."]
    prompt = [f"It put {info.prompt!r} before every text."] if info.prompt else []
    found = [f"**Warning:** {line}." for line in warnings(info)]
    return [" ".join([*prompt, *(found or ["It read every chunk to its end."])])]


def diagnosis_text(report: dict[str, Any], near_duplicate: float, evaluation: EvaluateParams, info: BankInfo) -> str:
    """The diagnosis as Markdown: every measure with what it can and what it cannot show."""
    splits = list(report)

    def row(title: str, *keys: str, form: str = ".4f") -> str:
        cells = []
        for split in splits:
            value: Any = report[split]
            for key in keys:
                value = value[key]
            cells.append("-" if value is None else format(value, form))
        return f"| {title} | " + " | ".join(cells) + " |"

    profiles = [row(f"s{i}: context {i} with target", "position_profile", f"s{i}") for i in range(CONTEXT)]
    orders = [
        f"`{split}` {sequence_order(np.array(list(report[split]['position_profile'].values())))}" for split in splits
    ]
    return "\n".join(
        [
            "# Diagnosis of the data",
            "",
            "| measure | " + " | ".join(splits) + " |",
            "|---|" + "---:|" * len(splits),
            *(row(name, name, form=",d") for name in ("articles", "chunks", "windows")),
            row("chunks per article", "chunks_per_article", form=".1f"),
            row("characters per chunk", "characters_per_chunk", form=".0f"),
            *profiles,
            row("temporal signal s4 - s0", "temporal_signal"),
            row("temporal signal, articles reversed", "temporal_signal_reversed"),
            row("coherence", "coherence"),
            row("similarity between articles", "between_articles"),
            row(f"target is a near-duplicate (>= {near_duplicate}) of the last context", "near_duplicate_of_last"),
            row("... of any context chunk", "near_duplicate_in_context"),
            row("chunk has a near-duplicate in `train`", "near_duplicate_in_train"),
            row("smallest norm", "norm_min", form=".6f"),
            row("largest norm", "norm_max", form=".6f"),
            "",
            "![mean cosine of two chunks of an article by distance](../plots/lag_similarity.svg)",
            "",
            "## What the encoder read",
            "",
            *encoder_lines(info),
            "",
            "## Figures of the evaluation that are undefined on these data",
            "",
            *undefined_lines(report, evaluation),
            "",
            "## What these can and cannot show",
            "",
            f"- **Position profile and sequence order** ({', '.join(orders)}): s_i is the similarity at lag 5 - i. "
            "Increasing means that nearer chunks are more alike. It cannot show that the order of time is right: a "
            "sequence with no direction at all gives the same picture.",
            "- **Temporal signal** (s4 - s0; the earlier work asked for at least +0.08): how fast similarity falls "
            "with distance. It cannot show a direction of time: the row below it is the same measure on the same "
            "articles read backwards, and it comes out the same up to the choice of windows.",
            "- **Coherence** (mean cosine of adjacent context chunks; the earlier work asked for 0.40 or more): how "
            "much a document keeps to its subject. High coherence makes copying the last chunk score well; it says "
            "nothing about whether the next chunk can be predicted beyond that.",
            "- **Similarity between articles**: what two unrelated chunks share, the level that the curve of lag "
            "similarity would reach if documents had no subject. It cannot tell a common style from a common topic.",
            "- **Near-duplicates**: windows whose answer stands in the context, and held-out chunks that were seen in "
            "training. They bound how much of a score can be memory; below the threshold they show nothing.",
            *memory_lines(report),
            "- **Counts, lengths, norms**: how much there is to learn from; rows have unit length (1 up to the "
            "rounding of the stored type).",
            "",
        ]
    )
