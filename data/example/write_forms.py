"""Write a small data set in every form in which vectors can be brought, made from the default corpus.

    python data/example/write_forms.py [FOLDER]     # default: corpora/example

| files | form |
|---|---|
| `sequences_{train,ood}.npz` | windows as published: across borders of articles, ids in `metadata`, an object array |
| `windows_{train,ood}.npz` | windows within articles: `contexts`, `targets`, `article_ids`, `target_indices` |
| `plain_{train,ood}.npz` | windows without ids: `contexts`, `targets` |
| `bank_{train,ood}.npz` | every chunk once: `vectors`, `article_indices`, `chunk_indices`, `concept_texts`, `cpe_ids` |
| `array_{train,ood}.npy`, `.csv` | an array, and its ids in a table beside it |
| `table_{train,ood}.parquet` | a table with a column of vectors |
| `documents_{train,ood}.parquet` | a row a document, with lists of sentences and of vectors (Large Concept Model) |

The names of members are those of the published files (prior results, sections 1.2 and 1.3). Object arrays are pickled
inside .npz files by numpy's own format: that is what the published files are like, and why they need a careful reader.
"""

from __future__ import annotations

import sys
import uuid
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lvm_core.bank.encoder import Encoder
from lvm_core.config.data import CorpusParams, EncoderParams
from lvm_core.config.params import load_common, load_group, read_params
from lvm_core.corpus.build import chunk_source
from lvm_core.corpus.chunked import ChunkedSource
from lvm_core.corpus.sources import open_source
from lvm_core.runtime.cli import run_stage
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.hardware import resolve_device, resolve_precision, use_threads
from lvm_core.windows import CONTEXT, context_rows, window_targets

ARTICLES = {"train": ("sotu", 8), "ood": ("wikipedia", 3)}
"""Corpus and number of articles of each file."""


@dataclass(frozen=True)
class Sample:
    """A small bank: `vectors` [N, D] float32 unit rows, and of each row the text, the article and the place in it."""

    vectors: np.ndarray
    texts: list[str]
    article: np.ndarray
    chunk: np.ndarray


def sample(corpus: str, count: int, first_article: int, params: CorpusParams, encoder: Encoder) -> Sample:
    """The chunks of a few articles, spread evenly over a corpus, numbered from `first_article`."""
    articles = list(chunk_source(open_source(corpus, "data.train"), params, ChunkedSource(corpus), count))
    texts = [text for article in articles for text in article.chunks]
    lengths = [len(article.chunks) for article in articles]
    article = np.repeat(np.arange(first_article, first_article + len(articles)), lengths)
    return Sample(encoder.encode(texts), texts, article, np.concatenate([np.arange(length) for length in lengths]))


def metadata(article: np.ndarray, chunk: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """[W] object array of dicts, as published: ids of the target, and whether the last context is in its article."""
    items = [
        {
            "article_index": int(article[row]),
            "last_context_article": int(article[row - 1]),
            "target_chunk_index": int(chunk[row]),
            "target_cpe_id": str(uuid.UUID(int=int(row))),
            "crosses_article": bool(article[row] != article[row - 1]),
        }
        for row in targets
    ]
    return np.array(items, dtype=object)


def write_forms(folder: Path, name: str, data: Sample) -> None:
    """Write one data set in every form."""
    vectors, texts = data.vectors, np.array(data.texts, dtype=object)
    across = np.arange(CONTEXT, len(vectors))
    starts = np.flatnonzero(np.diff(data.article, prepend=-1))
    within = window_targets(starts, np.diff(np.append(starts, len(vectors))))
    write_sequences(folder / f"sequences_{name}.npz", data, across)
    windows = {"contexts": vectors[context_rows(within)], "targets": vectors[within]}
    ids = {"article_ids": data.article[within], "target_indices": data.chunk[within]}
    np.savez_compressed(folder / f"windows_{name}.npz", **windows, **ids)
    np.savez(folder / f"plain_{name}.npz", **windows)
    np.savez(
        folder / f"bank_{name}.npz",
        vectors=vectors,
        article_indices=data.article,
        chunk_indices=data.chunk,
        concept_texts=texts,
        cpe_ids=np.array([str(uuid.UUID(int=row)) for row in range(len(vectors))], dtype=object),
    )
    np.save(folder / f"array_{name}.npy", vectors)
    table = pd.DataFrame({"article_id": data.article, "chunk_index": data.chunk, "text": data.texts})
    table.to_csv(folder / f"array_{name}.csv", index=False)
    table.assign(vector=list(vectors)).to_parquet(folder / f"table_{name}.parquet", index=False)
    write_documents(folder / f"documents_{name}.parquet", data)


def write_sequences(path: Path, data: Sample, targets: np.ndarray) -> None:
    """Write windows as published, with all members of that file."""
    texts = np.array(data.texts, dtype=object)
    members: dict[str, Any] = {
        "context_sequences": data.vectors[context_rows(targets)],
        "target_vectors": data.vectors[targets],
        "context_texts": texts[context_rows(targets)],
        "target_texts": texts[targets],
        "metadata": metadata(data.article, data.chunk, targets),
        "context_length": CONTEXT,
        "num_sequences": len(targets),
        "vector_dim": data.vectors.shape[1],
        "source_dataset": "the default corpus",
        "excluded_articles": np.array([], dtype=np.int64),
    }
    np.savez(path, **members)


def write_documents(path: Path, data: Sample) -> None:
    """Write a row a document, with the columns of the Large Concept Model's preparation."""
    rows = {int(article): np.flatnonzero(data.article == article) for article in dict.fromkeys(data.article)}
    documents = {
        "id": list(rows),
        "text_sentences": [[data.texts[row] for row in chosen] for chosen in rows.values()],
        "text_sentences_sonar_emb": [list(data.vectors[chosen]) for chosen in rows.values()],
    }
    pd.DataFrame(documents).to_parquet(path, index=False)


def main(folder: Path) -> None:
    """Chunk and encode the articles (under a minute), then write all files."""
    params = read_params()
    corpus = load_group(params, "corpus", CorpusParams)
    settings = load_group(params, "encoder", EncoderParams)
    use_threads(load_common(params).threads)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LvmError(f"{folder}: cannot be written ({error.strerror})") from error
    device = resolve_device("cpu")
    precision = resolve_precision("auto", device)
    encoder = Encoder(settings.model, batch_size=settings.batch_size, precision=precision, device=device)
    first_article = 0
    for name, (source, count) in ARTICLES.items():
        data = sample(source, count, first_article, corpus, encoder)
        first_article += count
        write_forms(folder, name, data)
        print(f"{folder}: {len(data.vectors):,} chunks of {count} articles of {source} in seven forms", flush=True)


if __name__ == "__main__":
    chosen = Path(sys.argv.pop() if len(sys.argv) > 1 else "corpora/example")
    run_stage(partial(main, chosen))
