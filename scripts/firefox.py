"""Firefox without a window, for checks of the pages: the functions of ``chromium.py``, and selenium as there.

selenium reaches Firefox through geckodriver, which Debian does not package: a program that passes WebDriver's commands
on to Marionette, Firefox's own remote protocol, nearly one to one. :class:`Marionette` does so here.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chromium import PATIENCE, wait

if TYPE_CHECKING:
    from selenium.webdriver.remote.webdriver import WebDriver

BROWSER = next(filter(None, map(shutil.which, ("firefox-esr", "firefox"))), None)
DRIVER = BROWSER  # needs no other program; named as in chromium.py
ABSENT = "no Firefox: install firefox-esr (Debian's name)"

PREFERENCES = {
    "marionette.port": 0,  # any free one; Firefox writes its number into the profile
    # This machine only: all others would have to be asked through a proxy that is not there.
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 9,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 9,
    # Fewer processes: a check has one page.
    "dom.ipc.processCount": 1,
    "fission.autostart": False,
}

# WebDriver's names of commands (selenium.webdriver.remote.command), and Marionette's, where they differ.
COMMANDS = {
    "get": "Navigate",
    "goBack": "Back",
    "goForward": "Forward",
    "getCurrentUrl": "GetCurrentURL",
    "screenshot": "TakeScreenshot",
    "elementScreenshot": "TakeScreenshot",
    "w3cExecuteScript": "ExecuteScript",
    "w3cExecuteScriptAsync": "ExecuteAsyncScript",
    "findChildElement": "FindElement",
    "findChildElements": "FindElements",
    "w3cGetActiveElement": "GetActiveElement",
    "clickElement": "ElementClick",
    "clearElement": "ElementClear",
    "sendKeysToElement": "ElementSendKeys",
    "getElementValueOfCssProperty": "GetElementCSSValue",
    "getElementAriaLabel": "GetComputedLabel",
    "getElementAriaRole": "GetComputedRole",
    "actions": "PerformActions",
    "clearActionState": "ReleaseActions",
    "w3cGetCurrentWindowHandle": "GetWindowHandle",
    "w3cGetWindowHandles": "GetWindowHandles",
    "printPage": "Print",
    "close": "CloseWindow",
}
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # WebDriver's key of a reference to an element

# In the browser's own window: what pages asked of the network from now on.
WATCH = """
window.requested = [];
Services.obs.addObserver((channel) => {
  channel.QueryInterface(Ci.nsIHttpChannel);
  if (channel.loadInfo?.browsingContextID) window.requested.push(channel.URI.spec);
}, "http-on-opening-request");
"""
COMPLAINTS = """
const found = Services.console.getMessageArray()
  .filter((message) => message instanceof Ci.nsIScriptError && !(message.flags & Ci.nsIScriptError.warningFlag))
  .filter(({ sourceName, innerWindowID, category }) =>
    !/^(chrome|resource|moz-)/.test(sourceName) && !/chrome/.test(category) && (innerWindowID || sourceName))
  .map(({ message }) => message);
Services.console.reset();
return found;
"""
LOOK = """
const [width, height, dark] = arguments;
const { style } = window.gBrowser.selectedBrowser;
Object.assign(style, { width: `${width}px`, height: `${height}px`, minWidth: "0", flex: "none" });
Services.prefs.setIntPref("layout.css.prefers-color-scheme.content-override", dark ? 0 : 1);
"""


class Marionette:
    """What selenium takes for the way to a driver (its RemoteConnection): Firefox itself.

    A message is its length, a colon, and JSON: ``[0, number, name, parameters]`` there, ``[1, number, error, result]``
    back.
    """

    client_config = None

    def __init__(self, *arguments: str):
        self.profile = Path(tempfile.mkdtemp(prefix="firefox-"))
        lines = [f"user_pref({json.dumps(key)}, {json.dumps(value)});" for key, value in PREFERENCES.items()]
        (self.profile / "user.js").write_text("\n".join(lines), encoding="utf-8")
        fixed = ["--headless", "--marionette", "--remote-allow-system-access", "--no-remote", "--profile"]
        self.process = subprocess.Popen(
            [BROWSER, *fixed, str(self.profile), *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            self.socket = socket.create_connection(("127.0.0.1", self._port()))
            self.stream = self.socket.makefile("rb")
            self._read()  # a greeting
        except BaseException:
            self.close()
            raise
        self.sent = 0

    def _port(self, seconds: float = 180) -> int:
        """The port that Firefox listens on, once it does."""
        written, deadline = self.profile / "MarionetteActivePort", time.monotonic() + seconds
        while not (written.exists() and written.read_text().strip()):
            if self.process.poll() is not None:
                raise RuntimeError(f"Firefox ended at once, with exit status {self.process.returncode}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {seconds} s Firefox does not listen yet")
            time.sleep(0.05)
        return int(written.read_text())

    def _read(self) -> Any:
        length = b""
        while (byte := self.stream.read(1)) != b":":
            if not byte:
                raise ConnectionError("Firefox closed the connection")
            length += byte
        return json.loads(self.stream.read(int(length)))

    def ask(self, name: str, parameters: dict | None = None) -> Any:
        """Marionette's answer; its errors are ``{"error": ..., "message": ..., "stacktrace": ...}``."""
        self.sent += 1
        text = json.dumps([0, self.sent, name, parameters or {}]).encode()
        self.socket.sendall(b"%d:%s" % (len(text), text))
        while (reply := self._read())[1] != self.sent:
            pass
        return {"value": reply[2], "failed": True} if reply[2] else reply[3]

    def inside(self, script: str, *arguments: Any) -> Any:
        """Run JavaScript with the browser's own rights, in its window."""
        self.ask("Marionette:SetContext", {"value": "chrome"})
        try:
            answer = self.ask("WebDriver:ExecuteScript", {"script": script, "args": list(arguments)})
        finally:
            self.ask("Marionette:SetContext", {"value": "content"})
        if answer.get("failed"):
            raise RuntimeError(answer["value"]["message"])
        return answer["value"]

    def execute(self, command: str, parameters: dict) -> dict:
        """Run a command of selenium's; what comes back has the shape that geckodriver's answers have."""
        sent = {key: value for key, value in parameters.items() if key not in ("sessionId", "propertyName")}
        if command == "quit":
            self.close()
            return {"value": None}
        if command == "newSession":
            sent = sent["capabilities"]
        elif command == "setTimeouts":
            sent = {key: int(value) for key, value in sent.items()}
        elif command in ("findChildElement", "findChildElements"):
            sent["element"] = sent.pop("id")
        elif command == "switchToFrame" and isinstance(sent["id"], dict):
            sent = {"element": sent["id"][ELEMENT]}
        elif command == "elementScreenshot":
            sent["full"] = False
        elif command == "screenshot":
            sent = {"full": False}
        if "propertyName" in parameters:
            sent["propertyName"] = parameters["propertyName"]
        name = COMMANDS.get(command, command[0].upper() + command[1:])
        answer = self.ask(f"WebDriver:{name}", sent)
        if isinstance(answer, dict) and answer.get("failed"):
            return {"status": 500, "value": json.dumps({"value": answer["value"]})}
        return answer if isinstance(answer, dict) and "value" in answer else {"value": answer}

    def close(self) -> None:
        """End Firefox and remove its profile."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        shutil.rmtree(self.profile, ignore_errors=True)


def start(*arguments: str) -> WebDriver:
    """A new browser, with further arguments; ``SystemExit`` with a sentence where there is none."""
    from selenium import webdriver
    from selenium.webdriver.remote.file_detector import UselessFileDetector

    if BROWSER is None:
        raise SystemExit(ABSENT)
    firefox = Marionette(*arguments)
    options = webdriver.FirefoxOptions()
    driver = webdriver.Remote(firefox, options=options, file_detector=UselessFileDetector())
    driver.set_script_timeout(PATIENCE)
    firefox.inside(WATCH)
    look(driver, 1280, 1600)
    return driver


def look(driver: WebDriver, width: int, height: int = 900, dark: bool = False) -> None:
    """The page's size in pixels, and whether its reader prefers a dark one."""
    driver.command_executor.inside(LOOK, width, height, dark)
    wait(
        lambda: driver.execute_script("return [top.innerWidth, top.innerHeight]") == [width, height],
        "the size",
    )


def complaints(driver: WebDriver) -> list[str]:
    """Errors on the console of pages since the last call."""
    return driver.command_executor.inside(COMPLAINTS)


def requested(driver: WebDriver) -> list[str]:
    """Addresses of the network that pages asked for since the last call."""
    return driver.command_executor.inside("return window.requested.splice(0)")
