"""Ctrl-C, SIGTERM, a closed terminal: a stage ends within two seconds, and never within a step that must stay whole."""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

GRACE_SECONDS = 1.0
"""How long a stage may take to save its progress and end by itself before it is ended."""

MESSAGE = "interrupted: run `dvc repro` again to go on from the last saved point"


class Interrupted(KeyboardInterrupt):
    """A signal, whose number is the argument, asks the stage to end."""


def signals() -> list[signal.Signals]:
    """Ctrl-C, `kill` and a closed terminal (unless the program was started with nohup)."""
    hangup = [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN else []
    return [signal.SIGINT, signal.SIGTERM, *hangup]


def exit_code(interrupt: KeyboardInterrupt) -> int:
    """What a shell reports of a program that a signal ended: 128 + the signal's number."""
    return 128 + (interrupt.args[0] if isinstance(interrupt, Interrupted) else signal.SIGINT)


def exit_at_once() -> None:
    """Until `interruptible` is entered, a signal prints the one line and ends the process: there is nothing to save.

    For the seconds in which a stage imports its libraries, where an exception would end in a traceback.
    """
    for number in signals():
        signal.signal(number, lambda number, frame: _end(number))


@contextmanager
def interruptible() -> Iterator[None]:
    """Inside, the first signal raises `Interrupted` in the main thread, and later ones are ignored.

    If the process has not ended `GRACE_SECONDS` later (a long computation in C notices no signal), it is ended: all
    files are written whole or not at all, so that only work since the last saved point is lost. Elsewhere than in the
    main thread this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []

    def handler(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if len(received) == 1:
            raise Interrupted(number)

    before = {number: signal.signal(number, handler) for number in signals()}
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    # The interpreter writes to this at once, also while the main thread is in a C function.
    fd_before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reader,), daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(fd_before)
        for number, earlier in before.items():
            if signal.getsignal(number) is handler:  # else they are ignored from now on
                signal.signal(number, earlier)
        writer.close()


def _watch(reader: socket.socket) -> None:
    """Wait for a signal; if the process is still there after the grace, end it. Ends when the other side is closed."""
    with reader:
        while received := reader.recv(1):
            if received[0] in signals():
                time.sleep(GRACE_SECONDS)
                reader.setblocking(False)
                with suppress(BlockingIOError):
                    while reader.recv(64):
                        pass  # further signals
                    return  # closed: it ended by itself, or went on in a caller's `except`
                _end(received[0])


def ignore_further_signals() -> None:
    """From now on nothing more is said or done at a signal: the stage is ending."""
    for number in signals():
        signal.signal(number, signal.SIG_IGN)


def say_how_to_go_on() -> None:
    """Print the one line of an interrupted stage, if anybody can take it: a pipe that nobody reads must not keep us."""
    with suppress(OSError, ValueError):  # the terminal may be gone
        if select.select([], [2], [], 0)[1]:
            os.write(2, f"{MESSAGE}\n".encode())


def _end(number: int) -> None:
    say_how_to_go_on()
    os._exit(128 + number)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Inside, a signal waits for the end of the block: for steps that must be done whole or not at all."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[tuple[int, FrameType | None]] = []
    before = {number: signal.signal(number, lambda *signalled: received.append(signalled)) for number in signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if received:
        first, frame = received[0]
        handler = before[signal.Signals(first)]
        if callable(handler):
            handler(first, frame)
        else:
            os.kill(os.getpid(), first)
