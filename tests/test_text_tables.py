"""Texts as people have them: compressed, in other encodings, json lines, tables of hubs, folders of `datasets`."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lvm_core.config.data import CorpusParams
from lvm_core.corpus import Document, Reading
from lvm_core.corpus.build import chunk_key, chunk_source, spread_order
from lvm_core.corpus.chunked import ChunkedSource
from lvm_core.corpus.fields import Fields
from lvm_core.corpus.sources import check_distinct, open_source
from lvm_core.runtime.errors import LvmError

CORPUS = CorpusParams.model_validate(
    {
        **{"min_chars": 20, "max_chars": 120, "min_chunks": 6, "short": "join"},
        **{"max_train_articles": None, "max_ood_articles": None},
    }
)


def read(place: Path, fields: Fields | None = None) -> tuple[list[Document], dict[str, int]]:
    """Everything that a folder or file holds, and what was passed over."""
    reading = Reading()
    source = open_source(str(place), "data.train", fields)
    documents = list(source.checked(reading, set()))
    assert reading.done == source.size
    assert set(reading.examples) == set(reading.left_out)
    return documents, dict(reading.left_out)


def refused(place: Path, *words: str, fields: Fields | None = None) -> None:
    with pytest.raises(LvmError) as caught:
        read(place, fields)
    message = str(caught.value)
    assert [word for word in words if word not in message] == [], message
    assert "\n" not in message


def write(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def write_rows(path: Path, **columns: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def paragraphs(name: str, count: int = 8) -> str:
    return "\n\n".join(f"Café {name} stands at the corner of street {number}." for number in range(count))


# --- text files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_what_a_byte_order_mark_says_is_decoded(tmp_path: Path, encoding: str) -> None:
    mark = "\ufeff" if encoding.endswith("e") else ""  # the others write it themselves
    text = "Grüße an\u2028das 村\ufeff.\r\n\r\nZwei."
    lines = "".join(json.dumps({"text": text, "id": number}, ensure_ascii=False) + "\r\n" for number in (1, 2))
    write(tmp_path / "a.txt", (mark + text).encode(encoding))
    write(tmp_path / "b.jsonl", (mark + lines).encode(encoding))
    documents, _ = read(tmp_path)
    assert [document.id.partition("/")[2] for document in documents] == ["a.txt", "b.jsonl:1", "b.jsonl:2"]
    assert {document.raw for document in documents} == {"Grüße an\u2028das 村.\n\nZwei."}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", "Grüße".encode("latin-1"), ("a.txt", "byte 2 is not UTF-8", "save the file as UTF-8")),
        ("a.jsonl", b'{"text": "a"}\n{"text": "Gr\xfc"}', ("a.jsonl:2", "UTF-8", "save the file as UTF-8")),
        ("a.txt", "two words".encode("utf-16-le"), ("a.txt", "NUL", "UTF-16", "save it as UTF-8")),
        ("a.jsonl", '{"text": "a"}\n'.encode("utf-16-le"), ("a.jsonl:1", "NUL", "UTF-16", "save it as UTF-8")),
        ("a.txt", "odd".encode("utf-16")[:-1], ("a.txt", "UTF-16", "save the file as UTF-8")),
        ("a.txt", "日本語".encode("iso2022_jp"), ("a.txt", "ISO-2022", "save it as UTF-8")),
        ("a.txt.gz", gzip.compress(b"x" * 999, mtime=0)[:-9], ("a.txt.gz", "not a whole .gz file", "again")),
        ("a.txt.gz", b"plain text", ("a.txt.gz", "not a whole .gz file")),
        ("a.jsonl.bz2", bz2.compress(b'{"text": "a"}')[:-9], ("a.jsonl.bz2", "not a whole .bz2 file")),
        ("a.txt.xz", lzma.compress(b"x" * 999)[:-9], ("a.txt.xz", "not a whole .xz file")),
        ("a.txt.zst", b"plain text", ("a.txt.zst", "not a whole .zst file")),
        ("a.txt.zst", b"\x28\xb5\x2f\xfd\0\xa8\x09\0\0x", ("a.txt.zst", "too much memory", "zstd -d --long=31")),
        ("a.txt.gz", gzip.compress(b"x" * 10**8, mtime=0), ("a.txt.gz", "more than", "too many")),
        ("a.jsonl.gz", gzip.compress(b" " * 10**8, mtime=0), ("a.jsonl.gz", "a line", "too many")),
        ("a.txt", b"version https://git-lfs.github.com/spec/v1\noid", ("a.txt", "Git LFS", "git lfs pull")),
        ("a.parquet", b"version https://git-lfs.github.com/spec/v1\noid", ("a.parquet", "git lfs pull")),
        ("a.jsonl", b'{"text": "a", "text": "b"}', ("a.jsonl:1", "a field is there twice")),
        ("a.jsonl", b'{"texts": "a"}', ("a.jsonl:1", '"text"', "texts", "data.text_column")),
        ("a.jsonl", b'{"text": "a", "id": [1]}', ("a.jsonl:1", '"id"', "list")),
        ("a.jsonl", b'{"text": "a", "title": true}', ("a.jsonl:1", '"title"', "bool")),
        ("a.jsonl", b'{"text": null}', ("holds no article", "1 rows without a text")),
        ("dataset_dict.json", b'{"splits": ["%s"]}' % (b"a" * 999), ("holds no saved dataset", "again")),
        ("a.pdf", b"%PDF", ("holds no article", ".pdf 1", ".jsonl")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_read_is_refused_in_one_line(tmp_path, name, content, words) -> None:
    write(tmp_path / name, content)
    refused(tmp_path, *words)


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)])
def test_compressed_files_are_read_to_the_end_of_their_last_stream(tmp_path: Path, suffix: str, pack: Callable) -> None:
    lines = [json.dumps({"text": f"text {number}", "id": number}).encode() + b"\n" for number in range(3)]
    write(tmp_path / f"a.JSONL{suffix.upper()}", b"".join(map(pack, lines)))
    write(tmp_path / f"c4-train.json{suffix}", pack(lines[0]))
    write(tmp_path / f"t.txt{suffix}", pack(b"one ") + pack(b"two"))
    documents, left_out = read(tmp_path)
    assert [document.raw for document in documents] == ["text 0", "text 1", "text 2", "text 0", "one two"]
    assert documents[-1].title == "t"
    assert left_out == {}


def test_zst_of_several_frames(tmp_path: Path) -> None:
    for name, pieces in {
        "a.jsonl.zst": [b'{"text": "a"}\n', b'{"text": "b"}\n'],
        "t.txt.zst": [b"one ", b"two"],
    }.items():
        packed = []
        for number, piece in enumerate(pieces):
            with pa.CompressedOutputStream(str(tmp_path / f"{number}.part"), "zstd") as file:
                file.write(piece)
            packed.append((tmp_path / f"{number}.part").read_bytes())
            (tmp_path / f"{number}.part").unlink()
        write(tmp_path / name, b"".join(packed))
    assert [document.raw for document in read(tmp_path)[0]] == ["a", "b", "one two"]
    content = (tmp_path / "a.jsonl.zst").read_bytes()
    write(tmp_path / "a.jsonl.zst", content[:-5])
    refused(tmp_path, "a.jsonl.zst", "not a whole .zst file", "again")


def test_endings_in_any_case_and_what_is_passed_over_is_counted(tmp_path: Path) -> None:
    for name in ("a.TXT", "b.Md", "c.markdown", "d.text", "e.NDJSON"):
        write(tmp_path / name, '{"text": "x"}')
    for name in ("x.pdf", "y.PDF", "z.docx", "README", ".DS_Store", ".git/config", "._a.txt", "t.parquet.gz", "m.json"):
        write(tmp_path / name, "x")
    documents, left_out = read(tmp_path)
    assert [document.title for document in documents] == ["a", "b", "c", "d", "e 1"]
    assert left_out == {"files of other kinds": 6, "hidden files and folders": 3}


def test_numbers_in_names_are_in_their_order(tmp_path: Path) -> None:
    names = ["part-1.txt", "part-2.txt", "part-010/a.txt", "part-10.txt"]
    for name in names:
        write(tmp_path / name, "x")
    assert [document.id.partition("/")[2] for document in read(tmp_path)[0]] == names


def test_a_name_that_is_one_on_a_mac_is_refused(tmp_path: Path) -> None:
    for name in ("caf\u00e9.txt", "cafe\u0301.txt"):
        write(tmp_path / name, "x")
    refused(tmp_path, "caf", "twice", "remove one")


def test_linked_folders_are_refused_and_linked_files_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "far/a.txt", "far")
    write(tmp_path / "corpora/mine/b.txt", "near")
    (tmp_path / "corpora/mine/c.txt").symlink_to(tmp_path / "far/a.txt")
    assert [document.raw for document in read(Path("corpora/mine"))[0]] == ["near", "far"]
    (tmp_path / "corpora/linked").symlink_to(tmp_path / "far", target_is_directory=True)
    for place in ("corpora/linked", "corpora/linked/a.txt", f"{tmp_path}/corpora/mine/../linked"):
        refused(Path(place), "corpora/linked: is a link to a folder", "DVC does not see", "data.train")
    refused(Path("corpora"), "corpora/linked: is a link to a folder, and DVC does not see", "copy the folder there")
    assert len(read(Path("far"))[0]) == 1


# --- json lines ---------------------------------------------------------------------------------------------------


def test_ids_and_titles_of_json_lines_are_texts_or_numbers(tmp_path: Path) -> None:
    lines = [
        b'\xef\xbb\xbf{"text": "a", "id": 1, "title": 1984}\r',
        b'{"content": "b", "id": 2.0, "title": 1.5, "meta": {"text": "no"}}\r\n',
        b'\xef\xbb\xbf{"body": "c\\ufeff", "id": "k", "title": null}\n',
        b'{"text": "d", "content": "not this"}\n\n{"text": null, "id": 9}\n',
    ]
    write(tmp_path / "x.jsonl", b"".join(lines))
    documents, left_out = read(tmp_path / "x.jsonl")
    assert [(document.id, document.title, document.raw) for document in documents] == [
        ("x.jsonl:1", "1984", "a"),
        ("x.jsonl:2", "1.5", "b"),
        ("x.jsonl:k", "x k", "c"),
        ("x.jsonl:4", "x 4", "d"),
    ]
    assert left_out == {"rows without a text (null)": 1}


def test_nan_of_pandas_is_null_and_names_may_have_capitals(tmp_path: Path) -> None:
    write(tmp_path / "x.jsonl", '{"Text": "a", "ID": 5, "title": NaN}\n{"text": NaN}\n{" TEXT ": "b", "id": NaN}\n')
    documents, left_out = read(tmp_path / "x.jsonl")
    assert [(document.id, document.title, document.raw) for document in documents] == [
        ("x.jsonl:5", "x 5", "a"),
        ("x.jsonl:3", "x 3", "b"),
    ]
    assert left_out == {"rows without a text (null)": 1}
    for line, words in (
        ('{"text": 1.5}', ('"text" is float', "data.text_column")),
        ('{"text": "a", "id": true}', ('"id" is bool', "data.id_column")),
        ('{"text": "a", "title": [1]}', ('"title" is list', "data.title_column")),
        (f'{{"text": "a", "title": 1{"0" * 4000}}}', ("bits", "data.title_column")),
    ):
        refused(write(tmp_path / "y.jsonl", line), "y.jsonl:1", *words)


def test_named_fields(tmp_path: Path) -> None:
    path = write(
        tmp_path / "x.jsonl", '{"text": "no", "story": "yes", "nr": 7, "head": "H"}\n{"story": "z", "nr": 8}\n'
    )
    refused(path, "x.jsonl:2", '"head"', "data.title_column", "story, nr", fields=Fields("story", "nr", "head"))
    documents, _ = read(path, Fields("story", "nr"))
    assert [(document.id, document.raw) for document in documents] == [("x.jsonl:7", "yes"), ("x.jsonl:8", "z")]


# --- tables -------------------------------------------------------------------------------------------------------


def test_shards_of_a_hub(tmp_path: Path) -> None:
    folder = tmp_path / "wiki"
    write(folder / "README.md", "---\nlicense: cc\n---\n# Dataset card")
    write(folder / ".gitattributes", "*.parquet filter=lfs")
    texts = {
        "train-00000-of-00002": pa.array(["one\r\n\r\nmore", None]),
        "train-00001-of-00002": pa.array(["two"], pa.large_string()),
        "test-00000-of-00001": pa.array(["three", "three", None]).dictionary_encode(),
        "validation-00000-of-00001": pa.array(["four\ufeff"], pa.string_view()),
        "empty-00000-of-00001": pa.array([None, None], pa.null()),
    }
    for name, text in texts.items():
        ids, titles = pa.array(range(len(text))), pa.array([f"T{row}" for row in range(len(text))])
        write_rows(folder / f"data/{name}.parquet", id=ids, url=titles, title=titles, text=text)
    documents, left_out = read(folder)
    assert [(document.id.rpartition("/")[2], document.title, document.raw) for document in documents] == [
        ("test-00000-of-00001.parquet:0", "T0", "three"),
        ("test-00000-of-00001.parquet:1", "T1", "three"),
        ("train-00000-of-00002.parquet:0", "T0", "one\n\nmore"),
        ("train-00001-of-00002.parquet:0", "T0", "two"),
        ("validation-00000-of-00001.parquet:0", "T0", "four"),
    ]
    assert left_out == {"rows without a text (null)": 4, "hidden files and folders": 1, "dataset cards": 1}
    named, _ = read(folder, Fields(id="url", title="id"))
    assert (named[0].id, named[0].title) == ("wiki/data/test-00000-of-00001.parquet:T0", "0")


def test_rows_without_ids_have_numbers_and_whole_floats_are_ids(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.parquet", text=["x", "y"], url=["http://a.org", None])
    found = [(document.id, document.title) for document in read(tmp_path / "a.parquet")[0]]
    assert found == [("a.parquet:1", "http://a.org"), ("a.parquet:2", "a 2")]
    write_rows(tmp_path / "a.parquet", text=["x", "y", "z"], id=[7.0, None, 9.0])
    assert [document.id for document in read(tmp_path / "a.parquet")[0]] == [
        "a.parquet:7",
        "a.parquet:2",
        "a.parquet:9",
    ]


@pytest.mark.parametrize(
    ("ids", "read_as"),
    [
        (pa.array([b"a", b"b"]), ["a", "b"]),
        (pa.array([UUID(int=1).bytes, UUID(int=2).bytes], pa.binary(16)), [str(UUID(int=1)), str(UUID(int=2))]),
        (pa.array([12, 13], pa.int64()).cast(pa.decimal128(20, 0)), ["12", "13"]),
        (pa.array([float("nan"), 4.0]), ["1", "4"]),
        (pa.array(["", "x"]), ["1", "x"]),
        (pa.array([0, 366], pa.date32()), ["1970-01-01", "1971-01-02"]),
        (pa.array(["u", "v"]).dictionary_encode(), ["u", "v"]),
    ],
)
def test_ids_of_other_types(tmp_path: Path, ids: pa.Array, read_as: list[str]) -> None:
    write_rows(tmp_path / "a.parquet", text=["x", "y"], id=ids)
    documents, _ = read(tmp_path / "a.parquet")
    assert [document.id for document in documents] == [f"a.parquet:{key}" for key in read_as]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"text": [b"a"]}, ("a.parquet: text", "binary", "need text", "name another as data.text_column")),
        ({"text": [["a", "b"]]}, ("a.parquet: text", "list", "need text")),
        ({"texts": ["a"]}, ("a.parquet", '"text"', "there are: texts", "data.text_column")),
        ({"text": ["a", "b"], "id": ["k", "k"]}, ("a.parquet:k", "twice", "own id")),
        ({"text": ["a"], "id": [b"\xe9"]}, ("a.parquet: row 1: id", "not UTF-8", "name another as data.id_column")),
        ({"text": ["a"], "title": [["b"]]}, ("a.parquet: row 1: title", "list", "name another as data.title_column")),
    ],
)
def test_tables_that_are_refused(tmp_path, columns, words) -> None:
    write_rows(tmp_path / "a.parquet", **columns)
    refused(tmp_path, *words)


@pytest.mark.parametrize("encoding", ["PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"])
def test_encodings_of_other_writers(tmp_path: Path, encoding: str) -> None:
    table, path = pa.table({"text": [f"text {row}" for row in range(200)]}), tmp_path / "a.parquet"
    pq.write_table(table, path, use_dictionary=False, column_encoding={"text": encoding}, row_group_size=70)
    assert [document.raw for document in read(path)[0]] == table["text"].to_pylist()


def test_shards_that_differ_are_refused_before_any_is_read(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.parquet", text=["x"], id=[1])
    write_rows(tmp_path / "b.parquet", text=["y"])
    refused(tmp_path, "b.parquet: has no column id", "a.parquet reads id", "make them alike")
    write_rows(tmp_path / "b.parquet", content=["y"], id=[1])
    refused(tmp_path, "b.parquet: has a column content", "a.parquet reads text")


def test_a_damaged_table_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(
        pa.table({"text": [f"text {n}" for n in range(999)]}), path, write_page_checksum=True, compression="none"
    )
    content = path.read_bytes()
    for damaged in (content[:-9], content[:300] + b"\xff" + content[301:], b"<html>", b""):
        path.write_bytes(damaged)
        refused(path, "a.parquet")


def test_a_long_text_repeated_is_in_memory_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lvm_core.corpus.build.SLACK", 0)
    write_rows(tmp_path / "a.parquet", text=pa.DictionaryArray.from_arrays([0] * 4000, ["word " * 2000]))
    assert (tmp_path / "a.parquet").stat().st_size < 10**5
    source = open_source(str(tmp_path / "a.parquet"), "data.train")
    assert len({id(document.raw) for document in source.read(Reading())}) == 1
    with pytest.raises(LvmError, match=r"a.parquet: its [\d,]+ bytes hold more than [\d,]+ of text"):
        list(chunk_source(source, CORPUS, ChunkedSource("a")))


# --- datasets -----------------------------------------------------------------------------------------------------


def save_to_disk(folder: Path, shards: list[list[str | None]]) -> None:
    """The files that `datasets` 5.2 leaves, by their bytes compared with its own."""
    folder.mkdir(parents=True)
    names = [f"data-{number:05d}-of-{len(shards):05d}.arrow" for number in range(len(shards))]
    for name, texts in zip(names, shards, strict=True):
        table = pa.table({"id": range(len(texts)), "text": pa.array(texts, pa.string())})
        with pa.ipc.new_stream(folder / name, table.schema) as file:
            file.write_table(table, max_chunksize=2)
    write(folder / "state.json", json.dumps({"_data_files": [{"filename": name} for name in names]}))
    write(folder / "dataset_info.json", json.dumps({"features": {"text": {"dtype": "string", "_type": "Value"}}}))


def test_a_saved_dataset_is_read_by_its_own_list(tmp_path: Path) -> None:
    save_to_disk(tmp_path / "d", [["a", "b", "c"], ["d", None]])
    write(tmp_path / "d/cache-0123456789abcdef.arrow", "left by map")
    documents, left_out = read(tmp_path / "d")
    assert [(document.id, document.raw) for document in documents] == [
        *((f"d/data-00000-of-00002.arrow:{row}", text) for row, text in enumerate("abc")),
        ("d/data-00001-of-00002.arrow:0", "d"),
    ]
    assert left_out == {"rows without a text (null)": 1, "files of other kinds": 1}
    path = tmp_path / "d/data-00000-of-00002.arrow"
    content = path.read_bytes()
    path.write_bytes(content[:-8])  # cut at the end of a batch, which pyarrow takes for the end
    assert pa.ipc.open_stream(path.read_bytes()).read_all().num_rows == 3
    refused(tmp_path / "d", path.name, "was cut short", "again")
    path.unlink()
    refused(tmp_path / "d", path.name, "is named in state.json and not there")
    for state in ('{"_data_files": [{"filename": "../a.arrow"}]}', '{"_data_files": 1}', "{}", "[1"):
        write(tmp_path / "d/state.json", state)
        refused(tmp_path / "d", "d/state.json: does not name the files", "save it again")


def test_all_splits_of_a_saved_dataset_are_read(tmp_path: Path) -> None:
    for split in ("train", "test"):
        save_to_disk(tmp_path / split, [[split]])
    write(tmp_path / "dataset_dict.json", json.dumps({"splits": ["train", "test"]}))
    documents, left_out = read(tmp_path)
    assert ([document.raw for document in documents], left_out) == (["test", "train"], {})
    (tmp_path / "test/state.json").unlink()
    refused(tmp_path, "test", "is named in dataset_dict.json")


def test_the_form_for_files_is_arrow_too(tmp_path: Path) -> None:
    table = pa.table({"text": ["a", "b"]})
    with pa.ipc.new_file(tmp_path / "a.arrow", table.schema) as file:
        file.write_table(table, max_chunksize=1)
    assert [document.raw for document in read(tmp_path / "a.arrow")[0]] == ["a", "b"]
    write(tmp_path / "a.arrow", (tmp_path / "a.arrow").read_bytes()[:-20])
    refused(tmp_path, "a.arrow", "cannot be read")


# --- leaks, and what is taken -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spelled",
    [
        lambda text: unicodedata.normalize("NFD", text),
        lambda text: text.replace("corner", "cor\u00adner"),
        lambda text: text.replace("street", "str\u200beet").replace("stands", "\u2060sta\u200dnds"),
        lambda text: text.title().replace(".", "\ufe0f!"),
        lambda text: unicodedata.normalize("NFD", text.title()),
    ],
)
def test_the_same_article_is_noticed_however_it_is_spelled(tmp_path: Path, spelled: Callable[[str], str]) -> None:
    write(tmp_path / "train/a.txt", unicodedata.normalize("NFC", paragraphs("one")))
    write(tmp_path / "ood/b.txt", spelled(paragraphs("one")) + "\n\n" + paragraphs("two"))
    train, ood = (open_source(str(tmp_path / name), "data.train") for name in ("train", "ood"))
    of_train, of_ood = ChunkedSource("train"), ChunkedSource("ood")
    assert len(list(chunk_source(train, CORPUS, of_train))) == 1
    assert [len(article.chunks) for article in chunk_source(ood, CORPUS, of_ood, None, of_train)] == [8]
    assert of_ood.chunks.in_train == 8


def test_the_same_ids_in_two_spellings_are_noticed(tmp_path: Path) -> None:
    sources = []
    names = {"a": "caf\u00e9.txt", "b": "cafe\u0301.txt"}
    for place, name in names.items():
        write(tmp_path / place / "texts" / name, paragraphs(place))
        sources.append(open_source(str(tmp_path / place / "texts"), "data.train"))
    check_distinct(*sources)
    train = ChunkedSource("texts")
    assert list(chunk_source(sources[0], CORPUS, train))
    with pytest.raises(LvmError, match=r"data\.train and data\.ood share article ids, as 'texts/caf.*rename"):
        list(chunk_source(sources[1], CORPUS, ChunkedSource("texts"), None, train))


def test_joiners_that_matter_in_a_text_stay_in_it_and_do_not_count() -> None:
    assert chunk_key("क्\u200dष") == chunk_key("क्ष") != chunk_key("कष")
    assert chunk_key("a b") != chunk_key("ab")


@pytest.mark.parametrize("count", [0, 1, 2, 7, 8, 1000])
def test_every_document_has_its_turn_and_any_first_part_lies_evenly(count: int) -> None:
    bits = max(count - 1, 0).bit_length()
    assert list(spread_order(count)) == sorted(range(count), key=lambda number: f"{number:0{bits}b}"[::-1])


def test_a_limit_takes_from_many_short_texts_what_is_long_enough(tmp_path: Path) -> None:
    texts = [paragraphs(f"number {row}") if row % 9 == 4 else "Short." for row in range(400)]
    write_rows(tmp_path / "a.parquet", text=texts)
    result = ChunkedSource("a.parquet")
    articles = list(chunk_source(open_source(str(tmp_path / "a.parquet"), "data.train"), CORPUS, result, 5))
    rows = [int(article.id.rpartition(":")[2]) for article in articles]
    assert (len(rows), rows) == (5, sorted(rows))
    assert rows[-1] - rows[0] > 200
    counts = result.metrics()["articles"]
    assert counts["read"] + counts["beyond_limit"] == 400
    assert counts["too_short"] > 2 * 5  # more than one pass
