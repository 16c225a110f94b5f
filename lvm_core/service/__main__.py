"""Starting and ending the server: command line, sockets, signals."""

from __future__ import annotations

import argparse
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn

from lvm_core.config import PARAMS_FILE, load_group, read_params
from lvm_core.runtime.cli import Parser, run_command
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.hardware import set_threads
from lvm_core.service.app import make_app
from lvm_core.service.schemas import Settings
from lvm_core.service.state import Service

if TYPE_CHECKING:
    from lvm_core.service.loading import Parts


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; connections made over it send small packets at once."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise LvmError(f"--host {host} --port {port}: cannot be listened on ({error.strerror}); name another") from None
    # Inherited by the connections, for which asyncio does not set it (it does for sockets made with IPPROTO_TCP named):
    # else the second packet of every answer waits 40 ms for the client to acknowledge the first.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def address_of(listening: socket.socket) -> str:
    """The address of a listening socket, to be opened in a browser."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server(uvicorn.Server):
    """uvicorn's server, for which a signal is a good end once the running requests are finished."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, without raising the signal anew at the end."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def serve(service: Service, listening: socket.socket) -> None:
    """Answer at once, load in the background, and return after SIGTERM or Ctrl-C when the last request is answered."""
    config = uvicorn.Config(
        make_app(service),
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(service.settings.patience),
        timeout_keep_alive=30,
    )
    server = Server(config)

    def ready(seconds: float) -> None:
        print(f"service: ready after {seconds:.1f} s; open {address_of(listening)}", flush=True)

    def failed() -> None:
        server.should_exit = True

    service.start(ready, failed)
    server.run(sockets=[listening])
    service.close()
    if service.error is not None:
        raise service.error


def main(arguments: Sequence[str]) -> None:
    """Parse the command line, bind the port, serve until SIGTERM or Ctrl-C."""
    asked = _parser().parse_args(arguments)
    settings = _settings(asked)
    set_threads(settings.threads)
    try:
        pass
        from lvm_core.service.state import Service
    except ImportError as error:
        raise LvmError(f"the service needs {error.name}: pip install 'lvm-lab[service]'") from None
    _check_model(asked.model)
    listening = listen(asked.host, asked.port)
    print(f"service: loading {asked.model} for {address_of(listening)}", flush=True)
    service = Service(_loader(asked, settings), settings, asked.model.name, Path("metrics"))
    serve(service, listening)
    print("service: ended", flush=True)
    if service.loading:
        os._exit(0)  # an interpreter that ends beside a thread in the midst of importing torch may crash


def _parser() -> argparse.ArgumentParser:
    parser = Parser("python -m lvm_core.service", "--model DIR [--bank DIR] [--port N]", __doc__ or "")
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
        from lvm_core.config.data import CorpusParams
        from lvm_core.config.groups import ServiceParams

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


def _loader(asked: argparse.Namespace, settings: Settings) -> Callable[[], Parts]:
    def load() -> Parts:
        from lvm_core.runtime.hardware import use_threads
        from lvm_core.service.loading import load_parts

        use_threads(settings.threads)
        return load_parts(asked.model, asked.bank, asked.calibration)

    return load


if __name__ == "__main__":
    run_command(main)
