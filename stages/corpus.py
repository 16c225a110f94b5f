"""Pipeline stage `corpus`: articles of two sources to chunks, with splits by article."""

from __future__ import annotations

from pathlib import Path

from lvm_core.corpus.build import bank_frames, chunk_source, corpus_metrics, require_articles, split_articles
from lvm_core.corpus.params import CorpusParams, DataParams, SplitParams
from lvm_core.corpus.sources import check_distinct, open_source
from lvm_core.errors import LvmError, run_stage
from lvm_core.files import atomic_path, write_json, write_parquet
from lvm_core.params import PARAMS_FILE, Seed, read_params, validate

BANK = Path("data/bank")
METRICS = Path("metrics/corpus.json")


def main() -> None:
    """Read both sources, check everything, then write all three files."""
    raw = read_params()
    data: DataParams = validate(raw["data"], DataParams, "data")
    corpus: CorpusParams = validate(raw["corpus"], CorpusParams, "corpus")
    split: SplitParams = validate(raw["split"], SplitParams, "split")
    seed: int = validate(raw["seed"], Seed, "seed")
    if data.kind == "vectors":
        raise LvmError(f"{PARAMS_FILE}: data.kind = 'vectors': vectors cannot be imported yet; set it to 'text'")

    train_source, ood_source = open_source(data.train, "data.train"), open_source(data.ood, "data.ood")
    check_distinct(train_source, ood_source)
    train, train_keys = chunk_source(train_source, corpus, corpus.max_train_articles)
    require_articles(train, 3, "data.train", data.train, corpus)
    ood, _ = chunk_source(ood_source, corpus, corpus.max_ood_articles, train_keys)
    require_articles(ood, 1, "data.ood", data.ood, corpus)
    splits = split_articles(train, ood, split, seed)

    chunks, articles = bank_frames([train, ood], splits)
    # each file is complete beside its target before the first one is renamed into place
    with (
        atomic_path(BANK / "chunks.parquet") as chunks_path,
        atomic_path(BANK / "articles.parquet") as articles_path,
        atomic_path(METRICS) as metrics_path,
    ):
        write_parquet(chunks_path, chunks)
        write_parquet(articles_path, articles)
        write_json(metrics_path, corpus_metrics(train, ood, splits))


if __name__ == "__main__":
    run_stage(main)
