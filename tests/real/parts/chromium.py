"""A real Chromium of the system's packages, driven by Selenium, and axe, which checks its pages."""

import base64
import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from . import cache, debian

_AXE = "axe-playwright-python==0.1.8"
"""The distribution whose ``axe.min.js`` is used (axe-core 4.12.1), and nothing else of it."""

_PACKAGES = ("chromium", "chromium-driver")
_LIMIT = 30.0  # seconds for what takes milliseconds, or an update of the page, on a busy machine
_FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --hide-scrollbars"
    " --disable-background-networking --disable-component-update --no-first-run"
    " --proxy-server=direct:// --disable-lcd-text --font-render-hinting=none"
).split()

_TEXTS = """
return [...document.querySelectorAll(arguments[0])].map(
    element => element.checkVisibility() ? element.innerText : "");
"""
_DRAW = """
const done = arguments[arguments.length - 1];
requestAnimationFrame(() => requestAnimationFrame(() => done()));
"""
_RUN_AXE = """
const done = arguments[arguments.length - 1];
axe.run().then(found => done(found.violations), error => done(String(error)));
"""


@dataclass(frozen=True)
class Programs:
    """What a browser is run from.

    Attributes:
        browser: Chromium.
        driver: Its chromedriver, of the same version.
        axe: The text of axe's script.
    """

    browser: str
    driver: str
    axe: str


def install(say: cache.Say) -> Programs:
    """Find Chromium and its driver; install Debian's packages where they are missing."""
    axe = _axe(say)
    return Programs(*debian.install("chromium", _programs, say, *_PACKAGES), axe)


def _programs() -> tuple[str, str] | None:
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


def _axe(say: cache.Say) -> str:
    """The script, kept by the version of what ships it."""
    kept = cache.folder() / f"{_AXE.replace('==', '-')}.js"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as place:
            pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install"]
            cache.run([*pip, "--quiet", "--no-input", "--no-deps", "--target", place, _AXE])
            next(Path(place).glob("*/axe.min.js")).replace(kept)
        say(f"axe: installed in {kept}")
    return kept.read_text("utf-8")


class Browser:
    """One page of a Chromium, whose zone of time is UTC unless told otherwise.

    Attributes:
        driver: Selenium's driver of it.
    """

    def __init__(self, driver: webdriver.Chrome, axe: str) -> None:
        self.driver = driver
        self._axe = axe

    def look(
        self, scheme: str = "light", width: int = 1280, height: int = 900, *, motion: str = ""
    ) -> None:
        """How the next things are looked at: in a colour scheme, and how large a window."""
        features = {"prefers-color-scheme": scheme, "prefers-reduced-motion": motion}
        self.command(
            "Emulation.setEmulatedMedia",
            features=[{"name": name, "value": value} for name, value in features.items()],
        )
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def open(self, url: str) -> None:
        """Go there, with what was complained of before forgotten."""
        self.driver.get(url)
        self.complaints()

    def run(self, script: str, *arguments: object) -> Any:
        """What a script returns that has `arguments`."""
        return self.driver.execute_script(script, *arguments)

    def command(self, name: str, **parameters: object) -> Any:
        """Give a command of Chromium's own protocol."""
        return self.driver.execute_cdp_cmd(name, parameters)

    def text(self, selector: str) -> str:
        """The text that the first such element shows; what is hidden shows none."""
        return next(iter(self.texts(selector)), "")

    def texts(self, selector: str) -> list[str]:
        """The texts that all such elements show."""
        return self.run(_TEXTS, selector)

    def count(self, selector: str) -> int:
        """How many such elements there are."""
        return self.run("return document.querySelectorAll(arguments[0]).length", selector)

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()

    def press_back(self) -> None:
        """Press the key to the stop before this one."""
        chain = ActionChains(self.driver).key_down(Keys.SHIFT).send_keys(Keys.TAB)
        chain.key_up(Keys.SHIFT).perform()

    def draw(self) -> None:
        """Wait until it has drawn what changed: what it had skipped has no text before."""
        self.driver.execute_async_script(_DRAW)

    def until(self, condition: Callable[[], object], otherwise: str) -> None:
        """Wait for a condition."""
        end = time.monotonic() + _LIMIT
        while not condition():
            assert time.monotonic() < end, otherwise
            time.sleep(0.05)

    def shows(self, text: str, selector: str = "body") -> None:
        """Wait until an element shows a text."""
        self.until(lambda: text in self.text(selector), f"{text!r} is not in {selector}")

    def complaints(self) -> list[str]:
        """What its console has complained of since it was last asked."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def violations(self) -> Sequence[Mapping[str, Any]]:
        """What axe finds wrong with the page as it is now."""
        self.run(self._axe)
        found = self.driver.execute_async_script(_RUN_AXE)
        assert isinstance(found, list), found
        return found

    def screenshot(self) -> bytes:
        """What it shows, as a PNG."""
        return base64.b64decode(self.command("Page.captureScreenshot")["data"])


@contextmanager
def chromium(programs: Programs, folder: Path) -> Iterator[Browser]:
    """Run a Chromium without a window, with its profile and its log in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    options = webdriver.ChromeOptions()
    options.binary_location = programs.browser
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in (*_FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    service = Service(
        str(_mortal(programs.driver, folder)),
        log_output=str(folder / "log"),
        env={**os.environ, "HOME": str(folder), "TZ": "UTC"},
    )
    driver = webdriver.Chrome(options=options, service=service)
    try:
        driver.set_script_timeout(_LIMIT)
        driver.set_page_load_timeout(_LIMIT)
        yield Browser(driver, programs.axe)
    finally:
        driver.quit()


def _mortal(driver: str, folder: Path) -> Path:
    """A command that runs the driver for no longer than this interpreter lives."""
    script = folder / "chromedriver"
    script.write_text(f'#!/bin/sh\nexec setpriv --pdeathsig TERM {shlex.quote(driver)} "$@"\n')
    script.chmod(0o755)
    return script
