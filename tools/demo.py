"""`make demo`: the page with the model in demo/, over some 1,000 chunks of the default corpora encoded on the spot.

They are whole articles that the model was not trained on, of `val` and `ood`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from lvm_core.bank import load_bank
from lvm_core.bank.encoder import Encoder, encode_bank
from lvm_core.bank.encoder_files import find_model, pieces_of
from lvm_core.config.data import CorpusParams, EncoderParams, SplitParams
from lvm_core.config.params import load_common, load_group, read_params
from lvm_core.corpus.build import chunk_source
from lvm_core.corpus.chunked import ChunkedSource, bank_articles, bank_chunks
from lvm_core.corpus.sotu import read_sotu
from lvm_core.corpus.wikipedia import read_wikipedia
from lvm_core.models.checkpoint import load_model
from lvm_core.runtime.cli import Parser, run_command
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import atomic_directory, write_parquet
from lvm_core.runtime.hardware import processor_features, resolve_precision, use_threads
from lvm_core.runtime.resume import progress_folder
from lvm_core.service.__main__ import main as serve
from lvm_core.windows import assign_splits

MODEL = Path("demo/selected")

BANK = Path("build/demo/bank")

ARTICLES = 8
"""Of each source."""

THREADS = 2


def main(arguments: Sequence[str]) -> None:
    """Encode, unless it is done, and serve."""
    parser = Parser("python -m tools.demo", "[--port N]", (__doc__ or "").split("\n")[0])
    parser.add_argument("--port", default="9007", help="%(default)s; 0: any free one")
    parser.add_argument("--articles", type=int, default=ARTICLES, help="of each source (%(default)s)")
    parser.add_argument("--bank", type=Path, default=BANK, help="folder to encode into (%(default)s)")
    asked = parser.parse_args(arguments)
    make_bank(asked.bank, asked.articles)
    bank = load_bank(asked.bank)
    notice = (
        f"Demo: candidates come from only {bank.info.n_chunks:,} chunks of {len(bank.articles)} articles, which the "
        "model was not trained on. No confidence is stated: it was measured with all chunks of the two sources. "
        "The whole is made by: make repro"
    )
    serve(["--model", f"{MODEL}", "--bank", f"{asked.bank}", "--any-bank", "--port", asked.port, "--notice", notice])


def make_bank(directory: Path = BANK, articles: int = ARTICLES) -> None:
    """Cut so many articles of each source into chunks and encode them, unless the folder holds these very chunks."""
    use_threads(THREADS)
    params, info = read_params(), load_model(MODEL).info
    corpus, split = load_group(params, "corpus", CorpusParams), load_group(params, "split", SplitParams)
    sotu = read_sotu()
    documents = sotu.documents()
    ids = [document.id for document in documents]
    splits = dict(
        zip(ids, assign_splits(ids, dev=split.dev, val=split.val, seed=load_common(params).seed), strict=True)
    )
    of_val = [document for document in documents if splits[document.id] == "val"]
    held_out = replace(sotu, read=lambda reading: iter(of_val))
    chunked = [(source, ChunkedSource(source.name)) for source in (held_out, read_wikipedia())]
    measure = pieces_of(find_model(info.encoder))
    chunks = bank_chunks(
        article
        for source, result in chunked
        for article in chunk_source(source, corpus, result, articles, measure=measure)
    )
    split_of = {key: splits.get(key, "ood") for _, result in chunked for key in result.ids}
    table = bank_articles([result for _, result in chunked], split_of)
    texts = chunks["text"].tolist()
    if _holds(directory, texts, info.encoder_sha256):
        print(f"demo: {directory} is there: {len(texts):,} chunks", flush=True)
        return
    device, settings = torch.device("cpu"), load_group(params, "encoder", EncoderParams)
    precision, features = resolve_precision("auto", device), processor_features()
    encoder = Encoder(info.encoder, batch_size=settings.batch_size, precision=precision, device=device)
    print(f"demo: encoding {len(texts):,} chunks of {len(table)} articles into {directory}", flush=True)
    with (
        progress_folder("demo", encoder.fingerprint(texts, features), directory.parent) as shards,
        atomic_directory(directory) as temporary,
    ):
        made = encode_bank(texts, encoder, temporary / "vectors.npy", shards, dtype="float32", features=features)
        assert made is not None  # of one process
        made.write(temporary)
        write_parquet(temporary / "chunks.parquet", chunks)
        write_parquet(temporary / "articles.parquet", table)


def _holds(directory: Path, texts: list[str], encoder_sha256: str) -> bool:
    try:
        bank = load_bank(directory)
        return list(bank.texts()) == texts and bank.info.encoder_sha256 == encoder_sha256
    except LvmError:
        return False


if __name__ == "__main__":
    run_command(main)
