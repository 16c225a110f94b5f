"""Pictures of the service's page with a question answered: `python -m tools.screenshots URL FOLDER`.

The service must be running; writes FOLDER/service_wide.png and FOLDER/service_narrow.png.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tools.browser import REMEDY, find_browser

SIZES = {"wide": (1280, 900), "narrow": (390, 844)}
"""Width and height of the window in pixels."""
TALLEST = 3000
"""Pixels of the page that a picture shows."""


def main(arguments: Sequence[str]) -> int:
    """Write the pictures; the exit code."""
    if len(arguments) != 2:
        print("error: usage: python -m tools.screenshots URL FOLDER", file=sys.stderr)
        return 1
    program = find_browser()
    if program is None:
        print(f"error: there is no browser; get one: {REMEDY}", file=sys.stderr)
        return 1
    from playwright.sync_api import Error

    try:
        _write(arguments[0], Path(arguments[1]), program)
    except Error as error:
        print(f"error: {arguments[0]}: {str(error).splitlines()[0]}", file=sys.stderr)
        return 1
    return 0


def _write(address: str, folder: Path, program: str) -> None:
    from playwright.sync_api import FloatRect, sync_playwright

    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for name, (width, height) in SIZES.items():
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="light")
            page.goto(address)
            page.wait_for_selector("#state.ready, #state.degraded", timeout=120_000)
            page.click("#example")
            page.click("#send")
            page.wait_for_selector("#answer:not([hidden])")
            page.evaluate("document.getElementById('text').scrollTop = 0; document.activeElement.blur()")
            tall = min(TALLEST, page.evaluate("document.documentElement.scrollHeight"))
            area: FloatRect = {"x": 0, "y": 0, "width": width, "height": tall}
            page.screenshot(path=folder / f"service_{name}.png", full_page=True, clip=area)
        browser.close()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
