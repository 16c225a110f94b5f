"""Ids, separators, codings, types and names of columns in the tables that many tools write."""

from __future__ import annotations

import codecs
import datetime
import decimal
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from lvm_core.importers.write import file_identities
from tests.brought import DATA, NAMES, ROWS, has_all, read, refusal, shard, vectors_of
from tests.brought import in_own_folder as _in_own_folder  # noqa: F401
from tests.forms import run_import, set_data

UUIDS = [uuid.UUID(int=int(article)) for article in DATA.article]
IDS: dict[str, tuple[Any, list[Any]]] = {
    "uuid": (pa.array([one.bytes for one in UUIDS], pa.uuid()), [str(one) for one in UUIDS]),
    "16 bytes": (pa.array([one.bytes for one in UUIDS], pa.binary(16)), [str(one) for one in UUIDS]),
    "bytes": (pa.array([name.encode() for name in NAMES]), NAMES),
    "dictionary": (pa.array(NAMES).dictionary_encode(), NAMES),
    "large text": (pa.array(NAMES, pa.large_string()), NAMES),
    "decimal": (pa.array([decimal.Decimal(int(a)) for a in DATA.article], pa.decimal128(5, 0)), DATA.article.tolist()),
    "whole floats": (pa.array(DATA.article.astype(float)), DATA.article.tolist()),
    "unsigned hash": (
        pa.array(DATA.article.astype(np.uint64) + np.uint64(2**63)),
        [2**63 + int(a) for a in DATA.article],
    ),
    "20 digits": (
        pa.array([f"1234567890123456789{a}" for a in DATA.article]),
        [f"1234567890123456789{a}" for a in DATA.article],
    ),
}


@pytest.mark.parametrize("kind", IDS)
def test_ids_of_every_type(kind):
    values, expected = IDS[kind]
    columns = {"article_id": values, "chunk_index": pa.array(DATA.chunk.astype(float)), "vector": list(DATA.vectors)}
    pq.write_table(pa.table(columns), "in/x.parquet")
    rows = read()
    assert has_all(rows)
    assert rows.article_id[rows.piece].tolist() == list(map(str, expected))


@pytest.mark.parametrize("ids", [np.array(UUIDS, dtype=object), np.array([n.encode() for n in NAMES], dtype=object)])
def test_uuids_and_bytes_in_an_array_of_objects(ids):
    texts = np.array([text.encode() for text in DATA.texts], dtype=object)  # what h5py gives
    np.savez("in/x.npz", vectors=DATA.vectors, article_ids=ids, concept_texts=texts, chunk_indices=DATA.chunk * 1.0)
    rows = read()
    assert has_all(rows)
    assert rows.article_id[0] in (str(UUIDS[0]), "a0")
    assert rows.texts is not None
    assert rows.texts.tolist() == DATA.texts


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("article_id", None, "article_id: row 7: is null"),
        ("chunk_index", float("nan"), "chunk_index: row 7: nan is not a whole number"),
        ("chunk_index", 2.5, "chunk_index: row 7: 2.5 is not a whole number"),
        ("chunk_index", 2.0**60, "chunk_index: row 7: 1.152921504606847e+18 may have been rounded"),
        ("article_id", datetime.date(2020, 1, 1), "article_id: row 7: datetime.date(2020, 1, 1) is not a whole number"),
        ("article_id", decimal.Decimal("1.5"), "article_id: row 7: Decimal('1.5') is not a whole number"),
    ],
)
def test_ids_that_are_none(column, value, words):
    values: dict[str, Any] = {"article_id": DATA.article.tolist(), "chunk_index": DATA.chunk.astype(float).tolist()}
    if isinstance(value, datetime.date):
        values[column] = [value] * ROWS
        words = words.replace("row 7", "row 0")
    elif isinstance(value, decimal.Decimal):
        values[column] = [decimal.Decimal(item) for item in values[column]]
    values[column][7] = value if not isinstance(value, datetime.date) else values[column][7]
    table = {name: pa.array(items) for name, items in values.items()} | {"vector": list(DATA.vectors)}
    pq.write_table(pa.table(table), "in/x.parquet")
    assert f"in/x.parquet: {words}" in refusal()


def test_float16_indices_are_exact_to_2048_only():
    chunk = DATA.chunk.astype(np.float16)
    chunk[3] = 4096
    np.savez("in/x.npz", vectors=DATA.vectors, article_ids=NAMES, chunk_indices=chunk)
    assert "chunk_indices: row 3: 4096.0 may have been rounded, as float16 is exact to 2,048" in refusal()


# tables of text


def write_csv(text: str, encoding: str = "utf-8") -> None:
    np.save("in/v.npy", DATA.vectors)
    Path("in/v.csv").write_bytes(text.encode(encoding))


def csv_text(separator: str = ",", index: str = "{}", name: str = "{}", words: str = '"one, two; three|"') -> str:
    lines = [separator.join(("article_id", "chunk_index", "text"))]
    for article, chunk in zip(DATA.article, DATA.chunk, strict=True):
        lines.append(separator.join((name.format(article), index.format(chunk), words)))
    return "\r\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        csv_text(),
        csv_text(";"),
        csv_text("\t"),
        csv_text("|"),
        "sep=;\r\n" + csv_text(";"),
        csv_text(index="{}.0"),
        csv_text(name=" {} "),
    ],
)
@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_of_every_separator_and_coding(text, coding):
    write_csv(text, coding)
    rows = read()
    assert has_all(rows)
    assert rows.article_id.tolist() == list("012345")
    assert rows.texts is not None
    assert set(rows.texts) == {"one, two; three|"}


def test_text_ids_stay_text():
    ids = ["007", "7", "12345678901234567890", "+7", "1e3", "1.0"]
    write_csv("article_id\n" + "\n".join(ids[article] for article in DATA.article))
    assert read().article_id.tolist() == ids
    write_csv(
        "article_id,seq_idx,more\n" + "\n".join(f"00{a},{c},1.5" for a, c in zip(DATA.article, DATA.chunk, strict=True))
    )
    assert read().article_id.tolist() == ["000", "001", "002", "003", "004", "005"]


def test_a_table_of_vectors_beside_an_array_is_a_choice():
    shard("in/v.parquet")
    np.save("in/v.npy", DATA.vectors)
    assert (
        refusal() == "in/v.parquet: vector: holds vectors, and so does in/v.npy, whose ids it has; remove one of them"
    )


def test_an_index_column_of_pandas_is_no_obstacle():
    frame = pd.DataFrame({"article_id": NAMES, "chunk_index": DATA.chunk})
    write_csv(frame.to_csv())
    assert has_all(read())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (csv_text(words="Zürich").encode("latin-1"), "is not UTF-8; save the file as UTF-8"),
        (codecs.BOM_UTF16_LE + csv_text().encode("utf-16-le")[:-1], "is not UTF-16; save the file as UTF-8"),
        (
            csv_text(";", words="one; two").encode(),
            "record 1 has 4 fields, the header 3; put texts that hold the separator ';'",
        ),
        (csv_text(";", index="{},5").encode(), "chunk_index: row 0: '0,5' is not a whole number"),
        (csv_text().replace("article_id", "id").encode(), "there are: id, chunk_index, text"),
    ],
)
def test_tables_that_cannot_be_read(content, words):
    write_csv("")
    Path("in/v.csv").write_bytes(content)
    line = refusal()
    assert line.startswith("in/v.csv: ")
    assert words in line
    assert "download" not in line


def test_the_table_beside_an_array_may_have_capitals_and_is_part_of_the_key():
    write_csv(csv_text())
    Path("in/v.npy").rename("in/v.NPY")
    Path("in/v.csv").rename("in/v.CSV")
    rows = read()
    assert has_all(rows)
    assert rows.counts["left_out"] == {}
    assert [one.split("=")[0] for one in file_identities("in", "data.train")] == ["in/v.NPY", "in/v.CSV"]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [">f4", "<f8", ">f2"])
def test_arrays_of_every_order(dtype, order):
    write_csv(csv_text())
    np.save("in/v.npy", np.asarray(DATA.vectors, dtype=dtype, order=order))
    assert np.allclose(vectors_of(read()), DATA.vectors, atol=1e-3)


def test_bfloat16_says_how_to_convert():
    write_csv(csv_text())
    np.save("in/v.npy", np.zeros((ROWS, 16), "V2"))  # what np.save makes of ml_dtypes.bfloat16
    assert "in/v.npy: has the type |V2, which np.save writes for bfloat16" in refusal()
    assert "save array.astype(np.float32)" in refusal()


@pytest.mark.parametrize("inner", [pa.float16(), pa.float32(), pa.float64()])
@pytest.mark.parametrize("make", [pa.list_, pa.large_list, lambda kind: pa.list_(kind, 16)])
def test_vectors_in_lists_of_every_kind(inner, make):
    vectors = pa.array([row.astype(inner.to_pandas_dtype()) for row in DATA.vectors], make(inner))
    pq.write_table(pa.table({"article_id": DATA.article, "chunk_index": DATA.chunk, "vector": vectors}), "in/x.parquet")
    assert np.allclose(vectors_of(read()), DATA.vectors, atol=1e-3)


# named columns


@pytest.mark.parametrize(
    ("titles", "read_as"),
    [([b"A\xc3\xa4"], "Aä"), ([1984.0], "1984"), ([7], "7"), ([float("nan")], "a0"), ([pd.Timestamp(0)], "1970-01-01")],
)
def test_titles_are_text_as_those_of_texts(titles, read_as):
    frame = pd.DataFrame({"article_id": NAMES, "title": titles * ROWS, "vector": list(DATA.vectors)})
    frame.to_parquet("in/x.parquet")
    assert read().title[0].startswith(read_as)


def test_titles_that_are_none():
    pd.DataFrame({"article_id": NAMES, "title": [["x"]] * ROWS, "vector": list(DATA.vectors)}).to_parquet(
        "in/x.parquet"
    )
    assert refusal() == (
        "in/x.parquet: title: row 0 is list, must be a text or a number; correct it, or name another as "
        "data.title_column"
    )


@pytest.mark.parametrize("kind", [str, bytes])
def test_a_small_file_that_holds_more_text_than_memory(kind):
    texts = np.empty(ROWS, dtype=object)
    texts[:] = ["x" * 10_000_000 if kind is str else b"x" * 10_000_000] * ROWS  # one object in the pickle
    np.savez_compressed("in/x.npz", vectors=DATA.vectors, article_ids=NAMES, texts=texts)
    assert refusal().startswith("in/x.npz: texts: a small file holds more text than memory may take; ")


def test_columns_of_any_name():
    frame = pd.DataFrame({"page": NAMES, "chunk_index": DATA.chunk, "body": DATA.texts, "name": ["Title"] * ROWS})
    frame.assign(text=1, title=2, vector=list(DATA.vectors * 0), emb=list(DATA.vectors)).to_parquet("in/x.parquet")
    named = {"id_column": "page", "text_column": "body", "title_column": "name", "vector_column": "emb"}
    rows = read(**named)
    assert has_all(rows)
    assert rows.texts is not None
    assert rows.texts.tolist() == DATA.texts
    assert set(rows.title) == {"Title"}
    for key, name in named.items():
        line = refusal(**named | {key: "nope"})
        assert f"in/x.parquet: has no column 'nope', which data.{key} in params.yaml names; there are: page" in line
        assert name in line


def test_members_of_any_name():
    np.savez("in/x.npz", emb=DATA.vectors, page=NAMES, vectors=DATA.vectors[:3], body=DATA.texts)
    rows = read(id_column="page", text_column="body", vector_column="emb")
    assert has_all(rows)
    assert rows.texts is not None
    assert rows.texts.tolist() == DATA.texts
    assert "has no column 'pge', which data.id_column" in refusal(id_column="pge", vector_column="emb")


@pytest.mark.parametrize("vectors", ["vectors", "embeddings", "X"])
@pytest.mark.parametrize("article", ["article_indices", "article_ids"])
@pytest.mark.parametrize("chunk", ["chunk_indices", "seq_idx", None])
def test_every_published_name_of_a_bank_in_any_order_of_rows(vectors, article, chunk):
    order = np.random.default_rng(0).permutation(ROWS) if chunk else np.arange(ROWS)
    members = {vectors: DATA.vectors[order], article: DATA.article[order]}
    np.savez("in/x.npz", **members | ({chunk: DATA.chunk[order]} if chunk else {}))
    rows = read()
    for place, name in enumerate(rows.article_id):
        np.testing.assert_array_equal(vectors_of(rows)[rows.piece == place], DATA.vectors[DATA.article == int(name)])


def test_two_columns_of_vectors_are_a_choice():
    shard("in/x.parquet")
    frame = pd.read_parquet("in/x.parquet")
    frame.assign(embedding=frame["vector"]).to_parquet("in/x.parquet")
    assert "the columns vector and embedding hold vectors; name one as data.vector_column" in refusal()
    assert has_all(read(vector_column="vector"))


def test_the_columns_are_part_of_the_key_of_saved_progress(tmp_path, monkeypatch):
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    shard("in/x.parquet")
    monkeypatch.setattr("lvm_core.importers.write.write_import", stop)
    for column in (None, "vector"):
        set_data(tmp_path, "in", None)
        params = yaml.safe_load(Path("params.yaml").read_text())
        params["data"]["vector_column"] = column
        Path("params.yaml").write_text(yaml.safe_dump(params))
        run_import(tmp_path)
    assert len([path for path in Path(".resume").glob("import_vectors-*") if path.is_dir()]) == 2
