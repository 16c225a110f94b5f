"""Hostile requests: never a failure of ours, a traceback, a hang or memory that grows."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.hostile import RAW, Request, check, requests, throw
from tests.service_server import EIFFEL

pytestmark = pytest.mark.xdist_group("service")

quiet = settings(deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def resident_megabytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("VmRSS"))


@pytest.fixture(scope="module")
def connection(service):
    """A connection that stays open."""
    with closing(service.connect()) as connection:
        yield connection


@settings(quiet, max_examples=100)
@given(request=requests)
def test_generated_requests(service, connection, request):
    check(service, connection, request)


def test_the_service_is_well_after_raw_bytes(service):
    for raw in RAW:
        for wait in (False, True):
            received = throw(service.port, raw, wait=wait)
            assert b"Traceback" not in received
            assert b" 500 " not in received
    health = service.get("/health")
    assert (health.status, health.json["status"], health.json["reasons"]) == (200, "ready", [])
    assert service.post("/chat", {"paragraph": EIFFEL}).status == 200
    assert not [line for line in service.errors if "Traceback" in line], service.errors


@pytest.mark.soak
def test_ten_thousand_requests_and_flat_memory(service):
    connection = service.connect()  # closed when the service ends
    sizes: list[int] = []
    asked: list[Request] = []

    @settings(quiet, max_examples=10_000, phases=[Phase.generate])
    @given(request=requests)
    def send(request):
        check(service, connection, request)
        asked.append(request)
        if len(asked) % 1000 == 0:
            sizes.append(resident_megabytes(service.process.pid))

    send()
    print(f"{len(asked):,} requests; resident megabytes after each thousand: {sizes}")
    assert len(asked) >= 9_000  # hypothesis may end early when it has seen everything
    assert max(sizes[-3:]) - min(sizes[1:4]) <= 20
    assert service.get("/health").json["status"] == "ready"
