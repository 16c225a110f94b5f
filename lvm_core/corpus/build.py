"""Two sources to the text part of a bank: chunks, articles with their splits, and counts of everything left out."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from lvm_core.config.data import CorpusParams, DataParams, SplitParams
from lvm_core.config.params import PARAMS_FILE
from lvm_core.corpus import Article, Source
from lvm_core.corpus.chunker import Measure, ParagraphCounts, chunk_paragraphs, count_cut
from lvm_core.corpus.sources import check_distinct, open_source
from lvm_core.runtime.cli import Progress
from lvm_core.runtime.errors import LvmError
from lvm_core.windows import assign_splits

if TYPE_CHECKING:
    import pandas as pd


_WORD = re.compile(r"[^\s!-/:-@\[-`{-~“”‘’«»–—…•]+")


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
    """A source cut into chunks."""

    name: str
    articles: list[ChunkedArticle] = field(default_factory=list)
    """Those kept, in the source's order."""
    too_short: int = 0
    """Number of articles left out for having under `corpus.min_chunks` chunks."""
    longest_short: int = 0
    """Chunks of the longest of those."""
    chunks: ChunkCounts = field(default_factory=ChunkCounts)
    paragraphs: ParagraphCounts = field(default_factory=ParagraphCounts)

    def metrics(self) -> dict[str, Any]:
        """Counts and the mean length of a chunk in characters."""
        kept = len(self.articles)
        characters = sum(len(chunk) for article in self.articles for chunk in article.chunks)
        return {
            "articles": {"read": kept + self.too_short, "kept": kept, "too_short": self.too_short},
            "paragraphs": asdict(self.paragraphs),
            "chunks": asdict(self.chunks) | {"mean_chars": round(characters / max(self.chunks.kept, 1), 2)},
        }


def build_corpus(
    data: DataParams, params: CorpusParams, split: SplitParams, seed: int, measure: Measure | None = None
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Read both sources, check everything, and make the bank's `chunks` and `articles` tables, and counts by source.

    `measure` counts word pieces as the encoder does; None: they are not looked at.
    """
    ood_name = data.ood or ""
    train_source, ood_source = open_source(data.train, "data.train"), open_source(ood_name, "data.ood")
    check_distinct(train_source, ood_source)
    train, train_keys = chunk_source(train_source, params, params.max_train_articles, measure=measure)
    require_articles(train, 3, "data.train", data.train, params)
    ood, _ = chunk_source(ood_source, params, params.max_ood_articles, train_keys, measure)
    require_articles(ood, 1, "data.ood", ood_name, params)
    splits = split_articles(train, ood, split, seed)
    of_train = train.metrics()
    del of_train["chunks"]["in_train"]  # means something for the other source only
    return *bank_frames([train, ood], splits), {"train": of_train, "ood": ood.metrics()}


def chunk_source(
    source: Source,
    params: CorpusParams,
    limit: int | None,
    train_keys: set[str] | None = None,
    measure: Measure | None = None,
) -> tuple[ChunkedSource, set[str]]:
    """Parse and chunk the articles of a source, leaving out duplicate chunks and articles that are too short.

    Two chunks are duplicates when their words are the same, whatever the case and punctuation; the first one stays,
    and only chunks of articles that are kept count as first ones.
    """
    result, seen, kept = ChunkedSource(source.name), set[str](), dict[int, ChunkedArticle]()
    documents = source.documents()
    order = spread_order(len(documents)) if limit else range(len(documents))
    progress = Progress(f"corpus {source.name}", min(limit or len(order), len(order)), "articles")
    for position in order:
        article = documents[position].parse(documents[position])
        chunks = _new_chunks(article, params, result, seen, train_keys or set(), measure)
        if chunks:
            result.chunks.cut += count_cut(list(chunks.values()), params, measure)
            kept[position] = ChunkedArticle(article.id, article.title, list(chunks.values()))
            seen.update(chunks)
        if chunks or not limit:
            progress.update(1)
        if len(kept) == limit:
            break
    result.articles = [kept[position] for position in sorted(kept)]
    result.chunks.kept = len(seen)
    progress.close()
    return result, seen


def _new_chunks(
    article: Article,
    params: CorpusParams,
    result: ChunkedSource,
    seen: set[str],
    train_keys: set[str],
    measure: Measure | None,
) -> dict[str, str]:
    """Chunks of an article by their words, without known ones; empty if too few are left. Adds to the counts."""
    result.paragraphs.read += sum(article.left_out.values())
    result.paragraphs.boilerplate += sum(article.left_out.values())
    chunks: dict[str, str] = {}
    for chunk in chunk_paragraphs(article.paragraphs, params, result.paragraphs, measure):
        words = _words(chunk)
        if words in seen or words in chunks:
            result.chunks.duplicates += 1
        elif words in train_keys:
            result.chunks.in_train += 1
        else:
            chunks[words] = chunk
    if len(chunks) >= params.min_chunks:
        return chunks
    result.too_short += 1
    result.longest_short = max(result.longest_short, len(chunks))
    result.chunks.in_short_articles += len(chunks)
    return {}


def _words(text: str) -> str:
    """What is compared to find duplicates (the regex class for words would lose the vowel signs of Indic scripts)."""
    return " ".join(_WORD.findall(text.casefold()))


def spread_order(count: int) -> list[int]:
    """0 .. count - 1 by reversed bits (of 8: 0, 4, 2, 6, 1, 5, 3, 7): any first part lies evenly over the whole."""
    bits = max(count - 1, 0).bit_length()
    return sorted(range(count), key=lambda position: f"{position:0{bits}b}"[::-1])


def require_articles(source: ChunkedSource, needed: int, key: str, value: str, params: CorpusParams) -> None:
    """Make sure that enough articles are left."""
    if (kept := len(source.articles)) < needed:
        raise LvmError(
            f"{PARAMS_FILE}: {key} = {value!r}: {kept} of {kept + source.too_short} articles have corpus.min_chunks = "
            f"{params.min_chunks} chunks, need {needed} (the longest other one has {source.longest_short}); bring "
            f"more or longer articles, or lower corpus.min_chunks or corpus.min_chars = {params.min_chars}"
        )


def split_articles(train: ChunkedSource, ood: ChunkedSource, params: SplitParams, seed: int) -> dict[str, str]:
    """Split of every article by its id: `train`, `dev` or `val` for the training source, `ood` for the other."""
    ids = [article.id for article in train.articles]
    splits = dict(zip(ids, assign_splits(ids, dev=params.dev, val=params.val, seed=seed), strict=True))
    for name in ("train", "dev", "val"):
        if name not in splits.values():
            raise LvmError(
                f"{PARAMS_FILE}: split.dev = {params.dev} and split.val = {params.val} leave no article of "
                f"{len(ids)} for {name}; lower them or bring more articles"
            )
    return splits | {article.id: "ood" for article in ood.articles}


def bank_frames(sources: list[ChunkedSource], splits: dict[str, str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The bank's `chunks` and `articles` tables."""
    import pandas as pd

    kept = [(source, article) for source in sources for article in source.articles]
    texts = ((article.id, index, text) for _, article in kept for index, text in enumerate(article.chunks))
    chunks = pd.DataFrame(texts, columns=["article_id", "chunk_index", "text"])
    rows = [(a.id, a.title, source.name, splits[a.id], len(a.chunks)) for source, a in kept]
    articles = pd.DataFrame(rows, columns=["article_id", "title", "source", "split", "n_chunks"])
    articles.insert(4, "first_row", articles["n_chunks"].cumsum() - articles["n_chunks"])
    return chunks.astype({"chunk_index": "int64"}), articles.astype({"first_row": "int64", "n_chunks": "int64"})
