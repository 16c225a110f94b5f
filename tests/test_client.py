"""The client against the real service, and against one that is busy, strange or gone."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from lvm_core.bank import load_bank
from lvm_core.models.checkpoint import load_model
from lvm_core.runtime.errors import LvmError
from lvm_core.service.client import Client, ServiceError, main
from tests.calling import run_stage
from tests.paths import ROOT
from tests.service_server import CITIES, DIMENSION, EIFFEL

pytestmark = pytest.mark.xdist_group("service")

GONE = "http://127.0.0.1:9"  # a port nobody listens on


@pytest.fixture(scope="module")
def client(service):
    return Client(service.address)


@contextmanager
def answering(*answers):
    """A service that gives these answers (status, headers, body), the last of them again and again; yields its address
    and the times at which it was asked."""
    left, asked = list(answers), []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(time.monotonic())
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, body = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, format, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


NONE: dict[str, str] = {}
BUSY = (429, {"Retry-After": "1"}, b'{"error": "busy: 1 requests wait already"}')
FOUND = (200, NONE, json.dumps({"candidates": [], "latency_ms": 1.0, "later": "field"}).encode())


def test_health_and_info(client):
    state = client.wait_until_ready(60)
    assert state.answers
    assert (state.status, state.reasons, state.model) == ("ready", [], "small")
    assert client.info()["bank"]["dimension"] == DIMENSION


def test_chat_is_what_the_service_answers(client, service):
    answer = client.chat(EIFFEL, steps=2, candidates=3, fill="neighbours")
    told = service.post("/chat", {"paragraph": EIFFEL, "steps": 2, "candidates": 3, "fill": "neighbours"}).json
    assert answer.response == told["response"]
    assert answer.confidence == told["confidence"] == answer.steps[0].confidence
    assert [len(step.candidates) for step in answer.steps] == [3, 3]
    assert [one.title for one in answer.steps[0].candidates] == [one["title"] for one in told["steps"][0]["candidates"]]
    assert [one.model_dump() for one in answer.similar] == told["similar"]
    assert len(answer.similar) == 3
    assert answer.context.mode == "neighbours"
    assert answer.context.slots[-1].source == "you"
    assert answer.model == "small"
    assert answer.total_latency_ms > 0


def test_messages_are_a_list(client):
    answer = client.chat(["The river runs through the town.", EIFFEL])
    assert [slot.source for slot in answer.context.slots] == ["repeated", "repeated", "repeated", "you", "you"]
    assert answer.context.mode == "repeat"


def test_predict_is_the_model_however_many_contexts(client, service_folder):
    bank, model = load_bank(service_folder / "bank"), load_model(service_folder / "models/small")
    contexts = np.stack([np.asarray(bank.vectors[row : row + 5], np.float32) for row in range(55)] * 2)
    predicted = client.predict(contexts)  # 110: more than one request may hold
    assert predicted.shape == (110, DIMENSION)
    assert predicted.dtype == np.float32
    assert np.allclose(predicted, model.predict(contexts), atol=1e-6)


@pytest.mark.parametrize("shape", [(5, DIMENSION), (1, 4, DIMENSION), (0, 5, DIMENSION), (1, 5, 0)])
def test_predict_refuses_other_shapes(client, shape):
    with pytest.raises(ServiceError, match=r"contexts: have shape"):
        client.predict(np.zeros(shape, np.float32))


def test_predict_refuses_what_is_not_finite(client):
    with pytest.raises(ServiceError, match="not finite"):
        client.predict(np.full((1, 5, DIMENSION), np.nan, np.float32))


def test_retrieve(client, service_folder):
    bank = load_bank(service_folder / "bank")
    by_text = client.retrieve(text=bank.texts()[7], count=3)
    by_vector = client.retrieve(vector=bank.vectors[7], count=3)
    assert [one.text for one in by_text] == [one.text for one in by_vector]
    assert by_text[0].text == bank.texts()[7]
    assert by_text[0].title in CITIES
    assert by_vector[0].score == pytest.approx(1.0, abs=1e-3)
    with pytest.raises(ServiceError, match="exactly one"):
        client.retrieve()


def test_a_refusal_is_the_service_s_sentence(client):
    with pytest.raises(ServiceError, match=r"^steps: .* less than or equal to 5 \(it is 9\)$") as refused:
        client.chat(EIFFEL, steps=9)
    assert refused.value.status == 422
    assert isinstance(refused.value, LvmError)


def test_a_busy_service_is_asked_again_after_as_long_as_it_says():
    with answering(BUSY, FOUND) as (address, asked):
        assert Client(address).retrieve(text="x") == []
    assert len(asked) == 2
    assert asked[1] - asked[0] >= 1.0


def test_patience_ends():
    with answering(BUSY) as (address, asked):
        with pytest.raises(ServiceError, match="busy: 1 requests wait already") as refused:
            Client(address, patience=0.5).retrieve(text="x")
        assert refused.value.status == 429
        assert len(asked) == 1


def test_a_starting_service_is_waited_for():
    def state(status, code):
        told = {"status": status, "reasons": ["loading"], "model": "small", "uptime_s": 1.0}
        return code, {}, json.dumps(told).encode()

    with answering(state("starting", 503), state("starting", 503), state("degraded", 200)) as (address, asked):
        assert Client(address).wait_until_ready(10).reasons == ["loading"]
        assert len(asked) == 3
    with answering(state("starting", 503)) as (address, _):
        assert Client(address).health().status == "starting"
        with pytest.raises(ServiceError, match=r"is starting after 0\.3 s"):
            Client(address).wait_until_ready(0.3)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"\xff", b""])
def test_something_else_than_the_service(body):
    with answering((200, {}, body)) as (address, _), pytest.raises(ServiceError, match="something else than JSON"):
        Client(address).info()


def test_another_form_of_answer():
    with answering((200, {}, b'{"candidates": [{"text": 1}]}')) as (address, _):
        with pytest.raises(ServiceError, match="another form"):
            Client(address).retrieve(text="x")
        with pytest.raises(ServiceError, match="another form"):
            Client(address).chat("x")


def test_nobody_there():
    with pytest.raises(ServiceError, match="cannot be reached") as refused:
        Client(GONE).chat(EIFFEL)
    assert refused.value.status is None
    with pytest.raises(ServiceError, match="cannot be reached"):
        Client(GONE).wait_until_ready(0.1)


@pytest.mark.parametrize(
    "address",
    [
        *("file:///etc/passwd", "ftp://127.0.0.1", "127.0.0.1:9007", "http://", "http://[x"),
        *("http://me:word@127.0.0.1:9007", "http://127.0.0.1:9007/?x=1", "http://127.0.0.1:9007/#top"),
    ],
)
def test_other_addresses_are_refused(address):
    with pytest.raises(ServiceError, match="is no address of a service"):
        Client(address)


def run(*arguments):
    return run_stage(["lvm_core.service.client", *arguments], ROOT)


def only_similar(service):
    """Texts that plain retrieval finds and the prediction does not."""
    told = service.post("/chat", {"paragraph": EIFFEL, "candidates": 3}).json
    return {one["text"] for one in told["similar"]} - {one["text"] for one in told["steps"][0]["candidates"]}


def test_command_line(service):
    done = run(EIFFEL, "--url", service.address, "--steps", "2", "--candidates", "3")
    assert done.returncode == 0
    assert done.stderr == ""
    assert "confidence: " in done.stdout
    assert "step 2, confidence " in done.stdout
    assert done.stdout.count("(cities, chunk ") == 9  # of two steps, and of the plain retrieval
    assert done.stdout.count("\n* ") == 3 - len(only_similar(service))
    assert "small: " in done.stdout
    assert "4 of 5 places filled by repeat" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 96


@pytest.mark.parametrize("arguments", [[EIFFEL, "--url", GONE], [], [EIFFEL, "--steps", "x"], [EIFFEL, "--url", "x"]])
def test_command_line_in_trouble(arguments):
    done = run(*arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_texts_cannot_command_the_terminal(capsys):
    found = {"text": "a\x1b[2Jb", "title": "t\x1b]0;x\x07", "article_id": "1", "source": "s", "chunk_index": 0}
    told = {
        **{"response": "a\x1b[2Jb", "confidence": None, "confidence_note": "none", "model": "m", "dropped_chunks": 2},
        **{"latency_breakdown": {}, "total_latency_ms": 1.0, "context": {"mode": "given", "given": 0, "slots": []}},
        **{"chunks_used": 0, "input_chunks": []},
        "steps": [{"step": 1, "confidence": 0.0001, "candidates": [{**found, "score": 0.5}], "latency_ms": {}}],
    }
    with answering((200, {}, json.dumps(told).encode())) as (address, _):
        main(["x", "--url", address])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "confidence: none stated" in out
    assert "step 1, confidence under 0.1%" in out
    assert "2 older chunks of the text unread" in out
    assert "plain retrieval" not in out  # of a service that does not tell it
