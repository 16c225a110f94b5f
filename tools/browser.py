"""Where a browser for the service's page lies on this machine: any that is made of Chromium."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

ON_PATH = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
REMEDY = "apt-get install chromium, or playwright install chromium, or name one in the environment variable CHROMIUM"


def find_browser() -> str | None:
    """The one that CHROMIUM names (there or not), else the first on the PATH, else playwright's own, if any."""
    named = os.environ.get("CHROMIUM")
    if named:
        return named
    found = next(filter(None, map(shutil.which, ON_PATH)), None)
    if found:
        return found
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).is_file() else None
