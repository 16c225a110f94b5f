"""Requests that nobody well-meaning sends: generated ones, and handwritten bytes for the socket."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from hypothesis import strategies as st

from lvm_core.service.schemas import BODY_BYTES
from tests.service_server import DIMENSION, EIFFEL, Running, ask

PATHS = ("/chat", "/predict", "/retrieve")


@dataclass(frozen=True)
class Request:
    """One request."""

    method: str
    path: str
    body: bytes
    media: str
    chunked: bool


_odd_text = st.one_of(
    st.text(max_size=30),
    st.text(st.characters(categories=("Cc", "Cf", "Co", "Cn", "Mn", "Zs", "Zl")), max_size=30),
    st.sampled_from(
        [EIFFEL, "", " ", "\u2028", "\x00", "a" * 20_001, "\U0001f9ff" * 50, "{{7*7}}", "../../etc/passwd"]
    ),
)
_odd_number = st.one_of(
    st.integers(-3, 70),
    st.integers(),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([2**31, 2**63, 2**64, -(2**63), 10**300, 10**399, 10**500, 1e308, 5e-324, -0.0]),
)
_scalar = st.one_of(st.none(), st.booleans(), _odd_number, _odd_text)
_value = st.recursive(
    _scalar,
    lambda inner: st.one_of(st.lists(inner, max_size=7), st.dictionaries(_odd_text, inner, max_size=4)),
    max_leaves=12,
)
_vector = st.one_of(
    st.just([0.1] * DIMENSION),
    st.just([0.0] * DIMENSION),
    st.lists(_odd_number, max_size=8),
    st.builds(lambda value: [value] * DIMENSION, _odd_number),
    _value,
)
_contexts = st.lists(st.lists(_vector, min_size=4, max_size=6), max_size=2)
_good_vector = st.sampled_from(
    [[0.1] * DIMENSION, [-1.0] + [0.0] * (DIMENSION - 1), [1e6] * DIMENSION, [1e-5] * DIMENSION]
)
_good_text = st.one_of(st.text(min_size=1, max_size=200).filter(str.split), st.just(EIFFEL))
_good: dict[str, list[dict[str, Any]]] = {
    "/chat": [
        {"paragraph": _good_text, "steps": st.integers(1, 5), "fill": st.sampled_from(["neighbours", "repeat"])},
        {"messages": st.lists(_good_text, min_size=1, max_size=5), "candidates": st.integers(1, 20)},
    ],
    "/predict": [{"contexts": st.lists(st.lists(_good_vector, min_size=5, max_size=5), min_size=1, max_size=2)}],
    "/retrieve": [
        {"text": _good_text, "count": st.integers(1, 50)},
        {"vector": _good_vector, "count": st.integers(1, 50)},
    ],
}
"""Requests that are answered, by endpoint."""

_odd = {
    "paragraph": st.one_of(_odd_text, _value),
    "messages": st.one_of(st.lists(_odd_text, max_size=7), _value),
    "steps": st.one_of(st.integers(0, 6), _scalar),
    "candidates": st.one_of(st.integers(0, 21), _scalar),
    "fill": _scalar,
    "contexts": st.one_of(_contexts, _value),
    "text": st.one_of(_odd_text, _value),
    "vector": _vector,
    "count": st.one_of(st.integers(0, 51), _scalar),
    "__proto__": _value,
    "model": _odd_text,
}
"""What stands in the place of a field, or beside the others."""


def _dump(value: Any, ascii_only: bool) -> bytes:
    return json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")


def _damage(body: bytes, at: int, with_bytes: bytes) -> bytes:
    where = at % (len(body) + 1)
    return body[:where] + with_bytes + body[where + 1 :]


@st.composite
def _near(draw: st.DrawFn) -> tuple[str, bytes]:
    """An endpoint, and a body for it of which none, one or two fields are odd."""
    path = draw(st.sampled_from(PATHS))
    value = draw(st.fixed_dictionaries(draw(st.sampled_from(_good[path]))))
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 1, 2]))):
        name = draw(st.sampled_from([*value, *_odd]))
        value[name] = draw(_odd[name])
    return path, _dump(value, draw(st.booleans()))


_noise = st.one_of(
    st.builds(_dump, _value, st.booleans()),
    st.binary(max_size=60),
    st.builds(
        lambda mark, count: mark * count,
        st.sampled_from([b"[", b'{"a":', b'[{"b":[', b'"', b"9"]),
        st.integers(1, 9000),
    ),
    st.sampled_from(
        [b'{"paragraph": "\\ud800\\ud800"}', b'{"text": "\\udc00"}', b"\xef\xbb\xbf{}", b'{"steps": 1e99999}']
    ),
)
_methods = ["POST", "GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "BREW"]
_media = ["text/plain", "", "application/json;" * 50, "multipart/form-data"]
_other_paths = ["/", "/health", "/info", "/metrics", "/openapi.json", "/chat?x=1", "//chat", "/chat/../info"]


@st.composite
def _requests(draw: st.DrawFn) -> Request:
    """Of twenty, twelve to an endpoint with an almost proper body, five with noise or damage, three of any kind."""
    kind, chunked = draw(st.sampled_from(range(20))), draw(st.sampled_from([False, False, True]))
    path, body = draw(_near())
    if kind < 12:
        return Request("POST", path, body, "application/json", chunked)
    if kind < 14:
        body = _damage(body, draw(st.integers(0, 10_000)), draw(st.binary(max_size=3)))
        return Request("POST", path, body, "application/json", chunked)
    if kind < 17:
        return Request("POST", path, draw(_noise), "application/json", chunked)
    written = st.text(st.characters(codec="utf-8"), max_size=20).map(lambda text: "/" + quote(text))
    anywhere = draw(st.one_of(st.sampled_from([*PATHS, *_other_paths]), written))
    return Request(draw(st.sampled_from(_methods)), anywhere, body, draw(st.sampled_from(_media)), chunked)


requests = _requests()


def check(service: Running, connection: Any, request: Request) -> None:
    """Send it: the answer is no failure of ours, tells nothing of the inside, and a refusal is one sentence."""
    pieces = (request.body[start : start + 100] for start in range(0, len(request.body), 100))
    body = pieces if request.chunked else request.body
    headers = {"Content-Type": request.media}
    if request.chunked:
        headers["Transfer-Encoding"] = "chunked"
    answer = ask(connection, request.method, request.path, body, headers)
    assert answer.status < 500, (request, answer)
    assert b"Traceback" not in answer.body
    assert b'File "' not in answer.body
    if answer.status >= 400 and request.method != "HEAD":
        told = answer.json
        assert set(told) == {"error"}, answer
        assert 0 < len(told["error"]) < 600
        assert told["error"].isprintable()


_HEAD = b"POST /chat HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
RAW = [
    b"\x00\x01\x02\x03\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,  # TLS
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
    b"GET / HTTP/1.1\r\nHost a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    _HEAD + b"Content-Length: -1\r\n\r\n{}",
    _HEAD + b"Content-Length: 9999999999999999999999\r\n\r\n{}",
    _HEAD + f"Content-Length: {BODY_BYTES + 1}\r\n\r\n{{}}".encode(),
    _HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    _HEAD + b"Content-Length: \xb2\r\n\r\n{}",
    _HEAD + b"Content-Length: 100\r\n\r\n{",  # the rest never comes
    _HEAD + b"Content-Length: 100\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    _HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    _HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}",
    _HEAD + b"Transfer-Encoding: gzip\r\n\r\n{}",
    _HEAD + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
    _HEAD + b"Upgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n",
    _HEAD + b"Content-Length: 60\r\n\r\n" + json.dumps({"paragraph": EIFFEL}).encode(),  # and away before the answer
    _HEAD + b"Content-Length: 2\r\n\r\n{}" * 50,
]
"""What is written to the socket before it is closed."""


def throw(port: int, raw: bytes, *, wait: bool) -> bytes:
    """Write bytes to a new connection; what comes back before it is closed by either side (nothing unless `wait`)."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=0.4) as connection:
        try:
            connection.sendall(raw)
            while wait and (part := connection.recv(65_536)):
                received += part
        except (TimeoutError, ConnectionError):
            pass
    return received
