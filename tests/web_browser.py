"""A real browser that tests drive: Chromium, told by its chromedriver in the WebDriver protocol.

The protocol is a few requests over HTTP. The client that most use, Selenium, needs six packages
more, one of which, trio, is imported by everything that imports httpx as soon as it is there.
"""

import base64
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

_CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
_DRIVER = shutil.which("chromedriver")
_SECONDS = 240
_PHONE = 600
_STARTED = re.compile(r"successfully on port (\d+)")
_REFERENCE = "element-6066-11e4-a52e-4f735466cecf"
"""Name of an element's reference, fixed by the protocol."""


class GoneError(Exception):
    """An element is no longer on the page."""


class WebBrowser:
    """A window. Source: WebDriver, W3C Recommendation."""

    def __init__(self, driver: str, profile: Path) -> None:
        """Opens it.

        Args:
          driver: address of the running chromedriver.
          profile: an empty directory.
        """
        flags = ["headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage"]
        arguments = [
            f"--{flag}" for flag in (*flags, "hide-scrollbars", f"user-data-dir={profile}")
        ]
        capabilities = {
            "browserName": "chrome",
            "goog:chromeOptions": {"binary": _CHROMIUM, "args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        self._client = httpx.Client(base_url=driver, timeout=_SECONDS)
        self._session = "/session"
        opened = self.post("", {"capabilities": {"alwaysMatch": capabilities}})
        self._session = f"/session/{opened['sessionId']}"

    def close(self) -> None:
        """Closes it."""
        self._answer(self._client.delete(self._session))
        self._client.close()

    def post(self, command: str, body: dict[str, Any] | None = None) -> Any:
        """Tells the browser something."""
        return self._answer(self._client.post(self._session + command, json=body or {}))

    def get(self, question: str) -> Any:
        """Asks the browser something."""
        return self._answer(self._client.get(self._session + question))

    def open(self, address: str) -> None:
        """Opens a page, and waits until it is there."""
        self.post("/url", {"url": address})

    @property
    def address(self) -> str:
        """Of the page."""
        return self.get("/url")

    def all(self, selector: str) -> list["WebElement"]:
        """All elements of a selector that are there now."""
        found = self.post("/elements", {"using": "css selector", "value": selector})
        return [WebElement(self, one[_REFERENCE]) for one in found]

    def run(self, script: str) -> Any:
        """Runs the body of a function in the page."""
        return self.post("/execute/sync", {"script": script, "args": []})

    def forget(self) -> None:
        """Deletes all cookies of the page."""
        self._answer(self._client.delete(f"{self._session}/cookie"))

    def complaints(self) -> list[str]:
        """What came into the console since it was asked last, but for mere information."""
        entries = self.post("/se/log", {"type": "browser"})
        return [one["message"] for one in entries if one["level"] in ("WARNING", "SEVERE")]

    def set_width(self, width: int, height: int = 900) -> None:
        """Makes the window as wide as a screen of some pixels; a narrow one is a phone's."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < _PHONE}
        self._developer("Emulation.setDeviceMetricsOverride", size)

    def set_scheme(self, scheme: str) -> None:
        """Has pages be `light` or `dark`."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self._developer("Emulation.setEmulatedMedia", {"features": [feature]})

    def allow_scripts(self, allowed: bool) -> None:
        """Whether pages may run scripts of their own."""
        self._developer("Emulation.setScriptExecutionDisabled", {"value": not allowed})

    def picture(self) -> bytes:
        """What the window shows, as PNG."""
        return base64.b64decode(self.get("/screenshot"))

    def _developer(self, command: str, parameters: dict[str, Any]) -> None:
        self.post("/goog/cdp/execute", {"cmd": command, "params": parameters})

    def _answer(self, response: httpx.Response) -> Any:
        value = response.json()["value"]
        if response.is_success:
            return value
        if value["error"] == "stale element reference":
            raise GoneError
        raise AssertionError(f"{value['error']}: {value['message']}")


class WebElement:
    """An element of the page."""

    def __init__(self, browser: WebBrowser, reference: str) -> None:
        """Takes the browser, and the element's name there."""
        self._browser, self._path = browser, f"/element/{reference}"

    @property
    def text(self) -> str:
        """What a reader sees of it, in one line."""
        return " ".join(self._browser.get(f"{self._path}/text").split())

    @property
    def is_shown(self) -> bool:
        """Whether a reader sees it."""
        return self._browser.get(f"{self._path}/displayed")

    def property(self, name: str) -> Any:
        """A property of its object in the page."""
        return self._browser.get(f"{self._path}/property/{name}")

    def press(self) -> None:
        """Scrolls to its place, and presses it."""
        self._browser.post(f"{self._path}/click")

    def write(self, text: str) -> None:
        """Puts a text in place of what is in it, and presses Enter."""
        self._browser.post(f"{self._path}/clear")
        self._browser.post(f"{self._path}/value", {"text": text + "\ue007"})


@contextmanager
def web_browser(folder: Path) -> Iterator[WebBrowser]:
    """Opens a browser that keeps its files in an empty directory.

    Skips the test, and says what to install, where there is none; with
    `TFREC_TEST_BROWSER=required` that is a failure.
    """
    if not (_CHROMIUM and _DRIVER):
        missing = "NOT TESTED: chromium and chromedriver are not both on the PATH; install them"
        if os.environ.get("TFREC_TEST_BROWSER") == "required":
            pytest.fail(missing)
        pytest.skip(missing)
    driver = subprocess.Popen([_DRIVER, "--port=0"], stdout=subprocess.PIPE, text=True)
    try:
        assert driver.stdout
        port = next(found[1] for line in driver.stdout if (found := _STARTED.search(line)))
        browser = WebBrowser(f"http://127.0.0.1:{port}", folder)
        try:
            yield browser
        finally:
            browser.close()
    finally:
        driver.terminate()
        driver.wait()
