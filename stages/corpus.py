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
    """Make and check everything, a part at a time, then put all three files in place."""
    params = read_params()
    data = load_group(params, "data", DataParams)
    corpus = load_group(params, "corpus", CorpusParams)
    split = load_group(params, "split", SplitParams)
    seed = load_common(params).seed
    if data.kind == "vectors":
        articles = split_imported(split.dev, split.val, seed)
        metrics, passed_over = read_import_info().sources, list[str]()
    # each file is complete beside its target before the first one is renamed into place
    with (
        atomic_path(BANK / "chunks.parquet") as chunks_path,
        atomic_path(BANK / "articles.parquet") as articles_path,
        atomic_path(METRICS) as metrics_path,
    ):
        if data.kind == "vectors":
            link_or_copy(DIRECTORY / "chunks.parquet", chunks_path)
        else:
            measure = pieces_of(find_model(load_group(params, "encoder", EncoderParams).model))
            articles, metrics, passed_over = build_corpus(data, corpus, split, seed, chunks_path, measure)
        write_parquet(articles_path, articles)
        write_json(metrics_path, {**metrics, "splits": split_sizes(articles)})
    for line in passed_over:
        print(line, flush=True)


if __name__ == "__main__":
    run_stage(main)
