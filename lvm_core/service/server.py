"""The socket, and uvicorn with our way of ending."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from lvm_core.runtime.errors import LvmError
from lvm_core.service.app import make_app
from lvm_core.service.state import Service


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
