"""What figures, status words and references mean, for the page and for metrics/comparison.md."""

from __future__ import annotations

from lvm_core.selection.gates_text import STATUS_WORDS

STATUS = STATUS_WORDS

FIGURES = {
    "recall_at_5": (
        "R@5",
        "share of windows whose true next chunk is among the 5 chunks of its article nearest to the prediction; the 5 "
        "context chunks are not among the candidates. Everything is sorted by this figure on val.",
    ),
    "recall_at_5_forward": (
        "R@5 forward",
        "the same with only the true next chunk and what follows it in the article as candidates: nothing that comes "
        "before the context can be taken for the next chunk. Windows with fewer than ten candidates are left out.",
    ),
    "recall_at_5_centred": (
        "R@5 centred",
        "the same with the mean of the article's chunks taken off the candidates and the prediction: how well the "
        "chunks of a known article are told apart.",
    ),
    "recall_at_1": ("R@1", "the same as R@5 for the nearest chunk alone."),
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
    "margin_last": ("margin last", "the same against the last context chunk alone."),
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

RANKING = {
    "val_recall_at_5": "R@5",
    "val_r5_vs_rival": "R@5 − best rival",
    "ood_recall_at_5": "R@5, ood",
    "ood_r5_vs_rival": "R@5 − best rival, ood",
    "val_recall_at_5_forward": "R@5 forward",
    "val_r5_vs_copy_last": "R@5 − copy_last",
    "val_r5_vs_p1": "R@5 − p1",
    "val_mrr": "MRR",
    "val_cosine": "cosine",
    "val_margin": "margin",
}
"""Columns of the ranking and their titles."""

BLURRED = ("cosine", "centred_cosine", "margin", "margin_last", "margin_unseen", "rollout", "par", "raw_norm")
"""Figures of which no best value is marked."""

REFERENCES = {
    "oracle": "answers with the true next chunk: what a perfect predictor scores",
    "copy_last": "repeats the last context chunk",
    "context_mean": "mean of the five context chunks",
    "decay": "older context chunks count less and less, by a factor chosen on dev by R@5",
    "decay_centred": "the same, less a share of the mean of the training text",
    "decay_whitened": "the same, with rare directions made to count for more",
    "decay_memory": "the same, less a share of the mean of what was read of the document",
    "decay_document": "cheats: the same, less a share of the mean of the whole document, unread chunks included",
    "linear5": "five fitted weights, one a context chunk",
    "ridge": "linear regression on the whole context",
    "article_centroid": "cheats: the mean of the whole document, unread chunks included",
    "corpus_mean": "the same answer for every window",
    "random": "a random direction",
}
