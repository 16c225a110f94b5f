"""A model with a memory in the service: the text before its last five chunks; and what cannot be served."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lvm_core import load_model
from lvm_core.bank import load_bank
from lvm_core.runtime.errors import LvmError
from lvm_core.service.confidence import load_calibration
from lvm_core.service.engine import NOTE, Engine, Now
from lvm_core.service.loading import load_parts
from lvm_core.service.schemas import ChatRequest, PredictRequest, Settings
from tests.service_server import SENTENCES, write_calibration, write_model

pytestmark = pytest.mark.xdist_group("service")

FORMULA = {"family": "formula", "turned": True, "memory": "read"}
TEXT = "\n\n".join(f"{sentence.format('Rome')} So it was then, and so it is now." for sentence in SENTENCES * 2)


@pytest.fixture(scope="module")
def parts(service_folder, tmp_path_factory):
    """Of a fitted formula with a memory."""
    directory = tmp_path_factory.mktemp("formula")
    write_model(directory, load_bank(service_folder / "bank").info, "decay_memory", FORMULA)
    write_calibration(directory, load_bank(service_folder / "bank").info)
    return load_parts(directory, service_folder / "bank")


def chat(parts, **asked):
    (answer,) = Engine(parts, Settings()).chat([Now(ChatRequest(**asked))])
    return answer


def test_the_text_before_the_five_is_the_memory(parts):
    """By hand: one mean of all chunks, the same at the second step."""
    told = chat(parts, paragraph=TEXT, steps=2, candidates=1)
    assert (len(told["input_chunks"]), told["read_before"], told["dropped_chunks"]) == (12, 7, 0)
    vectors = parts.encoder.encode(told["input_chunks"])
    memory = parts.model.memory_of(vectors)
    first = parts.model.predict(vectors[-5:], memory)
    second = parts.model.predict(np.concatenate([vectors[-4:], first[None]]), memory)
    texts = dict(zip(parts.bank.texts(), np.asarray(parts.bank.vectors), strict=True))
    for step, predicted in zip(told["steps"], (first, second), strict=True):
        (best,) = step["candidates"]
        assert best["score"] == pytest.approx(float(texts[best["text"]] @ predicted), abs=1e-3)
    assert first @ parts.model.predict(vectors[-5:]) < 0.99  # the five alone are another text
    last_five = chat(parts, messages=told["input_chunks"][-5:])
    assert (last_five["read_before"], last_five["response"]) != (7, told["response"])


def test_a_text_is_cut_by_what_the_encoder_reads(parts):
    text = "中国的历史很长，人们在河边建造了许多城市和桥梁。" * 30
    told = chat(parts, paragraph=text)
    assert "".join(told["input_chunks"]) == text
    assert parts.encoder.measure(told["input_chunks"]).cut == 0
    (answer,) = Engine(parts, Settings(max_pieces=None)).chat([Now(ChatRequest(paragraph=text))])
    assert (len(answer["input_chunks"]), parts.encoder.measure(answer["input_chunks"]).cut) == (1, 1)


def test_what_was_not_given_is_no_memory(parts):
    """A filled context is predicted with the memory of the given chunks alone."""
    told = chat(parts, messages=[SENTENCES[0].format("Rome")], candidates=1)
    given = parts.encoder.encode(told["input_chunks"])
    predicted = parts.model.predict(np.repeat(given, 5, axis=0), parts.model.memory_of(given))
    assert told["read_before"] == 0
    assert told["context"]["slots"][4]["similarity"] == pytest.approx(float(given[0] @ predicted), abs=1e-3)


def test_vectors_come_with_their_memory_or_with_that_of_the_five(parts):
    vectors = np.array(parts.bank.vectors)
    five, long = vectors[:5], parts.model.memory_of(vectors[:30])
    asked = [
        PredictRequest(contexts=[five.tolist()]),
        PredictRequest(contexts=[five.tolist()] * 2, memory=[long.tolist(), parts.model.memory_of(five).tolist()]),
    ]
    answers = Engine(parts, Settings()).predict([Now(one) for one in asked])
    (alone,), (remembering, same) = (np.array(answer["vectors"]) for answer in answers)
    np.testing.assert_allclose(alone, parts.model.predict(five), atol=1e-5)
    np.testing.assert_allclose(remembering, parts.model.predict(five, long), atol=1e-5)
    np.testing.assert_allclose(same, alone, atol=1e-5)
    assert remembering @ alone < 0.999


def test_info_says_what_it_sees(parts):
    assert parts.info(Settings())["model"]["sees"] == "memory"
    assert parts.info(Settings())["calibration"]["curves"] == 45


def test_a_model_of_whole_documents_is_not_served(service_folder, tmp_path):
    info = load_bank(service_folder / "bank").info
    write_model(tmp_path / "document", info, "document", FORMULA | {"memory": "document"})
    with pytest.raises(
        LvmError, match=r"document: sees the whole document, which a text that is being written does not"
    ):
        load_parts(tmp_path / "document", service_folder / "bank")
    with pytest.raises(LvmError, match="sees the whole document"):
        load_model(tmp_path / "document", service_folder / "bank").continue_text("A text.")


def test_a_note_says_of_what_text_the_rate_is(parts):
    ood = {"stated": 0.14, "observed": 0.41}
    told = replace(parts, calibration=parts.calibration.model_copy(
        update={"articles": 25, "sources": ["sotu"], "bias": {"ood": ood}}))  # fmt: skip
    note = chat(told, messages=["A text."])["confidence_note"]
    assert "held-out text of sotu (25 articles)" in note
    assert "On text of another source it stated 14% where 41% was observed." in note
    assert "{" not in note
    assert NOTE.split("{")[0] in chat(parts, messages=["A text."])["confidence_note"]


def test_without_enough_articles_nothing_is_stated_and_it_says_why(service_folder, tmp_path):
    bank, directory = service_folder / "bank", tmp_path / "small"
    write_model(directory, load_bank(bank).info)
    write_calibration(directory, load_bank(bank).info)
    why = "not calibrated: 7 articles have windows in dev, at least 20 are needed; raise split.dev"
    path = directory / "calibration.json"
    load_calibration(path).model_copy(update={"curves": [], "why_not": why}).write(path)
    parts = load_parts(directory, bank)
    assert parts.reasons == [f"no confidence is stated: {why}"]  # what /health says
    told = chat(parts, messages=["A text."])
    assert (told["confidence"], told["confidence_note"]) == (None, f"No confidence: {why}.")
