from __future__ import annotations

import json
import re
import shutil
from contextlib import chdir
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import lvm_core
from lvm_core.bank import Bank
from lvm_core.config.groups import EvaluateParams
from lvm_core.fivecat.evaluate import evaluate_splits, judgement_of
from lvm_core.fivecat.measures import from_callable
from lvm_core.fivecat.readme import model_readme
from lvm_core.fivecat.references import copy_last
from lvm_core.models.checkpoint import copy_model, load_model
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import phase_directory
from lvm_core.train.phases import begin_phase, end_phase
from lvm_core.train.trainer import Trainer
from tests.training import same, small_bank, small_recipe, train


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A trained model of a recipe with a positional scalar, in data/models/small under a folder."""
    folder = tmp_path_factory.mktemp("trained")
    bank, recipe = small_bank(), small_recipe(model={"pos_scalar": 0.7})
    state = train(bank, recipe, "abc")
    with chdir(folder):
        end_phase(Trainer(recipe, bank), state, "c", phase_directory("small", "c"))
    return folder, bank, recipe, state


@pytest.fixture
def model_directory(trained, tmp_path, monkeypatch):
    """A copy of it, in this folder."""
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(trained[0] / phase_directory("small", "c"), tmp_path / phase_directory("small", "c"))


def contexts(count=6, dimension=16):
    array = np.random.default_rng(0).standard_normal((count, 5, dimension)).astype(np.float32)
    return array / np.linalg.norm(array, axis=2, keepdims=True)


def test_three_lines_of_python(model_directory):
    model = lvm_core.load_model(model_directory)
    prediction = model.predict(contexts())
    assert prediction.shape == (6, 16)
    np.testing.assert_allclose(np.linalg.norm(prediction, axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(model.predict(contexts()[2]), prediction[2], atol=1e-6)


def test_a_model_is_rebuilt_from_its_own_directory(trained, model_directory):
    _, bank, recipe, state = trained
    state.model.load_state_dict(state.best)
    with torch.inference_mode():
        expected = state.model.eval()(torch.from_numpy(contexts()))
    loaded = load_model(model_directory)
    assert torch.equal(loaded.predict_raw(torch.from_numpy(contexts())), expected)
    assert loaded.info.recipe == recipe.model_dump()
    assert loaded.info.history == state.history
    assert loaded.info.data_sha256 == bank.info.content_sha256
    assert loaded.info.epoch == state.best_epoch
    assert loaded.module.pos_scalar == 0.7


def test_the_next_phase_starts_from_the_last_weights_not_the_best(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bank, recipe = small_bank(), small_recipe()
    state = train(bank, recipe, "a")
    state.best = {name: torch.zeros_like(tensor) for name, tensor in state.best.items()}
    end_phase(Trainer(recipe, bank), state, "a", phase_directory("small", "a"))
    begun = begin_phase(Trainer(recipe, bank), "b", phase_directory("small", "a"))
    assert all(torch.equal(a, b) for a, b in zip(begun.model.parameters(), state.model.parameters(), strict=True))
    assert begun.history == state.history


def test_a_phase_on_another_bank_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bank, recipe = small_bank(), small_recipe()
    end_phase(Trainer(recipe, bank), train(bank, recipe, "a"), "a", phase_directory("small", "a"))
    with pytest.raises(LvmError, match="another bank"):
        begin_phase(Trainer(recipe, small_bank(seed=1)), "b", phase_directory("small", "a"))


def test_saving_twice_gives_the_same_bytes(model_directory):
    before = {path.name: path.read_bytes() for path in model_directory.iterdir()}
    assert set(before) == {"model.safetensors", "model.json"}
    bank, recipe = small_bank(), small_recipe(model={"pos_scalar": 0.7})
    end_phase(Trainer(recipe, bank), train(bank, recipe, "abc"), "c", phase_directory("small", "c"))
    assert {path.name: path.read_bytes() for path in model_directory.iterdir()} == before


@pytest.fixture(scope="module")
def judged(trained):
    """What the model and a reference predictor reach."""
    folder, bank, _, _ = trained
    model = from_callable(load_model(folder / phase_directory("small", "c")).predict_raw, "small")
    return {one.name: judgement_of(evaluate_splits(bank, one, EvaluateParams())) for one in (model, copy_last())}


def readme(trained, judged, note="", **changes):
    folder, bank, _, _ = trained
    info = load_model(folder / phase_directory("small", "c")).info
    return model_readme("small", replace(info, **changes), bank, judged, note)


def test_the_readme_says_what_the_model_is_and_its_code_runs(trained, judged, model_directory, monkeypatch):
    state = trained[3]
    text = readme(trained, judged, "A note.", stopped_after="a", why_stopped="too little")
    row = state.history[state.best_epoch - 1]
    assert f"R@5 {row['dev_recall_at_5']:.4f}, cosine {row['dev_cosine']:.4f}, at that epoch" in text
    for said in ("# small", "5 unit vectors of 16", "`synthetic`", "pos_scalar 0.7", "see the licence of your data"):
        assert said in text
    assert "the next one. A note.\n" in text
    assert "stopped after phase A by the gates: too little." in text
    for name, one in judged.items():
        low, high = one.interval("ood_mrr")
        assert re.search(
            rf"^\| {name} \|.* {one.value['ood_mrr']:.4f} \[{low:.4f}, {high:.4f}\] \|", text, re.MULTILINE
        )
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(model_directory)
    found: dict[str, np.ndarray] = {}
    exec(code, found)
    assert found["prediction"].shape == (16,)


def test_a_readme_knows_the_licences_of_the_default_corpora(trained, judged):
    folder, bank, _, _ = trained
    articles = bank.articles.assign(source=np.where(bank.articles["split"] == "ood", "wikipedia", "a|b\nc"))
    info = load_model(folder / phase_directory("small", "c")).info
    text = model_readme("small", info, Bank(bank.vectors, articles, bank.info), judged)
    assert "- `wikipedia`: articles of Wikipedia, CC BY-SA" in text
    assert "- `a/b\\nc`: see the licence of your data" in text


def test_a_copy_has_the_same_bytes_and_a_readme_of_its_own(model_directory, tmp_path):
    copy_model(model_directory, tmp_path / "one", "# one\n")
    copy_model(tmp_path / "one", tmp_path / "two")
    assert (tmp_path / "one/README.md").read_text() == "# one\n"
    assert {path.name for path in (tmp_path / "two").iterdir()} == {"model.json", "model.safetensors"}
    for path in (tmp_path / "two").iterdir():
        assert path.read_bytes() == (model_directory / path.name).read_bytes()


def test_weights_are_plain_safetensors(model_directory):
    loaded = load_file(model_directory / "model.safetensors")
    again = {name: tensor.numpy() for name, tensor in load_model(model_directory).module.state_dict().items()}
    assert same({name: tensor.numpy() for name, tensor in loaded.items()}, again)


def damage_json(directory, **changes):
    path = directory / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda d: (d / "model.json").unlink(), r"model\.json: cannot be read"),
        (lambda d: (d / "model.json").write_text("{"), r"model\.json: is not valid json"),
        (lambda d: (d / "model.safetensors").unlink(), r"model\.safetensors: is not a complete"),
        (lambda d: (d / "model.safetensors").write_bytes(b"\x00" * 9), r"model\.safetensors: is not a complete"),
        (lambda d: damage_json(d, format_version=99), r"model\.json: format_version"),
        (lambda d: damage_json(d, surprise=1), r"model\.json: .*surprise"),
        (lambda d: damage_json(d, dimension=17), r"model\.safetensors: does not fit"),
        (lambda d: damage_json(d, architecture={"family": "rnn"}), r"model\.json: architecture = .*'rnn'"),
    ],
)
def test_a_damaged_directory_is_one_clear_line(model_directory, harm, words):
    harm(model_directory)
    with pytest.raises(LvmError, match=words):
        load_model(model_directory)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (np.zeros((2, 4, 16), np.float32), r"shape \(2, 4, 16\), the model reads \[B, 5, 16\]"),
        (np.zeros((5, 15), np.float32), "shape"),
        (np.full((1, 5, 16), np.nan), "NaN"),
    ],
)
def test_wrong_contexts_are_refused(model_directory, given, words):
    with pytest.raises(LvmError, match=words):
        load_model(model_directory).predict(given)


def test_an_unknown_phase_is_refused():
    with pytest.raises(LvmError, match="phases are a, b, c"):
        phase_directory("p1", "d")
