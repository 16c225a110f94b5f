"""What each reader reads: a folder with good files, and the call that reads it."""

from __future__ import annotations

import bz2
import gzip
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml

from lvm_core.bank import load_bank, require_content
from lvm_core.bank.encoder import Encoder
from lvm_core.bank.encoder_files import pieces_of
from lvm_core.config.data import CorpusParams
from lvm_core.config.params import read_params
from lvm_core.config.recipe import read_recipe, write_recipe
from lvm_core.config.resolve import resolve_recipes
from lvm_core.corpus import Source
from lvm_core.corpus.build import chunk_source
from lvm_core.corpus.chunked import ChunkedSource
from lvm_core.corpus.folder import read_folder
from lvm_core.corpus.wikipedia import read_dump
from lvm_core.curriculum.phases import read_rules
from lvm_core.models import build_model, count_parameters
from lvm_core.models.checkpoint import ModelInfo, load_model, load_notes, save_model
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.readers import read_csv, read_json, read_npy, read_parquet
from lvm_core.service.confidence import load_calibration
from lvm_core.train import Decision, read_decision, write_decision
from tests.forms import run_import, set_data, write_samples
from tests.paths import ROOT
from tests.small_encoder import write_encoder
from tests.synthetic import make_bank, write_bank
from tests.training import small_recipe

TEXTS = ("One sentence about bridges. ", "Another one, of rivers and of towns. ", "A third: nothing is new. ")


@dataclass(frozen=True)
class Reader:
    """One reader.

    Attributes:
        write: puts good files into an empty folder.
        read: reads them; raises nothing but `LvmError` whatever lies there.
        files: names of those that are made hostile.
        share: of all cases.
    """

    write: Callable[[Path], None]
    read: Callable[[Path], object]
    files: tuple[str, ...]
    share: float


def _bank(folder: Path) -> None:
    write_bank(make_bank({"train": [12, 9], "dev": [8], "val": [9], "ood": [8]}, dimension=8), folder)


def _read_bank(folder: Path) -> None:
    require_content(load_bank(folder))


def _model(folder: Path) -> None:
    recipe = small_recipe({"d_model": 8, "layers": 1, "heads": 2, "ffn": 8, "pos_scalar": 0.1})
    model = build_model(recipe.model, 8)
    info = ModelInfo(
        recipe=recipe.model_dump(),
        phase="c",
        epoch=1,
        dimension=8,
        encoder="",
        encoder_sha256="",
        data_sha256="",
        precision="fp32",
        processor_features=["avx2"],
        n_parameters=count_parameters(model),
        architecture=recipe.model.model_dump(),
        history=[{"epoch": 1, "lr": 0.1}],
    )
    save_model(folder, model.state_dict(), info)


def _read_model(folder: Path) -> None:
    load_notes(folder / "model.safetensors")
    loaded = load_model(folder)
    loaded.predict(np.full((5, loaded.info.dimension), 0.1, dtype=np.float32))
    asdict(loaded.info)


def _tables(folder: Path) -> None:
    bank = make_bank({"train": [12, 9], "dev": [8]}, dimension=8)
    bank.articles.to_parquet(folder / "x.parquet")
    bank.articles.to_csv(folder / "x.csv", index=False)
    np.save(folder / "x.npy", bank.vectors)
    (folder / "x.json").write_text(json.dumps({"val": {"cosine": 0.5, "counts": [1, 2]}, "name": "p1", "none": None}))


def _read_tables(folder: Path) -> None:
    """Every one of them, whatever the others held."""
    _read_each(
        lambda: read_json(folder / "x.json"),
        lambda: read_npy(folder / "x.npy"),
        lambda: read_npy(folder / "x.npy", mmap=True)[:1],
        lambda: read_parquet(folder / "x.parquet"),
        lambda: read_parquet(folder / "x.parquet", ["split"]),
        lambda: read_csv(folder / "x.csv", "article_id"),
    )


def _small_files(folder: Path) -> None:
    write_recipe(folder, small_recipe())
    write_decision(folder / "gate.json", Decision(goes_on=False, why="margin"))
    rules = {"p1": {"rule": "all", "score": None}, "p5": {"rule": "top", "score": "distinctness"}}
    (folder / "curricula.yaml").write_text(yaml.safe_dump(rules))
    curve = {"fill": "given", "given": 5, "step": 1, "windows": 90, "scores": [0.1, 0.2], "rates": [0.0, 0.5]}
    calibration = {"format_version": 1, "model": "p1", "model_sha256": "", "bank_sha256": "", "curves": [curve]}
    (folder / "calibration.json").write_text(json.dumps(calibration))


def _read_small_files(folder: Path) -> None:
    _read_each(
        lambda: read_recipe(folder / "small.yaml"),
        lambda: read_decision(folder / "gate.json"),
        lambda: read_rules(folder / "curricula.yaml"),
        lambda: load_calibration(folder / "calibration.json"),
    )


def _encoder(folder: Path) -> None:
    write_encoder(folder / "encoder", 16)


def _read_encoder(folder: Path) -> None:
    if (pieces := pieces_of(folder / "encoder")) is not None:
        pieces.count(["a river", "漢字"])
    encoder = Encoder(str(folder / "encoder"), batch_size=2, precision="fp32", device=torch.device("cpu"))
    encoder.encode(["a river", "another town."])


def _params(folder: Path) -> None:
    (folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())


def _read_params(folder: Path) -> None:
    before = Path.cwd()
    os.chdir(folder)
    try:
        params = read_params("params.yaml")
        resolve_recipes(params)
    finally:
        os.chdir(before)


def _corpus(folder: Path) -> None:
    texts = folder / "texts"
    texts.mkdir()
    paragraphs = "\n\n".join(f"Paragraph {number}. " + TEXTS[number % 3] * 3 for number in range(12))
    (texts / "a.txt").write_text(paragraphs)
    head = "---\ntitle: x\n---\n# A heading #\n\n<!-- a note -->\n\n[link](to) ![image](from)\n\n```\ncode\n```\n\n"
    (texts / "b.md").write_text(head + paragraphs)
    lines = [json.dumps({"id": str(number), "title": "t", "text": paragraphs}) for number in range(3)]
    (texts / "c.jsonl").write_text("\n".join(lines))


def _chunk(source: Source) -> None:
    values = yaml.safe_load((ROOT / "params.yaml").read_text())["corpus"] | {"max_pieces": None}
    for _ in chunk_source(source, CorpusParams.model_validate(values), ChunkedSource("texts")):
        pass


def _read_corpus(folder: Path) -> None:
    _chunk(read_folder(folder / "texts"))


COLLECTIONS = {
    "hub": ("data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"),
    "lines": ("a.jsonl.gz", "b.jsonl.zst", "utf16.txt"),
    "saved": ("data-00000-of-00001.arrow", "state.json"),  # the content of dataset_info.json is not read
}
"""Folders of texts as they are published, and their files."""


def _collections(folder: Path) -> None:
    paragraphs = "\n\n".join(f"Paragraph {number}. " + TEXTS[number % 3] * 3 for number in range(12))
    rows = [{"id": str(number), "title": "t", "text": f"{number} {paragraphs}"} for number in range(3)]
    lines = "\n".join(json.dumps(row) for row in rows).encode()
    hub, texts, saved = (folder / name for name in COLLECTIONS)
    for part in (hub / "data", texts, saved):
        part.mkdir(parents=True)
    for name in COLLECTIONS["hub"]:
        pq.write_table(pa.Table.from_pylist([row | {"id": f"{row['id']} {name}"} for row in rows]), hub / name)
    (texts / "a.jsonl.gz").write_bytes(gzip.compress(lines, mtime=0))
    (texts / "b.jsonl.zst").write_bytes(pack_zst(lines))
    (texts / "utf16.txt").write_text(paragraphs, encoding="utf-16")
    table = pa.Table.from_pylist(rows)
    with pa.ipc.new_stream(saved / COLLECTIONS["saved"][0], table.schema) as stream:
        stream.write_table(table)
    (saved / "state.json").write_text(json.dumps({"_data_files": [{"filename": COLLECTIONS["saved"][0]}]}))
    (saved / "dataset_info.json").write_text(json.dumps({"features": {"text": {"dtype": "string"}}}))


def _read_collections(folder: Path) -> None:
    _read_each(*(partial(_read_folder, folder / name) for name in COLLECTIONS))


def _read_folder(folder: Path) -> None:
    _chunk(read_folder(folder))


def pack_zst(content: bytes) -> bytes:
    """One frame of zstd."""
    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, "zstd") as stream:
        stream.write(content)
    return bytes(out.getvalue().to_pybytes())


DUMPS = ("a.xml.bz2", "b.xml.gz", "c.xml")


def _dumps(folder: Path) -> None:
    text = "\n\n".join(f"Paragraph {number}. [[A|a]] {{{{b|c}}}} " + TEXTS[number % 3] * 3 for number in range(12))
    text += "\n\n== Notes ==\n* &lt;ref name=a>b&lt;/ref>\n{|\n| c\n|}\n[https://a.b c] &lt;!-- e -->"
    version = f"<revision><model>wikitext</model><text>{text}</text></revision>"
    pages = "".join(f"<page><title>A{n}</title><ns>{n // 4}</ns><id>{n}</id>{version}</page>\n" for n in range(6))
    spaces = '<siteinfo><namespaces><namespace key="6">Datei</namespace></namespaces></siteinfo>'
    content = f'<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/">{spaces}\n{pages}</mediawiki>'.encode()
    packs: tuple[Callable[[bytes], bytes], ...] = (bz2.compress, partial(gzip.compress, mtime=0), bytes)
    for name, pack in zip(DUMPS, packs, strict=True):
        (folder / name).write_bytes(pack(content))


def _read_dumps(folder: Path) -> None:
    _read_each(*(partial(_read_one_dump, folder / name) for name in DUMPS))


def _read_one_dump(path: Path) -> None:
    _chunk(read_dump(path))


def _read_each(*reads: Callable[[], object]) -> None:
    """Call all of them, whatever the others raise; then raise the first problem."""
    problems = []
    for read in reads:
        try:
            read()
        except LvmError as error:
            problems.append(error)
    if problems:
        raise problems[0]


def _import(form: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        write_samples(folder, lengths=(20,) * 4, ood=(12,) * 2)
        for path in folder.iterdir():
            if path.name != "params.yaml" and path.stem != Path(form).stem:
                path.unlink()
        set_data(folder, form, None)

    return write


def _read_import(folder: Path) -> None:
    done = run_import(folder)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if not line.startswith("import: ")]  # progress
        if (done.returncode, len(lines), lines[0][:7]) != (1, 1, "error: "):
            raise RuntimeError(f"exit code {done.returncode}: {done.stderr}")
        raise LvmError(lines[0])


def _reader(form: str, *more: str, share: float = 0.07) -> Reader:
    return Reader(_import(form), _read_import, (form, *more), share)


ENCODER = (
    *("encoder/config.json", "encoder/modules.json", "encoder/tokenizer.json", "encoder/tokenizer_config.json"),
    *("encoder/sentence_bert_config.json", "encoder/1_Pooling/config.json", "encoder/model.safetensors"),
)
PUBLISHED = tuple(f"{name}/{file}" for name, files in COLLECTIONS.items() for file in files)
READERS: dict[str, Reader] = {
    "tables": Reader(_tables, _read_tables, ("x.parquet", "x.csv", "x.npy", "x.json"), 0.14),
    "bank": Reader(_bank, _read_bank, ("bank.json", "articles.parquet", "chunks.parquet", "vectors.npy"), 0.12),
    "model": Reader(_model, _read_model, ("model.json", "model.safetensors"), 0.14),
    "encoder": Reader(_encoder, _read_encoder, ENCODER, 0.04),
    "small": Reader(
        _small_files, _read_small_files, ("small.yaml", "gate.json", "curricula.yaml", "calibration.json"), 0.08
    ),
    "params": Reader(_params, _read_params, ("params.yaml",), 0.06),
    "corpus": Reader(_corpus, _read_corpus, ("texts/a.txt", "texts/b.md", "texts/c.jsonl"), 0.08),
    "collections": Reader(_collections, _read_collections, PUBLISHED, 0.07),
    "dumps": Reader(_dumps, _read_dumps, DUMPS, 0.05),
    "npz_sequences": _reader("sequences_train.npz"),
    "npz_bank": _reader("bank_train.npz"),
    "npy_and_csv": _reader("array_train.npy", "array_train.csv", share=0.04),
    "table": _reader("table_train.parquet", share=0.02),
    "documents": _reader("documents_train.parquet", share=0.02),
}
"""All readers of files that come from elsewhere."""


def value_at_random(rng: Any) -> Any:
    """A value that nobody expects, for a leaf of json or YAML."""
    return rng.choice(
        [
            *(None, True, [], {}, "", " ", "x" * 5000, "\x00", "\u2028", "../../../../etc/passwd", "/dev/zero", "NaN"),
            *(-1, 0, 1, 2**31, 2**31 - 1, 2**63, 2**64, -(2**63), 10**400, 0.1, -0.0, 5e-324, 1e308),
            *(float("nan"), float("inf"), [[[[]]]], {"a": {"b": 1}}, [1] * 1000, "1e-3", "yes", "!!python/object"),
        ]
    )
