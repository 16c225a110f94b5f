"""Encode every chunk of data/bank/chunks.parquet into data/bank/vectors.npy and bank.json, or take imported vectors."""

from __future__ import annotations

from lvm_core.bank import BankInfo, warnings
from lvm_core.bank.encoder import Encoder, encode_bank
from lvm_core.bank.imported import DIRECTORY, read_import_info
from lvm_core.config.data import EncoderParams
from lvm_core.config.params import load_common, load_group, read_params
from lvm_core.runtime.cli import run_stage
from lvm_core.runtime.distributed import joined, speaks
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import link_or_copy
from lvm_core.runtime.readers import read_parquet
from lvm_core.runtime.resume import shared_folder

BANK = "data/bank"


def main() -> None:
    """Read the texts, encode them in the arithmetic this machine is best at, write the vectors (unless imported)."""
    params = read_params()
    settings, common = load_group(params, "encoder", EncoderParams), load_common(params)
    imported = read_import_info()
    if imported.kind == "vectors":
        if not speaks():
            return
        link_or_copy(DIRECTORY / "vectors.npy", f"{BANK}/vectors.npy")
        info = BankInfo(imported.encoder, "", "", [], imported.dimension, imported.n_chunks, imported.content_sha256)
        info.write(BANK)
        print(f"embed: {imported.n_chunks:,} vectors were imported ({imported.dimension}-d), nothing to encode")
        return

    # Imports torch, which takes seconds: after the parameters are known to be good.
    from lvm_core.runtime.hardware import processor_features, resolve_device, resolve_precision, use_threads

    use_threads(common.threads)
    texts = read_parquet(f"{BANK}/chunks.parquet", ["text"])["text"].tolist()
    if not texts:
        raise LvmError(f"{BANK}/chunks.parquet: holds no chunks; check data.train and corpus.* in params.yaml")
    with joined(common.device) as ranks:
        device = resolve_device(common.device, ranks.local if ranks.size > 1 else None)
        precision = resolve_precision(common.precision, device)
        encoder = Encoder(settings.model, batch_size=settings.batch_size, precision=precision, device=device)
        if ranks.first:
            shape = f"{encoder.dimension}-d, {precision}, {device}"
            print(f"embed: {len(texts):,} chunks, {encoder.name} ({shape})", flush=True)
        features, path = processor_features(), f"{BANK}/vectors.npy"
        with shared_folder(ranks, "embed", encoder.fingerprint(texts, features)) as shards:
            made = encode_bank(texts, encoder, path, shards, dtype=settings.dtype, features=features, ranks=ranks)
            if made:
                made.write(BANK)
                for line in warnings(made):
                    print(f"embed: {line}")


if __name__ == "__main__":
    run_stage(main)
