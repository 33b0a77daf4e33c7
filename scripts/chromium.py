"""Chromium without a window, for checks and times of the pages and for the PDF; it reaches this machine only."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
ABSENT = "no Chromium: install chromium and chromium-driver (Debian's names)"


def start(*arguments: str) -> Chrome:
    """A new browser, with further arguments; ``SystemExit`` with a sentence where there is none."""
    from selenium import webdriver

    if BROWSER is None or DRIVER is None:
        raise SystemExit(ABSENT)
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--no-proxy-server",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        "--window-size=1280,1600",
        *arguments,  # of two that differ the later one holds
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.set_script_timeout(120)
    return driver
