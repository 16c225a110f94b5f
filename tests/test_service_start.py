"""The service from its start to its end: refusals in one line, health while loading, signals."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import sys
import time

import numpy as np
import pytest
import torch

from lvm_core.bank.encoder_files import find_model
from lvm_core.models.checkpoint import load_tensors, save_tensors
from lvm_core.runtime.files import write_json, write_npy
from lvm_core.runtime.readers import read_json
from lvm_core.service.app import listen
from tests.calling import one_clear_line, run_stage
from tests.processes import catches, start, wait_for
from tests.service_server import (
    EIFFEL,
    ENCODER,
    ask,
    command,
    serving,
    together,
    write_calibration,
    write_model,
    write_vector_bank,
)
from tests.service_server import start as start_service
from tests.test_service_load import hammer

pytestmark = pytest.mark.xdist_group("service")

DIMENSION = 16


@pytest.fixture(scope="module")
def vectors_folder(tmp_path_factory):
    """A bank of imported vectors and a model that fits: loaded without the libraries of the encoder."""
    folder = tmp_path_factory.mktemp("imported")
    write_model(folder / "models/small", write_vector_bank(folder / "bank", DIMENSION))
    return folder


@pytest.fixture
def folder(vectors_folder, tmp_path):
    """A copy of it, to damage."""
    return shutil.copytree(vectors_folder, tmp_path, dirs_exist_ok=True)


def refusal(folder, *arguments):
    """The one line of a service that refuses to start."""
    line = ["lvm_core.service", "--model", "models/small", "--bank", "bank", "--port", "0", "--threads", "1"]
    return one_clear_line(run_stage([*line, *map(str, arguments)], folder))


def edit(path, **values):
    write_json(path, {**read_json(path), **values})


def test_no_such_model(folder):
    assert "there are small" in refusal(folder, "--model", "models/other")
    assert "run `make repro`" in refusal(folder, "--model", "nowhere/other")


def test_wrong_arguments(folder):
    assert "--port: 'x' is not a whole number from 0 to 65535" in refusal(folder, "--port", "x")
    assert "--steps: '17'" in refusal(folder, "--steps", "17")
    assert "unrecognized arguments: --colour" in refusal(folder, "--colour")
    for host in ("no.such.host.invalid", "a..b", "x" * 64, "[::1]", "localhost:9007", "http://localhost"):
        assert "cannot be listened on" in refusal(folder, "--host", host)
    for host in ("", " ", "\t"):  # an empty one would be every network
        assert "--host is empty: name an address" in refusal(folder, "--host", host)


def test_a_port_that_is_taken(folder, service):
    assert f"--port {service.port}: cannot be listened on" in refusal(folder, "--port", service.port)


def test_a_missing_package(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "lvm_core.service.app", raising=False)
    assert "needs uvicorn: pip install 'lvm-lab[service]'" in refusal(folder)


def test_a_bank_of_another_dimension(folder):
    write_vector_bank(folder / "other", DIMENSION + 1)
    assert "dimension 16, other holds 17" in refusal(folder, "--bank", "other")


def test_a_bank_of_another_encoder(folder):
    edit(folder / "bank/bank.json", encoder="another", encoder_sha256="0" * 64)
    assert "was trained on vectors of encoder" in refusal(folder)


def test_another_bank(folder):
    info = write_vector_bank(folder / "bank", DIMENSION)
    changed = np.load(folder / "bank/vectors.npy")[::-1].copy()
    write_npy(folder / "bank/vectors.npy", changed)
    assert "is not what bank.json says" in refusal(folder)
    write_model(folder / "models/small", info)
    edit(folder / "models/small/model.json", data_sha256="0" * 64)
    assert "was trained on another bank" in refusal(folder)


@pytest.mark.parametrize(
    "name",
    [
        "bank/bank.json",
        "bank/vectors.npy",
        "bank/chunks.parquet",
        "bank/articles.parquet",
        "models/small/model.safetensors",
    ],
)
def test_files_that_are_missing_or_cut_short(folder, name):
    path = folder / name
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert path.name in refusal(folder)
    path.unlink()
    assert path.name in refusal(folder)


def test_weights_that_are_no_numbers(folder):
    path = folder / "models/small/model.safetensors"
    save_tensors(path, {name: torch.full_like(one, torch.nan) for name, one in load_tensors(path).items()})
    assert "not finite" in refusal(folder)


def test_a_calibration_that_does_not_fit(folder, service_folder):
    assert "cannot be read" in refusal(folder, "--calibration", "nothing.json")
    other = service_folder / "models/small/calibration.json"
    assert "was measured on another model or bank" in refusal(folder, "--calibration", other)
    (folder / "models/small/calibration.json").write_text("[]")
    assert "calibration.json: calibration = []: " in refusal(folder)


def test_an_encoder_that_is_not_the_banks(folder, service_folder):
    shutil.copytree(service_folder, folder, dirs_exist_ok=True)
    own = folder / "encoders" / ENCODER
    shutil.copytree(find_model(ENCODER), own, copy_function=os.link)
    pooling = read_json(own / "1_Pooling/config.json")
    (own / "1_Pooling/config.json").unlink()
    write_json(own / "1_Pooling/config.json", {**pooling, "pooling_mode_cls_token": True})
    assert "was encoded by 'all-MiniLM-L6-v2' with other files" in refusal(folder)
    edit(folder / "bank/bank.json", encoder="nowhere")
    assert "'nowhere'" in refusal(folder)


def test_from_starting_to_the_end_without_an_encoder(vectors_folder):
    """Health while loading and after it, text refused in words, and a request half sent when SIGTERM comes."""
    running = start_service(vectors_folder, "--queue", "1", "--max-batch", "1", fresh=True)
    body = json.dumps({"contexts": [[[0.5] * DIMENSION] * 5] * 40}).encode()
    try:
        first = running.get("/health")
        assert (first.status, first.json["status"]) == (503, "starting")
        assert first.json["reasons"]
        early = running.once("POST", "/predict", body)
        assert (early.status, early.headers["Retry-After"]) == (503, "2")
        assert "starting" in early.json["error"]
        assert running.get("/openapi.json").status == 200
        running.wait_ready()

        described = running.get("/openapi.json").json["components"]["schemas"]
        assert described["ChatRequest"]["examples"] == []
        assert [list(one) for one in described["RetrieveRequest"]["examples"]] == [["vector", "count"]]
        assert running.post("/retrieve", described["RetrieveRequest"]["examples"][0]).status == 200
        told = running.get("/health").json
        assert told["status"] == "degraded"
        assert any("no calibration" in reason for reason in told["reasons"])
        assert any("no encoder" in reason for reason in told["reasons"])
        assert running.get("/info").json["encoder"] is None
        for path, asked in (("/chat", {"paragraph": EIFFEL}), ("/retrieve", {"text": EIFFEL})):
            answer = running.post(path, asked)
            assert (answer.status, "imported vectors" in answer.json["error"]) == (422, True)
        assert len(running.post("/retrieve", {"vector": [1.0] * DIMENSION}).json["candidates"]) == 5

        statuses, _ = hammer(running, 0.7, "/predict", body)
        assert set(statuses) == {200, 429}

        halves = [running.connect() for _ in range(4)]
        for half in halves:
            half.putrequest("POST", "/predict")
            half.putheader("Content-Type", "application/json")
            half.putheader("Content-Length", str(len(body)))
            half.endheaders(body[:1000])
        time.sleep(0.3)
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert running.process.poll() is None
        for half in halves:  # one after the other: no more than one may wait
            half.send(body[1000:])
            assert half.getresponse().status == 200
            half.close()
        assert running.process.wait(timeout=30) == 0
        assert running.lines[-1] == "service: ended\n"
        assert not running.errors
    finally:
        running.process.kill()


def test_an_answer_does_not_wait_for_an_acknowledgement():
    """With Nagle's algorithm every answer over a connection that stays open takes 40 ms."""
    with listen("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize(("number", "fresh"), [(signal.SIGTERM, True), (signal.SIGINT, False)])
def test_a_signal_while_loading(vectors_folder, number, fresh):
    running = start_service(vectors_folder, fresh=fresh)
    assert running.stop(number) == 0
    assert running.lines[-1] == "service: ended\n"
    assert not running.errors


def test_ctrl_c_while_importing(vectors_folder):
    process = start(command("--model", "models/small", "--bank", "bank", "--port", "0"), vectors_folder)
    wait_for(lambda: catches(process, signal.SIGTERM), process)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert output.splitlines()[-1] == "service: ended"


def test_help_tells_the_options(vectors_folder):
    done = run_stage(["lvm_core.service", "--help"], vectors_folder)
    assert done.returncode == 0
    assert "--max-batch" in done.stdout


@pytest.mark.soak
def test_ready_soon_and_running_requests_finish_at_sigterm(service_folder, tmp_path):
    """The same of real text: requests that are being worked on when SIGTERM comes are answered."""
    begun = time.monotonic()
    with serving(service_folder, fresh=True) as running:
        seconds = time.monotonic() - begun
        print(f"ready after {seconds:.1f} s")
        assert seconds < 60  # 15 on a quiet machine

        def call():
            return running.once("POST", "/chat", json.dumps({"messages": [EIFFEL] * 5, "steps": 5}).encode())

        def end():
            time.sleep(0.03)
            return running.stop()

        *answers, code = together([call] * 24 + [end])
        assert code == 0
        answered = [one.status for one in answers if not isinstance(one, Exception)]
        assert set(answered) == {200}
        # who came after the end of listening got no connection; nobody lost one
        lost = [one for one in answers if isinstance(one, Exception)]
        assert all(isinstance(one, ConnectionRefusedError) for one in lost), lost


def test_a_connection_that_stays_open_does_not_hold_up_the_end(folder):
    write_calibration(folder / "models/small", write_vector_bank(folder / "bank", DIMENSION))
    with serving(folder) as running:
        connection: http.client.HTTPConnection = running.connect()
        assert ask(connection, "GET", "/health").json["reasons"] != []
        begun = time.monotonic()
        assert running.stop() == 0
        assert time.monotonic() - begun < 10
        connection.close()
