"""`dvc` and `python -m stages.X`, forked from a process that has the libraries: to import them takes seconds each time.

Each command is a process of its own all the same, with the folder, environment and streams of what started it. It is
in another process group, so a kill of the group does not reach it: tests of that start fresh processes.

This file is both ends: the scripts that stand for the two programs run it as `warm.py <socket> dvc ...`.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from contextlib import suppress
from functools import cache

STAGE = "stages."


@cache
def commands() -> str:
    """A folder for the front of PATH. The process that forks starts with the first call and ends with this one."""
    import atexit
    import subprocess
    import tempfile
    from pathlib import Path

    place = tempfile.TemporaryDirectory(prefix="warm")
    for name in ("python", "dvc"):
        script = Path(place.name, name)
        line = f"exec '{sys.executable}' -IS '{__file__}' '{place.name}/socket' {name} \"$@\""
        script.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
        script.chmod(0o755)
    arguments = [sys.executable, __file__, f"{place.name}/socket"]
    process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    atexit.register(place.cleanup)
    atexit.register(process.communicate)  # at the end of its stdin it ends
    return place.name


def ask(path: str, command: list[str]) -> int:
    """Have a command run; its exit code. Python for anything but a stage is started afresh."""
    if command[0] == "python" and not (command[1:2] == ["-m"] and command[2].startswith(STAGE)):
        os.execv(sys.executable, [sys.executable, *command[1:]])
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        told = json.dumps([command, os.getcwd(), dict(os.environ)]).encode()
        socket.send_fds(server, [len(told).to_bytes(8, "big")], [0, 1, 2])
        server.sendall(told)
        code = server.recv(1)
    return code[0] if code else 255


def serve(path: str) -> None:
    """Import what takes long, then fork for each command, until stdin ends."""
    import gc
    import importlib
    import runpy
    import select

    for module in LIBRARIES:
        importlib.import_module(module)
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(16)
        print("ready", flush=True)
        while sys.stdin not in select.select([listening, sys.stdin], [], [])[0]:
            connection, _ = listening.accept()
            if os.fork() == 0:
                break
            connection.close()
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:  # what they cost is entered as ours
                    pass
        else:
            with suppress(ChildProcessError):
                while os.wait():
                    pass
            return
    with connection:
        size, streams, *_ = socket.recv_fds(connection, 8, 3)
        told = connection.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL)
        if child := os.fork():
            for number in streams:
                os.close(number)
            connection.sendall(bytes([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) % 256]))
            os._exit(0)
    os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    (name, *arguments), folder, environment = json.loads(told)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    if name == "dvc":
        sys.argv, sys.path = [name, *arguments], sys.path[1:]
        sys.exit(importlib.import_module("dvc.cli").main())
    sys.argv, sys.path[0] = arguments[1:], folder
    runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)


LIBRARIES = (
    *("torch", "pandas", "pyarrow.parquet", "pydantic", "safetensors.torch", "scipy.sparse.csgraph", "scipy.stats"),
    *("matplotlib.pyplot", "jinja2", "vl_convert"),
    *("configobj", "dvc.cachemgr", "dvc.cli.parser", "dvc.data_cloud", "dvc.dvcfile", "dvc.repo.experiments"),
    *("dvc.repo.graph", "dvc.repo.index", "dvc.repo.open_repo", "dvc.repo.plots", "dvc.repo.reproduce", "networkx"),
    *("dvc_data.hashfile.db.local", "ruamel.yaml"),
)

if __name__ == "__main__":
    if sys.argv[2:]:
        sys.exit(ask(sys.argv[1], sys.argv[2:]))
    serve(sys.argv[1])
