"""The socket that the service listens on."""

from __future__ import annotations

import socket

from lvm_core.errors import LvmError


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


def address_of(listening: socket.socket) -> str:
    """The address of a listening socket, to be opened in a browser."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
