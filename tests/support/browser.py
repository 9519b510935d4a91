"""Headless Chromium for tests of pages: Debian's, driven by Selenium, without network and with a fresh profile."""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM, DRIVER = ("chromium", "chromedriver")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)
OUTPUT_VARIABLE = "DYNFACE_SCREENSHOTS"
"""Environment variable: a folder that keeps the screenshots; else they lie in the test's temporary folder."""


def skip_without_browser() -> None:
    """Skip the test, with the reason, where Chromium, its driver, or Selenium is missing."""
    for program in (CHROMIUM, DRIVER):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (Debian: apt-get install chromium chromium-driver)")
    pytest.importorskip("selenium", reason="pages are tested with Selenium: pip install -e '.[test]'")


@contextmanager
def chromium(profile: Path, *, width: int = 1280, height: int = 900, dark: bool = False) -> Iterator[Any]:
    """A browser of a width and height in pixels; below 600 it is a phone. profile: an empty folder."""
    skip_without_browser()
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which(CHROMIUM))
    for flag in (*FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which(DRIVER)))
    try:
        resize(driver, width, height)
        set_scheme(driver, "dark" if dark else "light")
        yield driver
    finally:
        driver.quit()


def resize(driver: Any, width: int, height: int) -> None:
    """Give the browser another size, pixels."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def set_scheme(driver: Any, scheme: str) -> None:
    """Prefer "light" or "dark", and no motion: a page that scrolls smoothly cannot be clicked meanwhile."""
    wanted = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
    features = [{"name": name, "value": value} for name, value in wanted.items()]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def console_errors(driver: Any) -> list[str]:
    """What the console has shown since it was last asked that is worse than information."""
    # The warning is about the tests' own reading of the canvas.
    return [
        entry["message"]
        for entry in driver.get_log("browser")
        if entry["level"] in ("SEVERE", "WARNING") and "willReadFrequently" not in entry["message"]
    ]


def serious_faults(driver: Any) -> list[str]:
    """Faults of accessibility that axe-core calls serious or critical."""
    axe = pytest.importorskip("axe_core_python.selenium", reason="axe-core is missing: pip install -e '.[test]'")
    found = axe.Axe().run(driver)
    return [
        f"{fault['id']}: {fault['help']}: {node['html'][:200]} {node.get('failureSummary', '')[:300]}"
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]


def screenshot(driver: Any, name: str, folder: Path, *, most: int = 6000) -> Path:
    """Keep a picture of the whole page, `most` pixels high at most."""
    target = Path(os.environ.get(OUTPUT_VARIABLE) or folder) / f"{name}.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    size = driver.execute_script("return [innerWidth, document.documentElement.scrollHeight]")
    clip = {"x": 0, "y": 0, "width": size[0], "height": min(size[1], most), "scale": 1}
    made = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
    target.write_bytes(base64.b64decode(made["data"]))
    return target
