"""Two sources to the text part of a bank: chunks, articles with their splits, and counts of everything left out."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lvm_core.config.data import CorpusParams, DataParams, SplitParams
from lvm_core.config.params import PARAMS_FILE
from lvm_core.corpus import Document, Reading, Source, short_hash
from lvm_core.corpus.chunked import ChunkedArticle, ChunkedSource, bank_articles, write_chunks
from lvm_core.corpus.chunker import Measure, chunk_paragraphs, count_cut
from lvm_core.corpus.fields import Fields
from lvm_core.corpus.sources import check_distinct, open_source
from lvm_core.runtime.cli import Progress
from lvm_core.runtime.errors import AGAIN, LvmError
from lvm_core.runtime.readers import GROWTH, SLACK
from lvm_core.windows import assign_splits

if TYPE_CHECKING:
    import pandas as pd


_WORD = re.compile(r"[^\s!-/:-@\[-`{-~“”‘’«»–—…•]+")

# Unicode's Default_Ignorable_Code_Point: soft hyphens, zero-width spaces and joiners, variation selectors, ...
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def build_corpus(
    data: DataParams, params: CorpusParams, split: SplitParams, seed: int, chunks: Path, measure: Measure | None = None
) -> tuple[pd.DataFrame, dict[str, Any], list[str]]:
    """Read both sources, check everything and write the bank's table of chunks, a part at a time, to the file `chunks`.

    `measure` counts word pieces as the encoder does; None: they are not looked at.

    Returns the bank's table of articles, counts by source, and lines that say what was passed over.
    """
    fields = Fields(data.text_column, data.id_column, data.title_column)
    sources = {key: open_source(getattr(data, key) or "", f"data.{key}", fields) for key in ("train", "ood")}
    check_distinct(sources["train"], sources["ood"])
    train, ood = (ChunkedSource(source.name) for source in sources.values())

    def articles() -> Iterator[ChunkedArticle]:
        yield from chunk_source(sources["train"], params, train, params.max_train_articles, measure=measure)
        require_articles(train, 3, "data.train", data.train, params)
        yield from chunk_source(sources["ood"], params, ood, params.max_ood_articles, train, measure)
        require_articles(ood, 1, "data.ood", data.ood or "", params)

    write_chunks(chunks, articles())
    splits = split_articles(train, ood, split, seed)
    of_train = train.metrics()
    del of_train["chunks"]["in_train"]  # means something for the other source only
    lines = [line for line in (train.passed_over(), ood.passed_over()) if line]
    return bank_articles([train, ood], splits), {"train": of_train, "ood": ood.metrics()}, lines


def chunk_source(
    source: Source,
    params: CorpusParams,
    result: ChunkedSource,
    limit: int | None = None,
    train: ChunkedSource | None = None,
    measure: Measure | None = None,
) -> Iterator[ChunkedArticle]:
    """Parse and chunk the articles of a source, leaving out duplicate chunks and articles that are too short.

    Those kept come in the source's order; what became of everything is added to `result`. A `limit` takes so many,
    spread evenly over the source, which is then read several times. Two chunks are duplicates when their words are the
    same (`chunk_key`); the first one stays, and only chunks of articles that are kept count as first ones. Of the other
    source those go too that `train` has.
    """
    documents = _with_progress(source, result, train)
    if limit is None:
        for document in documents:
            if article := _chunked(document, params, result, train, measure):
                yield result.add(article)
        return
    count = sum(1 for _ in documents)
    order, size, kept = spread_order(count), 2 * limit, dict[int, ChunkedArticle]()
    progress = Progress(f"corpus {source.name}", min(limit, count), "articles")
    while len(kept) < limit and (wanted := list(itertools.islice(order, size))):
        for position, document in _documents_at(source, wanted):
            if article := _chunked(document, params, result, train, measure):
                kept[position] = article
                progress.update(1)
            if len(kept) == limit:
                break
        size *= 2  # few articles are long enough: fewer passes
    progress.close()
    for position in sorted(kept):
        yield result.add(kept[position])


def _with_progress(source: Source, result: ChunkedSource, train: ChunkedSource | None) -> Iterator[Document]:
    """All documents, with their ids checked and the progress in megabytes of the files."""
    megabytes = 10**6
    progress = Progress(f"corpus {source.name}", -(-source.size // megabytes), "MB")
    characters = 0
    for document in source.checked(result.reading, result.id_keys, train.id_keys if train else ()):
        characters += len(document.raw)
        if characters > SLACK + GROWTH * source.size:
            place = source.place or source.name
            raise LvmError(f"{place}: its {source.size:,} bytes hold more than {characters:,} of text; {AGAIN}")
        yield document
        progress.update(result.reading.done // megabytes - progress.done)
    progress.update(progress.total - progress.done)
    progress.close()


def _documents_at(source: Source, positions: list[int]) -> list[tuple[int, Document]]:
    """The documents at these positions, in the order of the list."""
    wanted, last = set(positions), max(positions)
    documents = itertools.islice(source.read(Reading()), last + 1)
    found = {position: document for position, document in enumerate(documents) if position in wanted}
    if len(found) < len(wanted):
        raise LvmError(f"{source.place or source.name}: has changed while it was read; run this again")
    return [(position, found[position]) for position in positions]


def _chunked(
    document: Document,
    params: CorpusParams,
    result: ChunkedSource,
    train: ChunkedSource | None,
    measure: Measure | None,
) -> ChunkedArticle | None:
    """An article without the chunks that are known; None if too few are left. Adds to the counts."""
    article = document.parse(document)
    result.blocks_left_out.update(article.left_out)
    boilerplate = article.left_out.get("boilerplate", 0)
    result.paragraphs.read += boilerplate
    result.paragraphs.boilerplate += boilerplate
    chunks: dict[bytes, str] = {}
    for chunk in chunk_paragraphs(article.paragraphs, params, result.paragraphs, measure):
        key = chunk_key(chunk)
        if key in result.chunk_keys or key in chunks:
            result.chunks.duplicates += 1
        elif train and key in train.chunk_keys:
            result.chunks.in_train += 1
        else:
            chunks[key] = chunk
    if len(chunks) >= params.min_chunks:
        result.chunk_keys.update(chunks)
        result.chunks.cut += count_cut(list(chunks.values()), params, measure)
        return ChunkedArticle(article.id, article.title, list(chunks.values()))
    result.too_short += 1
    result.longest_short = max(result.longest_short, len(chunks))
    result.chunks.in_short_articles += len(chunks)
    return None


def chunk_key(text: str) -> bytes:
    """What is compared to find duplicates: the words, whatever their case, punctuation and spelling in Unicode.

    Accents may be characters of their own or not (NFC, NFD), and characters without a shape (soft hyphens, zero-width
    spaces and joiners, variation selectors) do not count. Not noticed: a paraphrase, a translation, a correction of one
    letter, and the same text divided into chunks at other places.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFC", _INVISIBLE.sub("", text))
    # (the class for words of `re` would lose the vowel signs of Indic scripts)
    return short_hash(unicodedata.normalize("NFC", " ".join(_WORD.findall(text.casefold()))))


def spread_order(count: int) -> Iterator[int]:
    """0 .. count - 1 by reversed bits (of 8: 0, 4, 2, 6, 1, 5, 3, 7): any first part lies evenly over the whole."""
    bits = max(count - 1, 0).bit_length()
    reversed_bits = (int(f"{number:0{bits}b}"[::-1], 2) for number in range(1 << bits))
    return (position for position in reversed_bits if position < count)


def require_articles(source: ChunkedSource, needed: int, key: str, value: str, params: CorpusParams) -> None:
    """Make sure that enough articles are left."""
    if (kept := len(source.ids)) < needed:
        raise LvmError(
            f"{PARAMS_FILE}: {key} = {value!r}: {kept} of {kept + source.too_short} articles have corpus.min_chunks = "
            f"{params.min_chunks} chunks, need {needed} (the longest other one has {source.longest_short}); bring "
            f"more or longer articles, or lower corpus.min_chunks or corpus.min_chars = {params.min_chars}"
        )


def split_articles(train: ChunkedSource, ood: ChunkedSource, params: SplitParams, seed: int) -> dict[str, str]:
    """Split of every article by its id: `train`, `dev` or `val` for the training source, `ood` for the other."""
    splits = dict(zip(train.ids, assign_splits(train.ids, dev=params.dev, val=params.val, seed=seed), strict=True))
    for name in ("train", "dev", "val"):
        if name not in splits.values():
            raise LvmError(
                f"{PARAMS_FILE}: split.dev = {params.dev} and split.val = {params.val} leave no article of "
                f"{len(train.ids)} for {name}; lower them or bring more articles"
            )
    return splits | dict.fromkeys(ood.ids, "ood")
