"""Python imports this at the start of every process that has this folder on its path: kills the whole group at a point.

The environment variable `FAULT` holds json: `match` (a pattern of "<event> <path>"), `nth` (which occurrence over all
processes), `delay` (seconds between the occurrence and the kill), `count` (a file whose length is the number of
occurrences so far), `empties` (whether the file, opened to be written, is emptied first, as the next instant would).
"""

import json
import os
import re
import signal
import sys
import threading
import time

EVENTS = {"open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "shutil.copyfile", "shutil.move"}


def _install(fault):
    pattern = re.compile(fault["match"])
    counter = os.open(fault["count"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    inside = threading.local()

    def kill():
        time.sleep(fault["delay"])
        os.killpg(os.getpgrp(), signal.SIGKILL)

    def hook(event, arguments):
        if event not in EVENTS or getattr(inside, "busy", False):
            return
        inside.busy = True
        try:
            path = arguments[0]
            if not isinstance(path, (str, bytes)) and not hasattr(path, "__fspath__"):
                return
            writes = event == "open" and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR)
            told = f"{'write' if writes else event} {os.fsdecode(path)}"
            if pattern.search(told):
                os.write(counter, b".")
                if os.fstat(counter).st_size == fault["nth"]:
                    if fault["empties"] and os.path.exists(path):
                        os.truncate(path, 0)
                    if fault["delay"]:
                        threading.Thread(target=kill, daemon=True).start()
                    else:
                        kill()
        finally:
            inside.busy = False

    sys.addaudithook(hook)


if "FAULT" in os.environ:
    _install(json.loads(os.environ["FAULT"]))
