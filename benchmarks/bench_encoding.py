"""Speed of encoding: against `SentenceTransformer.encode` with its defaults on the same texts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from benchmarks.report import Line, at_least
from benchmarks.timing import in_turn
from lvm_core.bank.encoder import Encoder, encode_bank
from lvm_core.bank.encoder_files import find_model
from lvm_core.corpus.sotu import read_sotu
from lvm_core.runtime.hardware import processor_features, resolve_precision, use_threads

NAME, BATCH, THREADS, TEXTS = "all-MiniLM-L6-v2", 64, 2, 1024


def measure(quick: bool) -> Iterator[Line]:
    """All lines; `quick` for few texts and one round."""
    from sentence_transformers import SentenceTransformer

    use_threads(THREADS)
    texts = paragraphs(64 if quick else TEXTS)
    precision = resolve_precision("auto", torch.device("cpu"))
    ours = Encoder(NAME, batch_size=BATCH, precision=precision, device=torch.device("cpu"))
    theirs = SentenceTransformer(str(find_model(NAME)), device="cpu")
    made: dict[str, np.ndarray] = {}

    def plain() -> None:
        made["float32"] = theirs.encode(texts)

    def embed() -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "vectors.npy"
            encode_bank(texts, ours, path, Path(folder), dtype="float32", features=processor_features())
            made["ours"] = np.load(path)

    timed = in_turn(plain, embed, 1 if quick else 3)
    cosines = (made["float32"] * made["ours"]).sum(axis=1)
    rate = [len(texts) / seconds for seconds in (timed.second, timed.first)]
    yield at_least(
        f"encoding {len(texts):,} paragraphs, {THREADS} threads",
        timed.ratio,
        1.8,
        "`SentenceTransformer.encode` with its defaults over ours, the file written",
        f"{rate[0]:.0f} texts/s ({precision}) against {rate[1]:.0f} texts/s",
    )
    yield at_least(
        "encoding: mean cosine with the vectors in float32, over 0.9999",
        float(cosines.mean()) / 0.9999,
        1.0,
        "ours and `SentenceTransformer.encode`, text by text",
        f"mean {cosines.mean():.6f}, least {cosines.min():.6f}",
    )


def paragraphs(count: int) -> list[str]:
    """Paragraphs of the addresses that come as a package, spread evenly, of 120 to 800 characters."""
    articles = [document.parse(document) for document in read_sotu().documents()]
    found = [text for article in articles for text in article.paragraphs if 120 <= len(text) <= 800]
    return [found[place] for place in np.linspace(0, len(found) - 1, count).astype(int)]
