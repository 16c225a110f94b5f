"""Encoders in folders: what is looked for where, what changes the hash, and how texts are cut for them."""

from __future__ import annotations

import json
import shutil
from contextlib import chdir

import numpy as np
import pytest
import torch
from dvc.repo import Repo

from lvm_core.bank import warnings
from lvm_core.bank.encoder import Encoder, encode_bank
from lvm_core.bank.encoder_files import PACKAGED, encoder_sha256, find_model, pieces_of, require_encoder
from lvm_core.config.data import CorpusParams, EncoderParams
from lvm_core.config.params import shown, validate
from lvm_core.corpus.chunker import ParagraphCounts, chunk_paragraphs, count_cut
from lvm_core.runtime.errors import LvmError
from tests.paths import ROOT
from tests.pipeline import copy_project
from tests.small_encoder import WORDS, write_encoder

pytestmark = pytest.mark.xdist_group("forked")  # with what loads the same libraries

NAME = "all-MiniLM-L6-v2"

SENTENCES = {
    "Chinese": "中国的历史很长，人们在河边建造了许多城市和桥梁。",
    "German": "Die Abgeordnetenversammlung beschloss am Donnerstag die Instandsetzung sämtlicher Eisenbahnbrücken. ",
    "Russian": "Городское собрание постановило восстановить все железнодорожные мосты через реку. ",
    "Hindi": "नगर सभा ने नदी के सभी पुलों की मरम्मत करने का निर्णय लिया। ",
}


@pytest.fixture(scope="module")
def packaged():
    return measured(find_model(NAME))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoders") / "small"
    write_encoder(folder, 16)
    return folder


def load(folder):
    return Encoder(str(folder), batch_size=2, precision="fp32", device=torch.device("cpu"))


def measured(folder):
    found = pieces_of(folder)
    assert found is not None
    return found


def corpus(**changes):
    values = {"min_chars": 120, "max_chars": 800, "max_pieces": "auto", "min_chunks": 9, "short": "join"}
    checked: CorpusParams = validate(
        values | {"max_train_articles": None, "max_ood_articles": None} | changes, CorpusParams, "corpus"
    )
    return checked


@pytest.mark.parametrize("language", SENTENCES)
def test_chunks_of_every_script_are_read_to_their_end(packaged, language):
    text = (SENTENCES[language] * 60)[: 60 * 750].strip()
    counts = ParagraphCounts()
    chunks = chunk_paragraphs([text], corpus(), counts, packaged)
    assert "".join("".join(chunks).split()) == "".join(text.split())
    assert max(packaged.lengths(chunks)) <= packaged.longest == 256
    assert min(map(len, chunks)) >= 120
    assert counts.more_pieces > 0
    assert all(chunk.endswith(SENTENCES[language].strip()[-1]) for chunk in chunks)
    whole = corpus(max_pieces=None)
    assert count_cut(chunk_paragraphs([text], whole, ParagraphCounts(), packaged), whole, packaged) > 0


def test_texts_that_differ_at_their_ends_have_other_vectors(packaged):
    """As given: 60 of 60 chunks of 700 and more characters were cut, and the last 415 characters were in no vector."""
    head, tails = SENTENCES["Chinese"] * 13, ("山上的老人喜欢喝茶。" * 42, "火车明天早上到北京。" * 42)
    texts = [(head + tail)[:720] for tail in tails for _ in range(30)]
    cut, whole = (
        [chunk_paragraphs([text], corpus(max_pieces=most), ParagraphCounts(), packaged) for text in texts]
        for most in ("auto", None)
    )
    assert max(packaged.count([chunk for chunks in cut for chunk in chunks])) <= 254
    encoder = Encoder(NAME, batch_size=2, precision="fp32", device=torch.device("cpu"))
    before = encoder.encode([whole[0][0], whole[-1][0]])
    np.testing.assert_array_equal(before[0], before[1])
    found = encoder.measure([chunks[0] for chunks in whole])
    assert (found.cut, found.longest) == (60, 722)
    after = encoder.encode([cut[0][-1], cut[-1][-1]])
    assert after[0] @ after[1] < 0.95
    # the model's own tokenizer and the file of the folder say the same
    own = encoder.pieces
    assert own is not None
    some = [*texts[:1], *SENTENCES.values(), "Plain words.", ""]
    assert own.lengths(some) == packaged.lengths(some)
    assert (own.longest, own.room) == (packaged.longest, packaged.room) == (256, 254)


def test_what_is_cut_and_what_is_unknown_is_recorded(small, tmp_path):
    encoder, texts = load(small), ["a river", "a river, " * 20, "漢字の本", "the town is new. Ωμέγα"]
    made = encode_bank(texts, encoder, tmp_path / "v.npy", tmp_path / "shards", dtype="float32", features=[])
    assert made is not None
    assert (made.cut_chunks, made.longest_chunk, made.prompt) == (1, 62, "")
    assert made.unknown_chunks == 1
    assert made.unknown_share == pytest.approx((4 + 5) / sum(len(text) - text.count(" ") for text in texts))
    assert [line.split(" ")[0] for line in warnings(made)] == ["1", f"{made.unknown_share:.1%}"]


def test_a_run_of_letters_without_spaces_is_unknown_to_the_packaged_model(packaged):
    """Its tokenizer makes one piece, [UNK], of more than 100 letters, or of a word with one that it has not."""
    texts = ["word " * 30, "x" * 101, "x" * 100, "ᠮᠣᠩᠭᠣᠯ text", "\ue000" * 9]
    assert packaged.lengths_and_unknown(texts)[1] == [0, 101, 0, 6, 9]


@pytest.mark.parametrize("prompts", [{"passage": "the river: "}, {"passage": None}])
def test_the_prompt_takes_room_and_is_recorded(small, tmp_path, prompts):
    folder = shutil.copytree(small, tmp_path / "small")
    settings = folder / "config_sentence_transformers.json"
    own = json.loads(settings.read_text()) | {"prompts": prompts, "default_prompt_name": "passage"}
    settings.write_text(json.dumps(own))
    prompt = prompts["passage"] or ""
    with_prompt, plain, pieces = load(folder), load(small), measured(folder)
    assert (with_prompt.prompt, pieces.prompt) == (prompt, prompt)
    np.testing.assert_array_equal(with_prompt.encode(["a town"]), plain.encode([f"{prompt}a town"]))
    assert pieces.room == with_prompt.pieces.room == measured(small).room - 3 * bool(prompt)
    assert pieces.count(["a new town 漢"]) == [4]
    settings.write_text(json.dumps(own | {"prompts": {"passage": "a " * 25}}))
    with pytest.raises(LvmError, match=r"its prompt 'a .* leaves 5 for the text"):
        measured(folder)


def test_limits_are_those_of_sentence_transformers(small, tmp_path):
    folder = shutil.copytree(small, tmp_path / "small")
    assert measured(folder).longest == load(folder).pieces.longest == 32
    settings = folder / "sentence_bert_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"max_seq_length": 20}))
    assert measured(folder).longest == load(folder).pieces.longest == 20
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    assert (measured(folder).longest, measured(folder).count(["a river 漢字"])) == (20, [4])


def test_a_model_in_a_subfolder_is_read_too(small, tmp_path):
    """As sentence-transformers wrote them at first."""
    folder = shutil.copytree(small, tmp_path / "small")
    (folder / "0_Transformer").mkdir()
    for file in [path for path in folder.iterdir() if path.is_file() and path.name != "modules.json"]:
        if file.name != "config_sentence_transformers.json":
            file.rename(folder / "0_Transformer" / file.name)
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps([modules[0] | {"path": "0_Transformer"}, *modules[1:]]))
    np.testing.assert_array_equal(load(folder).encode(["a river"]), load(small).encode(["a river"]))
    assert measured(folder).room == load(folder).pieces.room == 30


def test_an_encoder_without_a_limit_has_none(tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "river": 1}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=8)], device="cpu").save(
        str(tmp_path / "static")
    )
    pieces, encoder = measured(tmp_path / "static"), load(tmp_path / "static")
    assert (pieces.room, encoder.pieces.room) == (None, None)
    assert encoder.measure(["river " * 5000]).cut == 0
    assert encoder.measure(["no word of it"]).unknown == 1


SHAPING = ("1_Pooling/config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "modules.json")


def test_every_file_that_shapes_vectors_is_in_the_hash_and_others_are_not(small, tmp_path):
    folder = shutil.copytree(small, tmp_path / "small")
    before, seen = encoder_sha256(folder), set()
    for name in (*SHAPING, "vocab.txt", "sentencepiece.bpe.model", "merges.txt"):
        with (folder / name).open("ab") as file:
            file.write(b" ")
        seen.add(encoder_sha256(folder))
    assert len(seen - {before}) == 8
    last = encoder_sha256(folder)
    for name in ("README.md", "LICENSE.txt", ".hidden.json", "onnx/config.json", "picture.png", "pytorch_model.bin"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("x")
    assert encoder_sha256(folder) == last
    shutil.copytree(folder, tmp_path / "blobs")
    for name in SHAPING:  # as the local model cache has them
        (folder / name).unlink()
        (folder / name).symlink_to(tmp_path / "blobs" / name)
    assert encoder_sha256(folder) == last
    shutil.rmtree(folder / "1_Pooling")
    (folder / "1_Pooling").symlink_to(tmp_path / "blobs/1_Pooling")
    with pytest.raises(LvmError, match=r"1_Pooling: is a link to a folder"):
        find_model(str(folder))


def test_dvc_sees_a_changed_encoder_behind_a_link(small, tmp_path):
    """The dependency of the stages corpus and embed, as dvc.yaml has it."""
    project, elsewhere = tmp_path / "project", shutil.copytree(small, tmp_path / "elsewhere")
    copy_project(project, {"encoder": {"model": "mine"}})
    (project / "encoders/mine").symlink_to(elsewhere)

    with Repo(project) as repo:
        deps = [dep for stage in repo.index.stages for dep in stage.deps if "encoders" in dep.def_path]
        assert {dep.stage.name for dep in deps} == {"corpus", "embed"}
    seen = set()
    for name in ("README.md", *SHAPING[:3]):
        with (elsewhere / name).open("ab") as file:
            file.write(b" ")
        with Repo(project) as repo:  # and of dvc.yaml only one stage, which is a third of a second and not two
            embed = repo.stage.load_one(str(project / "dvc.yaml"), "embed")
            (dep,) = [dep for dep in embed.deps if "encoders" in dep.def_path]
            seen.add(dep.get_hash().value)
    assert len(seen) == 4


def test_a_model_elsewhere_is_refused_with_the_link_that_helps(small, tmp_path, monkeypatch):
    def refusal(name):
        with pytest.raises(LvmError) as refused:
            require_encoder(
                validate({"model": name, "batch_size": 1, "dtype": "float32"}, EncoderParams, "encoder").model
            )
        return str(refused.value)

    shutil.copytree(small, tmp_path / "own/small")
    place = tmp_path / "own/small"
    with chdir(tmp_path):
        line = refusal(str(place))
        assert line.startswith(
            f"params.yaml: encoder.model = {shown(str(place))}: must be a folder in encoders/, where"
        )
        assert f"; run `ln -s {place} encoders/small` and set en" in line  # cut off after a long path
        assert f"`ln -s {place} encoders/small`" in refusal("own/small")
        (tmp_path / "beside").mkdir()
        assert f"`ln -s {tmp_path / 'beside'} encoders/beside`" in refusal("beside")
        for name in ("..", ".", "/", "a\0b"):
            assert "must be the name of a folder in encoders/" in refusal(name)
        assert "there is no folder encoders/other; there are []" in refusal("other")
        (tmp_path / "encoders").mkdir()
        (tmp_path / "encoders/mine").symlink_to(place)
        require_encoder("mine")
        require_encoder(NAME)
        assert refusal("encoders/mine").endswith("where DVC sees its changes; set encoder.model: mine")
        assert find_model("mine").resolve() == place
        assert load("mine").encode(["a river"]).shape == (1, 16)
        cached = tmp_path / "hub/models--sentence-transformers--tiny"
        shutil.copytree(small, cached / "snapshots/0123abc")
        (cached / "refs").mkdir()
        (cached / "refs/main").write_text("0123abc")
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
        for name in ("tiny", "sentence-transformers/tiny"):
            assert f"`ln -s {cached}/snapshots/0123abc encoders/tiny` and set encoder.model: tiny" in refusal(name)


def test_the_folder_of_the_packaged_model_says_where_its_files_are_from():
    told = (ROOT / "encoders" / NAME / "README.md").read_text()
    assert PACKAGED[NAME].sha256 in told
    pinned = next(
        line for line in (ROOT / "requirements.txt").read_text().splitlines() if PACKAGED[NAME].package in line
    )
    assert pinned.split()[0].replace("==", " ") in told
