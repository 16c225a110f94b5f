"""The server: a service on a socket until a signal ends it."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from lvm_core.service.app import make_app
from lvm_core.service.listening import address_of
from lvm_core.service.state import Service


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
    """Answer at once, load in the background, and return after SIGTERM or Ctrl-C when the last request is answered.

    Raises:
        LvmError: the service could not be loaded.
    """
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
