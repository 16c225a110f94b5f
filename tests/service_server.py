"""The real service as a process of its own, with a small real model, and a plain client of it."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from lvm_core.bank import BankInfo, content_sha256
from lvm_core.bank.encoder import Encoder
from lvm_core.config.models import ModelParams
from lvm_core.config.params import validate
from lvm_core.models import build_model
from lvm_core.models.checkpoint import ModelInfo, save_model
from lvm_core.runtime.files import sha256_of, write_npy, write_parquet
from lvm_core.service.confidence import Calibration, Curve
from tests.processes import Process, fork_stage
from tests.processes import start as start_process

ENCODER = "all-MiniLM-L6-v2"
DIMENSION = 384
EIFFEL = "The Eiffel Tower is located in Paris, France."
START_SECONDS = 120.0
"""Seconds in which a service is ready: eight on a quiet machine, and tests run on busy ones too."""

CITIES = ("Paris", "Rome", "Cairo", "Lima", "Oslo", "Delhi", "Kyoto", "Quito", "Accra", "Perth")
SENTENCES = (
    "{} is a city with a long history, and its oldest quarter is the one that visitors see first.",
    "The river that runs through {} was for centuries the way by which grain and timber came to its markets.",
    "A fire destroyed the wooden bridges of {}; they were built anew in stone within ten years.",
    "The university of {} teaches law and medicine, and its library keeps thousands of manuscripts.",
    "Every spring the people of {} hold a feast with music, at which bread and honey are given away.",
    "Today most of those who live in {} work in trade, in its hospitals, or on the railway.",
)
ARCHITECTURE = {
    **{"family": "transformer", "d_model": 32, "layers": 1, "heads": 2, "ffn": 64, "dropout": 0.0},
    **{"head": "mixture", "mixture_start": "last", "normaliser": None, "noise": None},
    **{"pos_scalar": None, "pos_ramp": None, "last_slot_bias": None},
}


def write_text_bank(directory: Path) -> BankInfo:
    """A bank of sixty real sentences, encoded by the real encoder; ten articles of six."""
    encoder = Encoder(ENCODER, batch_size=32, precision="fp32", device=torch.device("cpu"))
    texts = [sentence.format(city) for city in CITIES for sentence in SENTENCES]
    vectors = encoder.encode(texts)
    info = BankInfo(ENCODER, encoder.sha256, "fp32", [], DIMENSION, len(texts), content_sha256(vectors))
    _write_bank(directory, texts, vectors, info)
    return info


def write_vector_bank(directory: Path, dimension: int = 16) -> BankInfo:
    """A bank of imported vectors: no encoder."""
    vectors = np.random.default_rng(0).standard_normal((60, dimension)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    info = BankInfo("", "", "", [], dimension, len(vectors), content_sha256(vectors))
    _write_bank(directory, [f"text {row}" for row in range(len(vectors))], vectors, info)
    return info


def _write_bank(directory: Path, texts: list[str], vectors: np.ndarray, info: BankInfo) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    size = len(SENTENCES)
    articles = {
        "article_id": [f"city/{name}" for name in CITIES],
        "title": list(CITIES),
        "source": ["cities"] * len(CITIES),
        "split": ["train"] * 7 + ["dev", "val", "ood"],
        "first_row": np.arange(len(CITIES)) * size,
        "n_chunks": [size] * len(CITIES),
    }
    chunks = {
        "article_id": np.repeat([f"city/{name}" for name in CITIES], size),
        "chunk_index": np.tile(np.arange(size), len(CITIES)),
        "text": texts,
    }
    write_npy(directory / "vectors.npy", vectors)
    write_parquet(directory / "articles.parquet", pd.DataFrame(articles))
    write_parquet(directory / "chunks.parquet", pd.DataFrame(chunks))
    info.write(directory)


def write_model(
    directory: Path, bank: BankInfo, name: str = "small", architecture: dict[str, Any] = ARCHITECTURE
) -> None:
    """A model with drawn weights that fits a bank."""
    torch.manual_seed(0)
    module = build_model(validate(architecture, ModelParams, "architecture"), bank.dimension)
    if module.centre is not None:
        module.centre = torch.randn(bank.dimension) / bank.dimension**0.5
    for parameter in module.parameters():  # as it is built it repeats the last chunk, which would hide mistakes
        parameter.data += 0.3 * torch.randn_like(parameter)
    info = ModelInfo(
        recipe={"name": name, "losses": {"mse": {"weight": 1.0}}},
        phase="c",
        epoch=1,
        dimension=bank.dimension,
        encoder=bank.encoder,
        encoder_sha256=bank.encoder_sha256,
        data_sha256=bank.content_sha256,
        precision="fp32",
        processor_features=[],
        n_parameters=sum(one.numel() for one in module.parameters()),
        architecture=architecture,
        history=[{"epoch": 1, "phase": "c", "lr": 0.001, "train_loss": 1.0, "dev_recall_at_5": 0.5}],
    )
    save_model(directory, module.state_dict(), info)


def write_calibration(model: Path, bank: BankInfo, steps: int = 5) -> None:
    """A calibration of that model: rate 0.25, from a lead of 0.1 on 0.75."""
    kinds = [("given", 5), *((fill, given) for fill in ("neighbours", "repeat") for given in range(1, 5))]
    curves = [
        Curve(fill=fill, given=given, step=step, windows=200, scores=[0.0, 0.1], rates=[0.25, 0.75])
        for fill, given in kinds
        for step in range(1, steps + 1)
    ]
    weights = sha256_of(model / "model.safetensors")
    calibration = Calibration(model="small", model_sha256=weights, bank_sha256=bank.content_sha256, curves=curves)
    calibration.write(model / "calibration.json")


def write_small(folder: Path) -> None:
    """`bank` and `models/small` (calibrated) in a folder: what the tests serve."""
    info = write_text_bank(folder / "bank")
    write_model(folder / "models/small", info)
    write_calibration(folder / "models/small", info)


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Message
    body: bytes
    ms: float = 0.0

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Running:
    """A service that runs."""

    process: Process
    port: int
    lines: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self, timeout: float = 60.0) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def get(self, path: str) -> Answer:
        return self.once("GET", path)

    def post(self, path: str, value: Any) -> Answer:
        return self.once("POST", path, json.dumps(value).encode())

    def once(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """One request over a connection of its own."""
        with contextlib.closing(self.connect()) as connection:
            return ask(connection, method, path, body, headers)

    def wait_ready(self) -> Running:
        """Wait until /health answers 200."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            assert self.process.poll() is None, self.errors
            with contextlib.suppress(OSError):
                if self.get("/health").status == 200:
                    return self
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout=60)


def ask(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """One request over a connection that stays open; a chunked one where the body is an iterable of bytes."""
    begun = time.perf_counter()
    sent = {"Content-Type": "application/json"} if headers is None else headers
    connection.request(method, path, body, dict(sent), encode_chunked=not isinstance(body, bytes | None))
    response = connection.getresponse()
    read = response.read()
    return Answer(response.status, response.headers, read, (time.perf_counter() - begun) * 1e3)


def command(*arguments: str | Path) -> list[str]:
    """The command line of the service."""
    return [sys.executable, "-m", "lvm_core.service", *map(str, arguments)]


def start(
    folder: Path, *arguments: str | Path, model: str = "models/small", bank: str = "bank", fresh: bool = False
) -> Running:
    """Start a service in a folder on a free port; returns when it listens, which is before it is ready.

    It has the libraries already unless it is to be `fresh`.
    """
    line = ["--model", model, "--bank", bank, "--port", "0", "--threads", "1", *map(str, arguments)]
    if fresh:
        process: Process = start_process(command(*line), folder)
    else:
        process = fork_stage(["lvm_core.service", *line], folder)
    assert process.stdout is not None
    first = process.stdout.readline()
    if " for http://" not in first:
        raise AssertionError(f"did not start: {first!r} {process.communicate()}")
    running = Running(process, int(first.rsplit(":", 1)[1]), [first])
    for stream, lines in ((process.stdout, running.lines), (process.stderr, running.errors)):
        threading.Thread(target=_keep, args=(stream, lines), daemon=True).start()
    return running


def _keep(stream: Any, lines: list[str]) -> None:
    lines.extend(stream)


@contextlib.contextmanager
def serving(folder: Path, *arguments: str | Path, **where: Any) -> Iterator[Running]:
    """A ready service, ended afterwards; its log must hold no traceback."""
    running = start(folder, *arguments, **where)
    try:
        yield running.wait_ready()
    finally:
        code = running.stop()
    assert code == 0
    assert not [line for line in running.errors if "Traceback" in line], running.errors


@contextlib.contextmanager
def proxied(service: Running, prefix: str = "/lvm/") -> Iterator[str]:
    """The address of a proxy that has the service under a prefix, which it takes off, and nothing else."""

    class Proxy(BaseHTTPRequestHandler):
        def forward(self) -> None:
            if not self.path.startswith(prefix):
                return self.send_error(404)
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            answer = service.once(self.command, self.path[len(prefix) - 1 :], body, dict(self.headers.items()))
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)
            return None

        do_GET = do_HEAD = do_POST = forward

        def log_message(self, *told: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}{prefix}"
        server.shutdown()


def together(work: Sequence[Callable[[], Any]]) -> list[Any]:
    """Call functions at the same time, each in its own thread; their results, or what they raised."""
    results: list[Any] = [None] * len(work)
    barrier = threading.Barrier(len(work))

    def run(number: int) -> None:
        barrier.wait()
        try:
            results[number] = work[number]()
        except Exception as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
