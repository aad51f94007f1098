"""A real Chromium without a window, with a profile of its own and Debian's driver; nothing is downloaded."""

import contextlib
import json
import shutil
from pathlib import Path

import pytest

_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS = ("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
          "disable-component-update", "disable-sync", "disable-dev-shm-usage", "use-fake-device-for-media-stream",
          "use-fake-ui-for-media-stream", "window-size=1100,820")  # fmt: skip


@contextlib.contextmanager
def open_chromium(profile: Path):
    """The browser; a test that needs one is skipped where there is none."""
    driver = shutil.which("chromedriver")
    if not (_CHROMIUM and driver):
        pytest.skip("no Chromium with its driver here: apt-get install chromium chromium-driver")
    from selenium import webdriver
    from selenium.common.exceptions import WebDriverException

    options = webdriver.ChromeOptions()
    options.binary_location = _CHROMIUM
    for flag in (*_FLAGS, f"user-data-dir={profile}"):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    try:
        chromium = webdriver.Chrome(options, webdriver.ChromeService(driver))
    except WebDriverException as error:  # of another version than its driver, or a stub
        pytest.skip(f"Chromium does not start: {str(error).splitlines()[0]}")
    yield chromium
    chromium.quit()


def requested(browser) -> set[str]:
    """Addresses in a network that were asked for since the last call, not those of the browser's own pages."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [each["params"]["request"]["url"] for each in events if each["method"] == "Network.requestWillBeSent"]
    return {url for url in asked if url.startswith(("http", "ws"))}
