"""What is kept of a source that is cut into chunks, and the bank's tables of it."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lvm_core.corpus import Reading
from lvm_core.corpus.chunker import ParagraphCounts

if TYPE_CHECKING:
    import pandas as pd

GROUP_ROWS, GROUP_CHARS = 2**16, 2**26
"""A group of rows of the file of chunks ends with the article that reaches either."""


@dataclass(frozen=True)
class ChunkedArticle:
    """An article that was kept."""

    id: str
    title: str
    chunks: list[str]
    """At least `corpus.min_chunks` texts, in order."""


@dataclass
class ChunkCounts:
    """What became of chunks."""

    kept: int = 0
    """In the bank."""
    duplicates: int = 0
    """Dropped, because an earlier chunk of the same source has the same words."""
    in_train: int = 0
    """Dropped, because a chunk of the training source has the same words."""
    in_short_articles: int = 0
    """Left out with their articles."""
    cut: int = 0
    """Of those kept: longer than the encoder reads, which does not see their ends."""


@dataclass
class ChunkedSource:
    """What is known of a source cut into chunks, without their texts: it may have millions of articles."""

    name: str
    ids: list[str] = field(default_factory=list)
    """Of the articles kept, in the source's order; `titles` and `lengths` (chunks) likewise."""
    titles: list[str] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    characters: int = 0
    """Of all chunks kept."""
    chunk_keys: set[bytes] = field(default_factory=set)
    """`chunk_key` of each chunk kept."""
    id_keys: set[bytes] = field(default_factory=set)
    """`id_key` of each article read."""
    too_short: int = 0
    """Number of articles left out for having under `corpus.min_chunks` chunks."""
    longest_short: int = 0
    """Chunks of the longest of those."""
    chunks: ChunkCounts = field(default_factory=ChunkCounts)
    paragraphs: ParagraphCounts = field(default_factory=ParagraphCounts)
    reading: Reading = field(default_factory=Reading)
    blocks_left_out: Counter[str] = field(default_factory=Counter)
    """Blocks of articles that the reader left out, by kind."""

    def add(self, article: ChunkedArticle) -> ChunkedArticle:
        """Take note of an article that is kept."""
        self.ids.append(article.id)
        self.titles.append(article.title)
        self.lengths.append(len(article.chunks))
        self.characters += sum(map(len, article.chunks))
        self.chunks.kept += len(article.chunks)
        return article

    def metrics(self) -> dict[str, Any]:
        """Counts and the mean length of a chunk in characters."""
        tried = len(self.ids) + self.too_short
        return {
            "articles": {
                **{"read": tried, "kept": len(self.ids), "too_short": self.too_short},
                "beyond_limit": len(self.id_keys) - tried,
            },
            "paragraphs": asdict(self.paragraphs),
            "chunks": asdict(self.chunks) | {"mean_chars": round(self.characters / max(self.chunks.kept, 1), 2)},
            **self.reading.counts(),
            "blocks_left_out": dict(sorted(self.blocks_left_out.items())),
        }

    def passed_over(self) -> str | None:
        """One line about what the reader passed over, each kind with the first example."""
        return f"corpus {self.name}: passed over: {self.reading.said()}" if self.reading.left_out else None


def bank_articles(sources: list[ChunkedSource], splits: dict[str, str]) -> pd.DataFrame:
    """The bank's table of articles."""
    import pandas as pd

    ids = [key for source in sources for key in source.ids]
    titles = [title for source in sources for title in source.titles]
    names = [source.name for source in sources for _ in source.ids]
    lengths = pd.Series([length for source in sources for length in source.lengths], dtype="int64")
    return pd.DataFrame(
        {
            **{"article_id": ids, "title": titles, "source": names, "split": [splits[key] for key in ids]},
            **{"first_row": lengths.cumsum() - lengths, "n_chunks": lengths},
        }
    )


def bank_chunks(articles: Iterable[ChunkedArticle]) -> pd.DataFrame:
    """The bank's table of chunks, or a part of it."""
    import pandas as pd

    rows = ((article.id, index, text) for article in articles for index, text in enumerate(article.chunks))
    return pd.DataFrame(rows, columns=["article_id", "chunk_index", "text"]).astype({"chunk_index": "int64"})


def write_chunks(path: Path, articles: Iterable[ChunkedArticle]) -> None:
    """Write the bank's table of chunks with a few megabytes of it in memory; `articles` has at least one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with contextlib.ExitStack() as stack:
        writer = None
        for group in _groups(articles):
            table = pa.Table.from_pandas(bank_chunks(group), preserve_index=False)
            writer = writer or stack.enter_context(pq.ParquetWriter(path, table.schema))
            writer.write_table(table)


def _groups(articles: Iterable[ChunkedArticle]) -> Iterator[list[ChunkedArticle]]:
    group, rows, characters = list[ChunkedArticle](), 0, 0
    for article in articles:
        group.append(article)
        rows += len(article.chunks)
        characters += sum(map(len, article.chunks))
        if rows >= GROUP_ROWS or characters >= GROUP_CHARS:
            yield group
            group, rows, characters = [], 0, 0
    if group:
        yield group
