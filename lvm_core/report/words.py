"""The page's standing texts: what the status words and the figures mean."""

from __future__ import annotations

from lvm_core.gates.text import STATUS_WORDS

STATUS = STATUS_WORDS

FIGURES = {
    "recall_at_5": (
        "R@5",
        "share of windows whose true next chunk is among the 5 chunks of its article nearest to the prediction; the 5 "
        "context chunks are not among the candidates. Everything is sorted by this figure on val.",
    ),
    "recall_at_1": ("R@1", "the same for the nearest chunk alone."),
    "mrr": ("MRR", "mean of 1 / rank of the true next chunk."),
    "contrastive_accuracy": (
        "contrastive",
        "how often the prediction is nearer to the true next chunk than to other targets of the split.",
    ),
    "full_bank_recall_at_5": ("R@5 of all", "R@5 among all chunks of the bank, not only those of the article."),
    "cosine": ("cosine", "mean cosine of the prediction with the next chunk. Rewards blur."),
    "centred_cosine": (
        "centred",
        "the same after the mean of the split is taken out: what is left of it without the common style.",
    ),
    "margin": (
        "margin",
        "cosine with the next chunk minus the best other offset from -3 to +3. Rewards blur: the mean of the corpus "
        "has a margin near 0.",
    ),
    "margin_unseen": ("margin unseen", "the same against the chunks after the next one (+2 to +4) only."),
    "rollout": (
        "rollout",
        "mean cosine of five predictions fed back, each with the true chunk of its step. Rewards blur.",
    ),
    "par": (
        "PAR",
        "best cosine with the context, of the prediction over that of the true next chunk: above 1, the prediction is "
        "nearer to what was read than the truth is.",
    ),
    "raw_norm": ("norm", "length of the prediction before it is normalised; near the reachable cosine for pure MSE."),
}
"""Figures of the wide table by name: title and meaning, in this order."""

BLURRED = ("cosine", "centred_cosine", "margin", "margin_unseen", "rollout", "par", "raw_norm")
"""Figures of which no best value is marked."""

FULL_TITLES = {
    "recall_at_5": "R@5", "recall_at_1": "R@1", "mrr": "MRR", "cosine": "cosine", "centred_cosine": "centred cosine",
}  # fmt: skip
"""Titles of the figures of the time direction and the seeds."""

REFERENCES = {
    "oracle": "answers with the true next chunk: what a perfect predictor scores",
    "copy_last": "repeats the last context chunk",
    "context_mean": "mean of the five context chunks",
    "decay": "older context chunks count less and less, by a factor chosen on dev by R@5",
    "decay_centred": "the same, less the mean of the training text",
    "linear5": "five fitted weights, one a context chunk",
    "ridge": "linear regression on the whole context",
    "article_centroid": "cheats: the mean of the whole article, unread chunks included",
    "corpus_mean": "the same answer for every window",
    "random": "a random direction",
}
