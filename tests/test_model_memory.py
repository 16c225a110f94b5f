"""What a model is told of the text before the context: from the bank's sums to the prediction."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from lvm_core.bank.chunks import Memory
from lvm_core.config.references import FORMULAS, REFERENCES
from lvm_core.fivecat.formulas import fit_formula
from lvm_core.fivecat.references import of_formula
from lvm_core.models.checkpoint import LoadedModel, ModelInfo, load_model, save_model
from lvm_core.models.families import FormulaModel
from lvm_core.runtime.errors import LvmError
from tests.test_models_families import model_of, params_of, unit
from tests.training import small_bank


def info_of(architecture, dimension):
    return ModelInfo({}, "c", 1, dimension, "", "", "", "fp32", [], 0, architecture)


def loaded(case):
    return LoadedModel(model_of(case), info_of(params_of(case).model_dump(), 8))


@pytest.mark.parametrize("name", FORMULAS)
def test_a_fitted_reference_is_a_model_directory_like_any_other(name, tmp_path):
    bank = small_bank()
    memory, found = Memory.of_bank(bank), fit_formula(bank, name)
    kind = {"context": None, "memory": "read", "document": "document"}[REFERENCES[name]]
    model = FormulaModel.of(found.formula, memory.centre, kind)
    architecture = {"family": "formula", "turned": found.formula.matrix is not None, "memory": kind}
    save_model(tmp_path, model.state_dict(), info_of(architecture, 16))
    rows = torch.from_numpy(bank.targets("val"))
    contexts = torch.from_numpy(bank.vectors[rows[:, None].numpy() + np.arange(-5, 0)])
    given = {None: lambda rows: None, "read": memory.before, "document": memory.whole}[kind](rows)
    again = load_model(tmp_path)
    assert again.sees == REFERENCES[name]
    with torch.inference_mode():
        assert torch.equal(again.predict_raw(contexts, given), of_formula(bank, name)(contexts, rows.numpy(), given))


@pytest.mark.parametrize("case", ["memory", "memory_mixture"])
def test_without_a_memory_it_is_that_of_a_text_of_these_five_chunks(case):
    model, contexts = loaded(case), unit(3, 5, 8).numpy()
    memory = np.stack([model.memory_of(context) for context in contexts])
    np.testing.assert_allclose(model.predict(contexts), model.predict(contexts, memory), atol=1e-6)
    np.testing.assert_allclose(model.predict(contexts[0], memory[0]), model.predict(contexts)[0], atol=1e-6)
    assert np.abs(model.predict(contexts, memory + 0.3) - model.predict(contexts)).max() > 1e-3
    long = np.concatenate([unit(20, 8, seed=4).numpy(), contexts[0]])
    centre = model.module.centre.numpy()
    np.testing.assert_allclose(model.memory_of(long), (long.sum(0) + 10 * centre) / 35, atol=1e-6)


def test_a_model_of_the_context_alone_does_not_look_at_a_memory():
    model, contexts = loaded("plain"), unit(3, 5, 8).numpy()
    assert model.memory_of(contexts[0]) is None
    assert np.array_equal(model.predict(contexts, np.full((1, 1), np.nan)), model.predict(contexts))


@pytest.mark.parametrize(
    ("memory", "words"),
    [
        (np.zeros(8), r"memory has shape \(8,\), the model reads \[3, 8\] beside these contexts"),
        (np.zeros((3, 7)), r"memory has shape \(3, 7\)"),
        (np.zeros((2, 8)), r"memory has shape \(2, 8\)"),
        (np.full((3, 8), np.nan), "memory holds NaN"),
    ],
)
def test_a_wrong_memory_is_one_line(memory, words):
    with pytest.raises(LvmError, match=words):
        loaded("memory").predict(unit(3, 5, 8).numpy(), memory)


@pytest.mark.parametrize(("chunks", "words"), [(np.zeros((4, 7)), "shape"), (np.full((4, 8), np.inf), "infinite")])
def test_wrong_chunks_are_one_line(chunks, words):
    with pytest.raises(LvmError, match=words):
        loaded("memory").memory_of(chunks)


def test_an_older_directory_is_a_model_of_the_context(tmp_path):
    model, architecture = model_of("plain"), params_of("plain").model_dump()
    save_model(tmp_path, model.state_dict(), info_of(architecture, 8))
    told = json.loads((tmp_path / "model.json").read_text())
    del told["architecture"]["memory"]
    (tmp_path / "model.json").write_text(json.dumps(told))
    assert load_model(tmp_path).sees == "context"
