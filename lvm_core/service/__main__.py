"""Serve a model: `python -m lvm_core.service --model data/models/selected --port 9007`."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from lvm_core.errors import LvmError
from lvm_core.params import PARAMS_FILE, load_group, read_params, set_threads
from lvm_core.service.limits import Settings

USAGE = "usage: python -m lvm_core.service --model DIR [--bank DIR] [--port N] (more with --help)"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise LvmError(f"{message}; {USAGE}")


def main(arguments: list[str]) -> None:
    """Parse the command line, bind the port, serve until SIGTERM or Ctrl-C.

    Raises:
        LvmError: something is missing or does not fit together.
    """
    asked = _parser().parse_args(arguments)
    settings = _settings(asked)
    set_threads(settings.threads)
    try:
        import uvicorn

        from lvm_core.service.app import make_app
    except ImportError as error:
        raise LvmError(f"the service needs {error.name}: pip install 'lvm-lab[service]'") from None
    _check_model(asked.model)
    listening = listen(asked.host, asked.port)
    from lvm_core.service.state import Service

    service = Service(_loader(asked, settings), settings, asked.model.name, Path("metrics"))

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            """As uvicorn's, without raising the signal anew at the end: finished requests are a good end."""
            numbers = (signal.SIGINT, signal.SIGTERM)
            before = {number: signal.signal(number, self.handle_exit) for number in numbers}
            try:
                yield
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)

    config = uvicorn.Config(
        make_app(service),
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(settings.patience),
        timeout_keep_alive=30,
    )
    server = Server(config)
    address = f"http://{asked.host}:{listening.getsockname()[1]}"
    print(f"service: loading {asked.model} for {address}", flush=True)

    def ready(seconds: float) -> None:
        print(f"service: ready after {seconds:.1f} s; open {address}", flush=True)

    def failed() -> None:
        server.should_exit = True

    service.start(ready, failed)
    server.run(sockets=[listening])
    service.close()
    if service.error is not None:
        raise service.error
    print("service: ended", flush=True)
    if service.loading:
        os._exit(0)  # an interpreter that ends beside a thread in the midst of importing torch may crash


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m lvm_core.service", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="model directory, as data/models/selected")
    parser.add_argument("--bank", type=Path, default=Path("data/bank"), help="bank it was trained on (%(default)s)")
    parser.add_argument("--calibration", type=Path, help="its calibration (found beside the model)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s: this machine only)")
    parser.add_argument("--port", type=_number(0, 65535), default=9007, help="%(default)s; 0: any free one")
    parser.add_argument("--threads", type=_number(1, 1024), default=2, help="processor threads (%(default)s)")
    parser.add_argument("--queue", type=_number(1, 100_000), default=64, help="requests that may wait (%(default)s)")
    parser.add_argument("--max-batch", type=_number(1, 1024), default=16, help="worked on together (%(default)s)")
    parser.add_argument("--fill", choices=["repeat", "neighbours"], help="of short contexts (service.fill)")
    parser.add_argument("--steps", type=_number(1, 16), help="most chunks ahead (service.steps)")
    return parser


def _number(low: int, high: int) -> Any:
    def number(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
        return int(text)

    return number


def _settings(asked: argparse.Namespace) -> Settings:
    """The command line over params.yaml (where there is one) over the defaults."""
    values: dict[str, Any] = {"threads": asked.threads, "queue": asked.queue, "max_batch": asked.max_batch}
    if PARAMS_FILE.is_file():
        from lvm_core.continuation.params import ServiceParams
        from lvm_core.corpus.params import CorpusParams

        params = read_params()
        service: ServiceParams = load_group(params, "service", ServiceParams)
        corpus: CorpusParams = load_group(params, "corpus", CorpusParams)
        values |= {"fill": service.fill, "steps": service.steps}
        values |= {"min_chars": corpus.min_chars, "max_chars": corpus.max_chars}
    given = {key: value for key in ("fill", "steps") if (value := getattr(asked, key)) is not None}
    return Settings(**(values | given))


def _check_model(directory: Path) -> None:
    if not (directory / "model.json").is_file():
        there = sorted(path.parent.name for path in directory.parent.glob("*/model.json"))
        known = f"; there are {', '.join(there)}" if there else "; run `make repro` to train some"
        raise LvmError(f"{directory}: is no model directory (it has no model.json){known}")


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; connections made over it send small packets at once.

    Raises:
        LvmError: the port is taken, or the address is not ours.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise LvmError(f"--host {host} --port {port}: cannot be listened on ({error.strerror}); name another") from None
    # Inherited by the connections, for which asyncio does not set it (it does for sockets made with IPPROTO_TCP named):
    # else the second packet of every answer waits 40 ms for the client to acknowledge the first.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def _loader(asked: argparse.Namespace, settings: Settings) -> Any:
    def load() -> Any:
        from lvm_core.hardware import use_threads
        from lvm_core.service.loading import load_parts

        use_threads(settings.threads)
        return load_parts(asked.model, asked.bank, asked.calibration)

    return load


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except LvmError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(1) from None
