"""A table with a document in each row, its sentences and their vectors, as the Large Concept Model's data are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lvm_core.bank.imported import ImportInfo
from tests.brought import DATA, ROWS, has_all, read, refusal, vectors_of
from tests.brought import in_own_folder as _in_own_folder  # noqa: F401
from tests.forms import run_import, set_data


def write_documents(path: str = "in/x.parquet", vector: Any = None, **columns: Any) -> None:
    """A row a document, as the Large Concept Model's preparation writes it."""
    parts = [DATA.vectors[DATA.article == article] for article in range(6)]
    table = {
        "id": pa.array([f"doc{article}" for article in range(6)]),
        "title": pa.array([f"Title {article}" for article in range(6)]),
        "text": pa.array(["the whole text"] * 6),
        "text_sentences": pa.array([[f"{article}.{n}" for n in range(10)] for article in range(6)]),
        "text_sentences_sonar_emb": pa.array(
            [part.tolist() for part in parts], vector or pa.list_(pa.list_(pa.float32(), 16))
        ),
    } | columns
    table = {name: values for name, values in table.items() if values is not None}
    pq.write_table(pa.table(table), path, row_group_size=4)


def vectors_as(values: list[Any]) -> pa.Array:
    return pa.array(values, pa.list_(pa.list_(pa.float32())))


LISTS = [DATA.vectors[DATA.article == article].tolist() for article in range(6)]


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.list_(pa.float32(), 16)),
        pa.list_(pa.list_(pa.float32())),
        pa.large_list(pa.large_list(pa.float64())),
        pa.list_(pa.list_(pa.float32(), 16), 10),
    ],
)
def test_documents_with_their_sentences(kind, monkeypatch):
    monkeypatch.setattr("lvm_core.importers.parquet.BATCH_BYTES", 1)  # a document at a time
    write_documents(vector=kind)
    rows = read()
    assert has_all(rows)
    assert (rows.form, rows.counts["rows"], rows.counts["rows_without_text"]) == ("documents", ROWS, 0)
    assert rows.article_id.tolist() == [f"doc{n}" for n in range(6)]
    assert rows.title.tolist() == [f"Title {n}" for n in range(6)]
    assert rows.texts is not None
    assert rows.texts.tolist() == [f"{article}.{n}" for article in range(6) for n in range(10)]
    assert rows.chunk_index.tolist() == [*range(10)] * 6


def test_documents_of_half_precision_and_without_ids_in_shards(tmp_path):
    kind = pa.list_(pa.list_(pa.float16(), 16))
    for number, sign in enumerate((1, -1)):
        half = pa.array([[np.float16(sign * np.array(row)) for row in part] for part in LISTS], kind)
        write_documents(f"in/{number}.parquet", id=None, title=None, text_sentences_sonar_emb=half)
    set_data(tmp_path, "in", None)
    done = run_import(tmp_path, "corpus", "embed")
    assert done.returncode == 0, done.stderr
    info = ImportInfo(**json.loads(Path("data/imported/import.json").read_text()))
    assert (info.dimension, info.n_chunks) == (16, 2 * ROWS)
    chunks = pd.read_parquet("data/bank/chunks.parquet")
    assert chunks["article_id"].unique().tolist() == [f"{f}.parquet:{row}" for f in range(2) for row in range(6)]
    assert chunks["text"][11] == "1.1"


def test_null_and_short_documents_are_counted():
    sentences: list[Any] = [["a"] * 10, None, [], ["b"] * 3, [None, " ", *["c"] * 8], ["d"] * 10]
    vectors = [LISTS[0], None, [], LISTS[3][:3], LISTS[4], LISTS[5]]
    write_documents(text_sentences=pa.array(sentences), text_sentences_sonar_emb=vectors_as(vectors))
    rows = read()
    np.testing.assert_array_equal(vectors_of(rows), DATA.vectors[np.r_[0:10, 30:33, 40:60]])
    assert rows.counts["left_out"] == {"documents without vectors": 2}
    assert rows.counts["examples"] == {"documents without vectors": "in/x.parquet row 1"}
    assert (rows.counts["rows_without_text"], rows.counts["articles_without_windows"]) == (2, 1)


def without(document: int, *place: int, value: Any) -> pa.Array:
    values = [[list(row) for row in part] for part in LISTS]
    target: Any = values
    for step in (document, *place)[:-1]:
        target = target[step]
    target[(document, *place)[-1]] = value
    return vectors_as(values)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (
            {"text_sentences_sonar_emb": without(2, value=LISTS[2][:7])},
            "text_sentences: row 2: has 10 sentences, in/x.parquet: text_sentences_sonar_emb 7 vectors",
        ),
        ({"text_sentences_sonar_emb": without(4, value=None)}, "text_sentences: row 4: has 10 sentences"),
        ({"text_sentences": pa.array([["x"] * 10] * 5 + [None])}, "text_sentences: row 5: has 0 sentences"),
        (
            {"text_sentences_sonar_emb": without(3, 2, value=None)},
            "text_sentences_sonar_emb: row 3, sentence 2: is null",
        ),
        (
            {"text_sentences_sonar_emb": without(5, 9, value=[0.5] * 15)},
            "row 5, sentence 9: has 15 numbers, the first one has 16",
        ),
        ({"text_sentences_sonar_emb": without(1, 0, 3, value=None)}, "row 1, sentence 0: holds a null"),
        ({"text_sentences_sonar_emb": without(1, 4, 3, value=float("nan"))}, "row 1, sentence 4: holds NaN"),
        ({"text_sentences_sonar_emb": without(4, 4, value=[0.0] * 16)}, "row 4, sentence 4: is zero"),
        ({"text_sentences_sonar_emb": vectors_as([[]] * 6), "text_sentences": None}, "has no vectors"),
        (
            {"id": pa.array(["x", "y", "x", "z", "u", "v"])},
            "row 0, sentence 0 and in/x.parquet: text_sentences_sonar_emb row 2, sentence 0 are both chunk 0 of",
        ),
        ({"id": pa.array(["x", None, "a", "z", "u", "v"])}, "id: row 1: is null"),
    ],
)
def test_ragged_documents_are_refused_with_their_row(columns, words):
    write_documents(**columns)
    assert words in refusal()


@pytest.mark.parametrize("kind", [pa.list_(pa.string_view()), pa.large_list(pa.large_string())])
def test_sentences_of_every_type_of_text(kind):
    write_documents(text_sentences=pa.array([["a", None, *"bcdefghi"]] * 6, kind))
    rows = read()
    assert rows.texts is not None
    assert rows.texts[:3].tolist() == ["a", "", "b"]
    assert rows.counts["rows_without_text"] == 6


def test_what_pyarrow_cannot_read_is_not_called_damage():
    kind = pa.list_(pa.dictionary(pa.int32(), pa.string()))
    write_documents(text_sentences=pa.array([["a"] * 10] * 6, kind))
    assert "in/x.parquet: pyarrow cannot read it (Nested data conversions not" in refusal()


def test_fixed_lists_with_null_documents_between_them():
    kind = pa.list_(pa.list_(pa.float32(), 16), 10)
    lists: list[Any] = [LISTS[0], None, *LISTS[1:5]]
    write_documents(text_sentences=None, text_sentences_sonar_emb=pa.array(lists, kind))
    np.testing.assert_array_equal(vectors_of(read()), DATA.vectors[:50])
    flat = pa.array([None, *DATA.vectors[1:]], pa.list_(pa.float32(), 16))
    pq.write_table(pa.table({"article_id": DATA.article, "vector": flat}), "in/x.parquet")
    assert "in/x.parquet: vector: row 0: is null" in refusal()


def test_documents_with_other_names():
    names = {"text_sentences": None, "text_sentences_sonar_emb": None, "url": pa.array([f"u{n}" for n in range(6)])}
    write_documents(**names, answer=pa.array([["x"] * 10] * 6), answer_emb=vectors_as(LISTS))
    rows = read(vector_column="answer_emb", text_column="answer", id_column="url")
    assert has_all(rows)
    assert rows.article_id[0] == "u0"
    assert rows.texts is not None
    assert set(rows.texts) == {"x"}
    assert "text: holds string, need lists of sentences" in refusal(vector_column="answer_emb", text_column="text")
    assert read(vector_column="answer_emb").texts is None
