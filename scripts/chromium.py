"""Chromium without a window, for checks and times of the pages and for the PDF; it reaches this machine only."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
PATIENCE = 3600  # seconds: a busy machine may be slow, and only what hangs is given up
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
    driver.command_executor.client_config.timeout = PATIENCE
    driver.set_page_load_timeout(PATIENCE)
    driver.set_script_timeout(PATIENCE)
    return driver


def look(driver: Chrome, width: int, height: int = 900, dark: bool = False) -> None:
    """The page's size in pixels, a phone's below 500, and whether its reader prefers a dark one."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    preference = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [preference]})


def complaints(driver: Chrome) -> list[str]:
    """What stands on the pages' console, since the last call."""
    return [entry["message"] for entry in driver.get_log("browser")]


def requested(driver: Chrome) -> list[str]:
    """Addresses that pages asked for, the machine's own files too, since the last call."""
    sent = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    return [one["params"]["request"]["url"] for one in sent if one["method"] == "Network.requestWillBeSent"]


def wait(condition: Callable[[], Any], what: str, seconds: float = 600) -> Any:
    """Ask until the condition is met, and return what it gave; ``TimeoutError`` says what was waited for."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {seconds} s still waiting for {what}")
        time.sleep(0.05)
    return found
