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
    figures, failed = [], False
    for title, (module, *arguments) in PARTS.items():
        start = time.monotonic()
        last = ""
        command = [sys.executable, "-u", "-m", module, *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout or ():
                print(line, end="", flush=True)
                last = line.strip() or last
        failed |= process.returncode != 0
        minutes = (time.monotonic() - start) / 60
        figures.append(f"{title}: {last} ({minutes:.0f} min{', FAILED' if process.returncode else ''})")
    print("\n" + "\n".join(figures))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
