"""Articles read backwards: what a recipe reaches on them shows how much of its figures is about the direction of time.

Similarity between chunks is symmetric in time, so none of the usual figures of data sets (lag similarity, coherence)
knows which way an article runs. A model that gains from the order of the text predicts forwards better than backwards,
by more than predictors that only copy do: ranks within an article are not symmetric.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lvm_core.bank import Bank, content_sha256


def reversed_bank(bank: Bank) -> Bank:
    """The same articles in the same places, the chunks of each in reverse order (in memory, without a folder)."""
    first, counts = bank.articles["first_row"].to_numpy(), bank.articles["n_chunks"].to_numpy()
    within = np.arange(len(bank.vectors)) - np.repeat(first, counts)
    vectors = bank.vectors[np.repeat(first + counts - 1, counts) - within]
    return Bank(vectors, bank.articles, replace(bank.info, content_sha256=content_sha256(vectors)))
