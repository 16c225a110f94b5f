"""`lvm_core.load_model`: text in, the chunks that the service would answer out."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from lvm_core import load_model
from lvm_core.runtime.errors import LvmError
from lvm_core.service.engine import Engine, Now
from lvm_core.service.loading import OTHER_BANK, load_parts
from lvm_core.service.schemas import ChatAnswer, ChatRequest, Settings

pytestmark = pytest.mark.xdist_group("service")

TEXT = "The treaty was signed in the spring and the senate ratified it in the month of June after a long debate."


@pytest.fixture(scope="module")
def place(service_folder):
    return service_folder / "models/small", service_folder / "bank"


@pytest.fixture(scope="module")
def model(place):
    return load_model(*place)


def served(place, **asked):
    engine = Engine(load_parts(*place), Settings.configured())
    return ChatAnswer.model_validate(engine.chat([Now(ChatRequest(**asked))])[0])


def told(answer):
    return answer.candidates, answer.confidence, answer.confidence_note, answer.context, answer.input_chunks


def test_a_text_is_continued_as_the_service_does(place, model):
    answer = model.continue_text(f"{TEXT}\n\n{TEXT} Twice.", k=3)
    assert told(answer) == told(served(place, paragraph=f"{TEXT}\n\n{TEXT} Twice.", candidates=3))
    assert len(answer.candidates) == 3
    assert answer.confidence is not None


def test_chunks_are_taken_as_they_are(place, model):
    texts = [f"{TEXT} {word}." for word in ("One", "Two")]
    answer = model.from_texts(texts)
    assert told(answer) == told(served(place, messages=texts))
    assert (answer.input_chunks, answer.context.given, len(answer.candidates)) == (texts, 2, 5)


def test_bank_and_encoder_wait_for_the_first_text(place):
    model = load_model(place[0], "nowhere")
    assert model.predict(np.eye(5, 384)).shape == (384,)
    with pytest.raises(LvmError, match="nowhere/"):
        model.continue_text(TEXT)


def test_with_another_bank_there_is_no_confidence(place, tmp_path):
    directory = shutil.copytree(place[0], tmp_path / "small")
    told = json.loads((directory / "model.json").read_text()) | {"data_sha256": "0" * 64}
    (directory / "model.json").write_text(json.dumps(told))
    answer = load_model(directory, place[1]).continue_text(TEXT)
    assert (answer.confidence, answer.confidence_note, len(answer.candidates)) == (None, OTHER_BANK, 5)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (lambda model: model.continue_text(" "), "paragraph = ' ': holds no text"),
        (lambda model: model.continue_text(TEXT, k=99), "candidates = 99: input should be less than or equal to 20"),
        (lambda model: model.from_texts([TEXT] * 6), "at most 5 items"),
        (lambda model: model.from_texts([]), "at least 1 item"),
    ],
)
def test_a_mistake_is_one_line(model, asked, words):
    with pytest.raises(LvmError, match=words) as caught:
        asked(model)
    assert "\n" not in str(caught.value)
