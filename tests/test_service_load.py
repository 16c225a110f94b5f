"""Many clients at once: micro-batches, no error; a full queue is said, and nobody waits for ever."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from types import SimpleNamespace

import pytest

from lvm_core.service.schemas import Settings
from lvm_core.service.state import Batcher, Refused, Service
from tests.service_server import EIFFEL, ask, together

pytestmark = pytest.mark.xdist_group("service")

CLIENTS = 16


def hammer(service, seconds, path="/chat", body=b'{"messages": ["The river runs through the town."]}'):
    """Statuses of all answers to `CLIENTS` clients that ask without a pause, and the longest wait in milliseconds."""
    end = time.monotonic() + seconds

    def client():
        connection, longest = service.connect(), 0.0
        seen: Counter[int] = Counter()
        while time.monotonic() < end:
            answer = ask(connection, "POST", path, body)
            assert answer.status != 429 or int(answer.headers["Retry-After"]) >= 1
            seen[answer.status] += 1
            longest = max(longest, answer.ms)
        connection.close()
        return seen, longest

    results = together([client] * CLIENTS)
    errors = [one for one in results if isinstance(one, Exception)]
    assert not errors
    return sum((seen for seen, _ in results), Counter()), max(longest for _, longest in results)


def batches(service):
    """Number of batches of /chat, and of those with more than one request."""
    text = service.get("/metrics").body.decode()
    count, alone = (
        sum(map(float, re.findall(rf'lvm_batch_size_{name}{{{more}operation="chat"}} ([0-9.]+)', text)))
        for name, more in (("count", ""), ("bucket", 'le="1.0",'))
    )
    return count, count - alone


@pytest.mark.parametrize("seconds", [1.5, pytest.param(60, marks=pytest.mark.soak)])
def test_sixteen_clients(service, seconds):
    service.post("/chat", {"messages": [EIFFEL]})
    before = batches(service)
    statuses, longest = hammer(service, seconds)
    after = batches(service)
    print(f"{dict(statuses)} in {seconds} s, longest {longest:.0f} ms, batches {after[0] - before[0]:.0f}")
    assert set(statuses) == {200}
    assert after[1] > before[1]
    assert after[0] - before[0] < statuses[200]
    assert longest < 20_000


class Slow:
    """Work that waits to be let go."""

    def __init__(self):
        self.go, self.begun = threading.Event(), threading.Event()
        self.sizes = []

    def __call__(self, jobs):
        self.sizes.append(len(jobs))
        self.begun.set()
        assert self.go.wait(30)
        if any(job.request == "bad" for job in jobs):
            raise ValueError("bad")
        return [job.request for job in jobs]


def batcher(slow, size=4, max_batch=8):
    return Batcher({"work": slow}, size, max_batch, lambda kind, count: None)


def test_what_waits_is_taken_together_and_the_next_one_is_refused():
    slow = Slow()
    one = batcher(slow)
    first = one.submit("work", 0)
    assert slow.begun.wait(10)
    waiting = [one.submit("work", number) for number in range(1, 5)]
    assert one.depth == 4
    with pytest.raises(Refused, match="busy: 4 requests wait already"):
        one.submit("work", 5)
    slow.go.set()
    assert [future.result(10) for future in (first, *waiting)] == [0, 1, 2, 3, 4]
    assert slow.sizes == [1, 4]
    one.close()
    with pytest.raises(Refused, match="stopping"):
        one.submit("work", 6)


def test_one_bad_request_fails_alone():
    slow = Slow()
    one = batcher(slow)
    first = one.submit("work", 0)
    assert slow.begun.wait(10)
    waiting = [one.submit("work", request) for request in ("good", "bad", "better")]
    slow.go.set()
    assert first.result(10) == 0
    assert waiting[0].result(10) == "good"
    assert waiting[2].result(10) == "better"
    with pytest.raises(ValueError, match="bad"):
        waiting[1].result(10)
    one.close()


def test_what_was_given_up_is_not_worked_on():
    slow = Slow()
    one = batcher(slow)
    one.submit("work", 0)
    assert slow.begun.wait(10)
    given_up, kept = one.submit("work", 1), one.submit("work", 2)
    assert given_up.cancel()
    slow.go.set()
    assert kept.result(10) == 2
    assert slow.sizes == [1, 1]
    one.close()


def test_closing_finishes_what_waits():
    slow = Slow()
    one = batcher(slow)
    futures = [one.submit("work", number) for number in range(3)]
    threading.Timer(0.1, slow.go.set).start()
    one.close()
    assert [future.result(0) for future in futures] == [0, 1, 2]


async def _ask(service):
    return await service.answer("chat", None)


def served(slow, **settings):
    """A service whose work is that."""
    import asyncio

    one = Service(lambda: None, Settings(**settings), "small")
    one._batcher, one._engine = (
        batcher(slow, settings.get("queue", 64)),
        SimpleNamespace(parts=SimpleNamespace(encoder=True)),
    )
    one._batcher._work = {"chat": slow}
    return one, lambda: asyncio.run(_ask(one))


def test_an_answer_that_does_not_come_in_time_is_said():
    slow = Slow()
    service, call = served(slow, patience=0.1)
    with pytest.raises(Refused, match=r"no answer within 0.1 seconds") as told:
        call()
    assert (told.value.status_code, told.value.headers) == (503, {"Retry-After": "5"})
    slow.go.set()
    service.close()
    with pytest.raises(Refused, match="stopping") as told:
        call()
    assert told.value.status_code == 503
    assert service.health().status == "stopping"


def test_closing_a_service_finishes_what_waits():
    slow = Slow()
    service, _ = served(slow)
    futures = [service._batcher.submit("chat", number) for number in range(3)]
    threading.Timer(0.1, slow.go.set).start()
    service.close()
    assert [future.result(0) for future in futures] == [0, 1, 2]


def test_a_service_that_is_not_loaded_says_so():
    import asyncio

    service = Service(lambda: None, Settings(), "small")
    assert service.health().status == "starting"
    with pytest.raises(Refused, match="starting") as told:
        asyncio.run(_ask(service))
    assert (told.value.status_code, told.value.headers) == (503, {"Retry-After": "2"})


def test_a_defect_in_reading_the_body_is_a_failure_of_ours(monkeypatch, capsys):
    import asyncio

    from lvm_core.service import app, bodies

    async def ask_it():
        sent: list[dict] = []

        async def receive():
            return {"type": "http.request", "body": b'{"steps": 2}', "more_body": False}

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/chat", "query_string": b"", "root_path": ""}
        await application({**scope, "headers": [(b"content-type", b"application/json")]}, receive, send)
        return sent[0]["status"], sent[1]["body"]

    monkeypatch.setattr(bodies, "_whole_number", lambda digits: {}[digits])
    application = app.make_app(Service(lambda: None, Settings(), "small"))
    status, body = asyncio.run(ask_it())
    assert (status, b"its log says why" in body) == (500, True)
    assert "KeyError" in capsys.readouterr().err
