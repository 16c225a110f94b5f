"""The work behind the endpoints without HTTP: batches of mixed requests, and a decoder of another kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from lvm_core.service.engine import Engine
from lvm_core.service.loading import load_parts
from lvm_core.service.nearest import Candidate
from lvm_core.service.schemas import ChatRequest, RetrieveRequest, Settings
from lvm_core.service.state import Job

pytestmark = pytest.mark.xdist_group("service")

TEXT = "The treaty was signed in the spring and the senate ratified it in the month of June after a long debate."


@pytest.fixture(scope="module")
def parts(service_folder):
    return load_parts(service_folder / "models/small", service_folder / "bank")


class Writer:
    """A decoder that writes instead of retrieving: what it is given, in words."""

    def decode(
        self, predicted: np.ndarray, candidates: Sequence[Sequence[Candidate]], said: Sequence[Sequence[str]]
    ) -> list[str]:
        return [
            f"after {len(before)} texts, {len(vector)} numbers, nearest {of_one[0].row}"
            for vector, of_one, before in zip(predicted, candidates, said, strict=True)
        ]


def test_a_decoder_that_writes_can_be_put_in(parts):
    """Its words are the response; candidates, confidence and /retrieve stay those of the bank."""
    asked = [Job("chat", ChatRequest(paragraph=TEXT, steps=2, fill="neighbours"))]
    (retrieved,) = Engine(parts, Settings()).chat(asked)
    engine = Engine(replace(parts, decoder=Writer()), Settings())
    (written,) = engine.chat(asked)
    first, second = written["response"].split("\n\n")
    assert first.startswith(f"after 0 texts, {parts.bank.info.dimension} numbers")
    assert second.startswith("after 1 texts")
    for step, other in zip(written["steps"], retrieved["steps"], strict=True):
        assert (step["confidence"], step["candidates"]) == (other["confidence"], other["candidates"])
    assert written["context"] == retrieved["context"]
    (found,) = engine.retrieve([Job("retrieve", RetrieveRequest(text=TEXT, count=2))])
    assert found["candidates"][0]["text"] in parts.bank.texts()


def test_requests_of_a_batch_are_answered_as_if_alone(parts):
    """Several strategies, lengths and numbers of steps at once."""
    requests = [
        ChatRequest(paragraph=TEXT, fill="neighbours"),
        ChatRequest(messages=[TEXT, "Another message."], fill="repeat", steps=3),
        ChatRequest(messages=["One.", "Two.", "Three.", "Four.", "Five."]),
        ChatRequest(paragraph=TEXT, steps=2),
    ]
    engine = Engine(parts, Settings())
    together = engine.chat([Job("chat", request) for request in requests])
    for request, answer in zip(requests, together, strict=True):
        (alone,) = engine.chat([Job("chat", request)])
        assert answer["context"]["mode"] == alone["context"]["mode"]
        assert answer["response"] == alone["response"]
        assert len(answer["steps"]) == request.steps
        assert answer["input_chunks"] == alone["input_chunks"]
