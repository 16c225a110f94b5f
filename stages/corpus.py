"""Pipeline stage `corpus`: the bank's tables, chunks and articles with their splits, of text or of imported vectors."""

from __future__ import annotations

from pathlib import Path

from lvm_core.bank import split_sizes
from lvm_core.bank.encoder_files import find_model, pieces_of
from lvm_core.bank.imported import DIRECTORY, read_import_info, split_imported
from lvm_core.config.data import CorpusParams, DataParams, EncoderParams, SplitParams
from lvm_core.config.params import load_common, load_group, read_params
from lvm_core.corpus.build import build_corpus
from lvm_core.runtime.cli import run_stage
from lvm_core.runtime.files import atomic_path, link_or_copy, write_json, write_parquet

BANK = Path("data/bank")
METRICS = Path("metrics/corpus.json")


def main() -> None:
    """Make everything, check everything, then write all three files."""
    params = read_params()
    data = load_group(params, "data", DataParams)
    corpus = load_group(params, "corpus", CorpusParams)
    split = load_group(params, "split", SplitParams)
    seed = load_common(params).seed
    if data.kind == "vectors":
        chunks = None
        articles = split_imported(split.dev, split.val, seed)
        metrics = read_import_info().sources
    else:
        measure = pieces_of(find_model(load_group(params, "encoder", EncoderParams).model))
        chunks, articles, metrics = build_corpus(data, corpus, split, seed, measure)
    # each file is complete beside its target before the first one is renamed into place
    with (
        atomic_path(BANK / "chunks.parquet") as chunks_path,
        atomic_path(BANK / "articles.parquet") as articles_path,
        atomic_path(METRICS) as metrics_path,
    ):
        if chunks is None:
            link_or_copy(DIRECTORY / "chunks.parquet", chunks_path)
        else:
            write_parquet(chunks_path, chunks)
        write_parquet(articles_path, articles)
        write_json(metrics_path, {**metrics, "splits": split_sizes(articles)})


if __name__ == "__main__":
    run_stage(main)
