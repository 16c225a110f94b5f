"""Everything of docs/reliability.md, and its figures: `make verify` (under an hour on two cores)."""

from __future__ import annotations

import subprocess
import sys
import time

PARTS = {
    "rebuilds": ["tests.rebuild"],
    "hostile inputs": ["tests.hostile_files", "10000"],
    "faults": ["tests.faults", "50"],
}


def main() -> int:
    """Run all parts, also after one that fails; print their last lines; the exit code."""
    figures, failed, start = [], False, time.monotonic()
    for title, (module, *arguments) in PARTS.items():
        began, last = time.monotonic(), ""
        command = [sys.executable, "-u", "-m", module, *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout or ():
                print(line, end="", flush=True)
                last = line.strip() or last
        failed |= process.returncode != 0
        figures.append(f"{title}: {last} ({_minutes(began)}{', FAILED' if process.returncode else ''})")
    print("\n" + "\n".join(figures) + f"\naltogether: {_minutes(start)}")
    return int(failed)


def _minutes(since: float) -> str:
    return f"{(time.monotonic() - since) / 60:.0f} min"


if __name__ == "__main__":
    sys.exit(main())
