"""Every endpoint of the service, through HTTP, of a real process with a small real model."""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import socket
import urllib.parse
import urllib.request

import numpy as np
import pytest

from lvm_core.bank import load_bank
from lvm_core.models.checkpoint import load_model
from lvm_core.runtime.errors import printable
from lvm_core.service.client import Client
from lvm_core.service.schemas import BODY_BYTES, CHARACTERS, VECTORS
from tests.service_server import CITIES, DIMENSION, EIFFEL, SENTENCES, ask, proxied, together

pytestmark = pytest.mark.xdist_group("service")

ROME = [sentence.format("Rome") for sentence in SENTENCES]


@pytest.fixture(scope="module")
def bank(service_folder):
    return load_bank(service_folder / "bank")


@pytest.fixture(scope="module")
def model(service_folder):
    return load_model(service_folder / "models/small")


def vector(value=1.0, dimension=DIMENSION):
    return [value] + [0.0] * (dimension - 1)


def test_health_is_ready(service):
    answer = service.get("/health")
    assert answer.status == 200
    assert answer.json["status"] == "ready"
    assert answer.json["reasons"] == []
    assert answer.json["model"] == "small"
    assert answer.json["uptime_s"] > 0


def test_info_tells_what_is_served(service):
    told = service.get("/info").json
    assert told["model"]["recipe"] == "small"
    assert told["metrics"]["dev"] == {"dev_recall_at_5": 0.5}
    assert told["bank"] == {"chunks": 60, "articles": 10, "dimension": DIMENSION, "sources": ["cities"]}
    assert told["encoder"] == {"name": "all-MiniLM-L6-v2", "precision": "fp32"}
    assert told["limits"]["characters"] == CHARACTERS
    assert told["calibration"]


def test_the_page_loads_nothing_from_elsewhere(service):
    answer = service.get("/")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert not re.search(rb"(?:src|href)=[\"']?https?://", answer.body)


def test_no_page_has_foreign_scripts(service):
    assert service.get("/docs").status == service.get("/redoc").status == 404


def test_a_sentence_is_continued_and_the_filling_told(service):
    answer = service.post("/chat", {"messages": [EIFFEL]})
    told = answer.json
    assert answer.status == 200
    assert told["input_chunks"] == [EIFFEL]
    assert told["chunks_used"] == 5
    assert told["dropped_chunks"] == 0
    assert told["context"]["mode"] == "repeat"
    assert told["context"]["given"] == 1
    assert [slot["source"] for slot in told["context"]["slots"]] == ["repeated"] * 4 + ["you"]
    assert told["response"] == told["steps"][0]["candidates"][0]["text"]
    assert told["confidence"] in (0.25, 0.75)
    assert "ndicative only" in told["confidence_note"]
    assert told["model"] == "small"
    parts = ("queue", "chunking", "encoding", "context_build", "lvm_inference", "decoding")
    assert set(told["latency_breakdown"]) == {f"{part}_ms" for part in parts}
    assert 0 < sum(told["latency_breakdown"].values()) <= told["total_latency_ms"] + 0.01
    assert told["total_latency_ms"] <= answer.ms


def test_the_answer_is_that_of_model_and_bank_by_hand(service, model, bank):
    """Five sentences that are in the bank: the same context, the same prediction, the same nearest chunks."""
    first = CITIES.index("Rome") * len(SENTENCES)
    rows = list(range(first, first + 5))
    told = service.post("/chat", {"messages": ROME[:5], "candidates": 3}).json
    predicted = model.predict(np.asarray(bank.vectors[rows]))
    assert predicted @ bank.vectors[rows[-1]] < 0.9  # not just the last chunk
    cosines = np.asarray(bank.vectors) @ predicted
    for row in rows:
        cosines[np.asarray(bank.vectors) @ np.asarray(bank.vectors[row]) >= 0.98] = -2
    best = np.argsort(-cosines)[:3]
    texts = bank.texts()
    candidates = told["steps"][0]["candidates"]
    assert [one["text"] for one in candidates] == [texts[row] for row in best]
    np.testing.assert_allclose([one["score"] for one in candidates], cosines[best], atol=1e-3)
    assert candidates[0]["article_id"] == f"city/{candidates[0]['title']}"
    assert candidates[0]["chunk_index"] == best[0] % len(SENTENCES)
    assert told["context"]["mode"] == "given"
    assert not set(ROME[:5]) & {one["text"] for one in candidates}
    cosines[cosines > -2] = (np.asarray(bank.vectors) @ bank.vectors[rows[-1]])[cosines > -2]
    assert [one["text"] for one in told["similar"]] == [texts[row] for row in np.argsort(-cosines)[:3]]
    np.testing.assert_allclose([one["score"] for one in told["similar"]], np.sort(-cosines)[:3] * -1, atol=1e-3)
    near = np.asarray(bank.vectors[rows]) @ predicted
    np.testing.assert_allclose([slot["similarity"] for slot in told["context"]["slots"]], near, atol=1e-3)


def test_steps_feed_the_prediction_back_and_do_not_repeat_a_text(service, model, bank):
    told = service.post("/chat", {"messages": ROME[:5], "steps": 5, "candidates": 1}).json
    assert [step["step"] for step in told["steps"]] == [1, 2, 3, 4, 5]
    assert all(len(step["candidates"]) == 1 and step["latency_ms"]["inference"] > 0 for step in told["steps"])
    said = told["response"].split("\n\n")
    assert len(said) == len(set(said)) == 5
    first = CITIES.index("Rome") * len(SENTENCES)
    context = np.array(bank.vectors[first : first + 5])
    predicted = model.predict(context)
    second = model.predict(np.concatenate([context[1:], predicted[None]]))
    assert second @ predicted < 0.99
    best = told["steps"][1]["candidates"][0]
    vectors = dict(zip(bank.texts(), np.asarray(bank.vectors), strict=True))
    assert best["score"] == pytest.approx(float(vectors[best["text"]] @ second), abs=1e-3)


def test_neighbours_come_from_the_best_match_in_the_bank(service):
    told = service.post("/chat", {"messages": [ROME[4]], "fill": "neighbours"}).json
    assert told["context"]["mode"] == "neighbours"
    slots = told["context"]["slots"]
    assert [slot["text"] for slot in slots] == ROME[:5]
    assert [(slot["source"], slot["title"]) for slot in slots] == [("bank", "Rome")] * 4 + [("you", None)]
    found = [*told["steps"][0]["candidates"], *told["similar"]]
    assert not set(ROME[:5]) & {one["text"] for one in found}


def test_a_long_paragraph_is_cut_and_the_last_five_chunks_are_read(service):
    text = " ".join(f"Sentence number {number} tells of the town and of its river." for number in range(120))
    told = service.post("/chat", {"paragraph": text}).json
    assert len(told["input_chunks"]) > 5
    assert (told["dropped_chunks"], told["read_before"]) == (len(told["input_chunks"]) - 5, 0)
    assert all(len(chunk) <= 800 for chunk in told["input_chunks"])
    assert [slot["text"] for slot in told["context"]["slots"]] == told["input_chunks"][-5:]
    assert " ".join(told["input_chunks"]) == text


def test_short_paragraph_is_one_chunk(service):
    assert service.post("/chat", {"paragraph": EIFFEL}).json["input_chunks"] == [EIFFEL]


def test_any_text_is_answered(service):
    """Scripts without spaces, marks, emoji, control characters, one very long word."""
    texts = [
        "漢字" * 700,
        "x" * 5000,
        "👩‍👩‍👧‍👦" * 300,
        "\x00\x01a",
        "e\u0301" * 500,
        "\u202eabc\u2066",
        "<script>alert(1)</script>",
    ]
    for text in texts:
        for request in ({"paragraph": text}, {"messages": [text]}):
            answer = service.post("/chat", request)
            assert answer.status == 200, (text[:10], answer.body)
            assert answer.json["input_chunks"]


def test_predict_is_the_models_prediction(service, model):
    rng = np.random.default_rng(0)
    contexts = rng.standard_normal((3, 5, DIMENSION)).astype(np.float32).round(4)
    contexts /= np.linalg.norm(contexts, axis=2, keepdims=True)
    told = service.post("/predict", {"contexts": contexts.tolist()}).json
    np.testing.assert_allclose(told["vectors"], model.predict(contexts), atol=1e-5)
    assert told["model"] == "small"


def test_retrieval_by_text_and_by_vector(service, bank):
    by_text = service.post("/retrieve", {"text": ROME[2], "count": 7}).json["candidates"]
    assert by_text[0]["text"] == ROME[2]
    assert by_text[0]["score"] == pytest.approx(1.0, abs=1e-3)
    assert len(by_text) == 7
    row = bank.texts().index(ROME[2])
    by_vector = service.post("/retrieve", {"vector": (3 * bank.vectors[row]).tolist(), "count": 7}).json["candidates"]
    assert [one["text"] for one in by_vector] == [one["text"] for one in by_text]


def test_requests_at_the_same_time_get_their_own_answers(service):
    texts = [ROME[number % 6] for number in range(12)]
    requests = [lambda text=text: service.post("/retrieve", {"text": text, "count": 1}).json for text in texts]
    answers = together(requests)
    assert [answer["candidates"][0]["text"] for answer in answers] == texts


REFUSED = [
    ("/chat", {}, 422, "exactly one of paragraph and messages"),
    ("/chat", {"paragraph": EIFFEL, "messages": [EIFFEL]}, 422, "exactly one of paragraph and messages"),
    ("/chat", {"messages": []}, 422, "messages: .*at least 1"),
    ("/chat", {"messages": ["a"] * 6}, 422, "messages: .*at most 5"),
    ("/chat", {"messages": ["a", 3]}, 422, "messages.1: .*string"),
    ("/chat", {"messages": ["a", " \n"]}, 422, "messages.1: holds no text"),
    ("/chat", {"paragraph": ""}, 422, "paragraph: .*at least 1"),
    ("/chat", {"paragraph": "\u001f\u2028"}, 422, "paragraph: holds no text"),
    ("/chat", {"paragraph": "a" * (CHARACTERS + 1)}, 422, f"paragraph: .*at most {CHARACTERS}"),
    ("/chat", {"paragraph": EIFFEL, "steps": 0}, 422, "steps: .*greater than or equal to 1"),
    ("/chat", {"paragraph": EIFFEL, "steps": 6}, 422, "steps: .*equal to 5"),
    ("/chat", {"paragraph": EIFFEL, "steps": "2"}, 422, "steps: .*integer"),
    ("/chat", {"paragraph": EIFFEL, "steps": True}, 422, "steps: .*integer"),
    ("/chat", {"paragraph": EIFFEL, "candidates": 21}, 422, "candidates: .*20"),
    ("/chat", {"paragraph": EIFFEL, "fill": "zeros"}, 422, "fill: .*'neighbours' or 'repeat'"),
    ("/chat", {"paragraph": EIFFEL, "file": "/etc/passwd"}, 422, "file: is no field"),
    ("/predict", {"contexts": []}, 422, "contexts: .*at least 1"),
    ("/predict", {"contexts": [[[1.0]] * 5] * (VECTORS + 1)}, 422, f"contexts: .*at most {VECTORS}"),
    ("/predict", {"contexts": [[vector()] * 4]}, 422, "contexts.0: .*at least 5"),
    ("/predict", {"contexts": [[vector()] * 4 + [vector(dimension=3)]]}, 422, f"contexts.0.4: has 3 .*{DIMENSION}"),
    ("/predict", {"contexts": [[vector()] * 4 + [vector(0.0)]]}, 422, "contexts.0.4: has length 0"),
    ("/predict", {"contexts": [[vector()] * 4 + [vector(1e7)]]}, 422, "contexts.0.4.0: .*1000000"),
    ("/predict", {"contexts": [[vector()] * 5], "memory": [vector()] * 2}, 422, "memory has 2 vectors, contexts are 1"),
    ("/predict", {"contexts": [[vector()] * 5], "memory": [1.0]}, 422, "memory.0: .*list"),
    (
        "/predict",
        {"contexts": [[vector()] * 5], "memory": [vector(dimension=3)]},
        422,
        f"memory.0: has 3 .*{DIMENSION}",
    ),
    ("/retrieve", {}, 422, "exactly one of text and vector"),
    ("/retrieve", {"vector": vector(dimension=5)}, 422, f"vector: has 5 values, .*{DIMENSION}"),
    ("/retrieve", {"text": EIFFEL, "count": 51}, 422, "count: .*50"),
    ("/retrieve", [], 422, "object"),
]


@pytest.mark.parametrize(("path", "request_", "status", "sentence"), REFUSED)
def test_each_limit_is_told_in_a_sentence_with_its_field(service, path, request_, status, sentence):
    answer = service.post(path, request_)
    assert answer.status == status
    assert set(answer.json) == {"error"}
    assert re.search(sentence, answer.json["error"], re.IGNORECASE), answer.json
    assert len(answer.json["error"]) < 400


RAW = [
    (b"", 400, "not valid JSON"),
    (b"{", 400, "not valid JSON"),
    (b'{"paragraph": "\\ud800"}', 400, "surrogate"),
    (b'{"paragraph": "\xff"}', 400, "not UTF-8"),
    (b'{"paragraph": "a", "steps": NaN}', 400, "NaN is no JSON number"),
    (b'{"vector": [-Infinity]}', 400, "-Infinity is no JSON number"),
    (b'{"contexts": [], "memory": [[NaN]]}', 400, "NaN is no JSON number"),
    (b'{"vector": [1e999]}', 422, "finite"),
    (b'{"vector": [' + b"9" * 5000 + b"]}", 400, "5,000 digits"),
    (b'{"vector": [' + b"9" * 350 + b"]}", 422, "vector.0"),
    (b"[" * 100_000, 400, "nested too deeply"),
    (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, 400, "nested too deeply"),
]


@pytest.mark.parametrize(("body", "status", "sentence"), RAW, ids=range(len(RAW)))
def test_bodies_that_are_no_proper_json(service, body, status, sentence):
    path = "/retrieve" if b"vector" in body else "/chat"
    answer = service.once("POST", path, body)
    assert (answer.status, set(answer.json)) == (status, {"error"})
    assert sentence in answer.json["error"]


def test_a_body_of_too_many_bytes(service):
    body = json.dumps({"paragraph": "a" * BODY_BYTES}).encode()
    pieces = (body[start : start + 10_000] for start in range(0, len(body), 10_000))
    for sent in (body, pieces):  # with its length, and in pieces without
        answer = service.once("POST", "/chat", sent)
        assert answer.status == 413
        assert "4,194,304 bytes" in answer.json["error"]


BODY = json.dumps({"paragraph": EIFFEL}).encode()


@pytest.mark.parametrize(
    ("media", "body", "status", "sentence"),
    [
        ("Application/JSON; charset=utf-8", BODY, 200, ""),
        ("application/json", b"\xef\xbb\xbf" + BODY, 200, ""),  # a byte order mark, as PowerShell writes it
        ("text/plain", BODY, 415, "application/json"),
        ("application/x-www-form-urlencoded", b"paragraph=text", 415, "application/json"),
        ("application/json; charset=utf-16", BODY.decode().encode("utf-16"), 400, "not UTF-8"),
        ("application/json; charset=utf-16", BODY.decode().encode("utf-16-le"), 400, "not UTF-8"),
        ("application/json; charset=utf-32", BODY.decode().encode("utf-32-be"), 400, "not UTF-8"),
    ],
)
def test_media_and_their_characters(service, media, body, status, sentence):
    answer = service.once("POST", "/chat", body, {"Content-Type": media})
    assert answer.status == status
    assert sentence in answer.json.get("error", "")


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate", "GZIP", "identity, gzip", "x\x7f", "identity", ""])
def test_a_compressed_body_is_refused_by_its_header(service, coding):
    body = gzip.compress(BODY) if "gzip" in coding.lower() else BODY
    answer = service.once("POST", "/chat", body, {"Content-Type": "application/json", "Content-Encoding": coding})
    if coding in ("", "identity"):
        assert answer.status == 200
        return
    assert (answer.status, answer.headers["Accept-Encoding"]) == (415, "identity")
    assert f"without Content-Encoding: {printable(coding.lower())}" in answer.json["error"]


@pytest.mark.parametrize("path", ["/", "/health", "/info", "/metrics", "/openapi.json", "/chat", "/nowhere"])
def test_head_has_the_headers_of_get_and_no_body(service, path):
    got, head = service.get(path), service.once("HEAD", path)
    assert (head.status, head.body) == (got.status, b"")
    differing = {"date", "content-length"} if path in ("/health", "/metrics") else {"date"}
    assert {name for name, value in got.headers.items() if head.headers[name] != value} <= differing
    assert head.headers.keys() == got.headers.keys()
    with contextlib.closing(service.connect()) as connection:  # one that stays open has no body in its way
        assert [ask(connection, method, path).status for method in ("HEAD", "GET", "HEAD")] == [got.status] * 3


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_another_method_is_told_which_there_are(service, method):
    for path, allowed in (("/chat", "POST"), ("/info", "GET, HEAD"), ("/openapi.json", "GET, HEAD")):
        if method not in allowed:
            answer = service.once(method, path)
            assert (answer.status, answer.headers["Allow"]) == (405, allowed)
            assert method == "HEAD" or answer.json["error"] == f"this path takes {allowed} only"
            assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_no_other_page_may_ask(service):
    """CORS is off: a browser gives pages of other hosts nothing."""
    asked = {"Origin": "https://example.org", "Content-Type": "application/json"}
    for method, more in (("POST", {}), ("OPTIONS", {"Access-Control-Request-Method": "POST"})):
        answer = service.once(method, "/chat", BODY if method == "POST" else None, asked | more)
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_paths_that_are_not_there(service):
    for path in ("/../../etc/passwd", "/static/page.html", "/%00", "/chat/", "/info/", "//", "//info", "/health//"):
        answer = service.get(path)
        assert (answer.status, answer.json["error"]) == (404, "there is no such path; see openapi.json"), path
    assert service.get("/info?" + "x" * 10_000).status == 200
    with contextlib.suppress(ConnectionError):  # it may hang up while we still send
        assert service.get("/info?" + "x" * 1_000_000).status in (400, 414, 431)


def test_a_client_that_waits_to_be_told_to_go_on(service):
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
        head = "POST /chat HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
        connection.sendall(f"{head}Content-Length: {len(BODY)}\r\n\r\n".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 100")
        connection.sendall(BODY)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")


def test_the_client_reaches_a_service_behind_a_prefix(service):
    with proxied(service) as address:
        for written in (address, address.rstrip("/")):
            assert Client(written).chat(EIFFEL).model == "small"
        with urllib.request.urlopen(f"{address}openapi.json") as reply:
            (server,) = json.load(reply)["servers"]
        assert urllib.parse.urljoin(f"{address}openapi.json", server["url"]) == address
