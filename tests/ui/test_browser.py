"""The page in a browser, from the upload to the download, with the embedded networks on a very short clip."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import dynface_video
from browser import chromium, console_errors, resize, screenshot, serious_faults
from dynface_video.cli.demo_clip import clean_frame, photograph, write_clip
from dynface_video.media.output.comparison import GAP

pytest.importorskip("gradio", reason="the page needs the extra ui")
pytestmark = pytest.mark.browser

ROOT = Path(dynface_video.__file__).parents[1]
FRAMES = 6
LONGEST = 240.0
"""Seconds that a step may take on a machine with much else to do."""


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "Home movie.mp4"
    write_clip(path, (clean_frame(photograph(), number) for number in range(FRAMES)), crf=20, sound=None)
    return path


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A server of its own, with segments of three frames, so that there is something to stop between."""
    (tmp_path / "short.yaml").write_text("output: {segment_frames: 3}\n")
    program = "from dynface_video.cli.main import main; main()"
    arguments = ["ui", "--folder", str(tmp_path / "work"), "--port", "0", "--device", "cpu", "--config", "short.yaml"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True,
    ) as server:  # fmt: skip
        assert server.stderr is not None
        line = next((line for line in server.stderr if line.startswith("open ")), "")
        try:
            assert line, "the server did not start"
            yield line.split()[1]
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                server.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                server.kill()
                raise


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Any]:
    with chromium(tmp_path / "profile", height=1100) as opened:
        yield opened


def until(found: Callable[[], Any], what: str) -> Any:
    """The first result that is true; fails with `what` after `LONGEST`."""
    end = time.monotonic() + LONGEST
    while time.monotonic() < end:
        result = found()
        if result:
            return result
        time.sleep(0.2)
    return pytest.fail(f"waited in vain for: {what}")


def text(driver: Any) -> str:
    return str(driver.execute_script("return document.querySelector('#status')?.innerText || ''"))


def press(driver: Any, label: str) -> None:
    """Press a button as soon as it can be pressed."""
    script = (
        "const found = [...document.querySelectorAll('button')].find(one => one.innerText.trim() === arguments[0]);"
        "if (!found || found.disabled) return false; found.click(); return true;"
    )
    until(lambda: driver.execute_script(script, label), f"the button {label}")


def field(driver: Any, label: str) -> Any:
    script = (
        "return [...document.querySelectorAll('input[type=number], input[type=text], textarea')].find(one => "
        "one.offsetParent && "
        "((one.closest('label') || one.parentElement).innerText + (one.ariaLabel || '')).includes(arguments[0]))"
    )
    return until(lambda: driver.execute_script(script, label), f"the field {label}")


def fill(driver: Any, label: str, value: str) -> None:
    from selenium.webdriver.common.keys import Keys

    found = field(driver, label)
    found.send_keys(Keys.CONTROL, "a")
    found.send_keys(value, Keys.TAB)


def pictures(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]).astype(np.int32)


def played(driver: Any, number: int) -> Any:
    """Width and height of the player `number`, as soon as its video is loaded."""
    script = (
        "const found = document.querySelectorAll('#media video')[arguments[0]];"
        "return found && found.readyState > 1 ? [found.videoWidth, found.videoHeight] : null"
    )
    return until(lambda: driver.execute_script(script, number), f"the video {number}")


def test_a_video_goes_from_the_upload_to_the_download(driver: Any, address: str, clip: Path, tmp_path: Path) -> None:
    from selenium.webdriver.common.by import By

    driver.get(address)
    until(lambda: driver.find_elements(By.CSS_SELECTOR, "input[type=file]"), "the upload")[0].send_keys(str(clip))
    until(lambda: "Home movie.mp4" in text(driver), "the project")
    until(lambda: "1 person found" in text(driver), "the person")
    until(lambda: driver.find_elements(By.CSS_SELECTOR, "img[alt='Person 1']"), "the portrait")
    assert serious_faults(driver) == []
    screenshot(driver, "ui_people", tmp_path)

    project = tmp_path / "work" / "Home_movie"
    fill(driver, "Strength of person 1", "0.3")
    # Each key is an event: "0" may be written before "0.3".
    choice = project / "choice.json"
    until(lambda: choice.exists() and choice.read_text() == '{"1": 0.3}', "the choice")

    fill(driver, "Seconds", "0.2")
    press(driver, "Preview")
    width, height = played(driver, 0)
    before = pictures(clip)
    assert (width, height) == (2 * before.shape[2] + GAP, before.shape[1]) and len(
        pictures(project / "preview.mp4")
    ) == 5

    press(driver, "Restore")
    until(lambda: list(project.glob("restored.mp4.job/segments/*.json")), "the first segment")
    press(driver, "Stop")
    until(lambda: "Stopped while restoring" in text(driver) or "Restored" in text(driver), "the stop")
    if "Stopped" in text(driver):
        screenshot(driver, "ui_stopped", tmp_path)
        # The page is closed and opened again: nothing is lost.
        driver.get("about:blank")
        driver.get(address)
        press(driver, "Go on")
    until(lambda: "Restored" in text(driver), "the restored video")
    after = pictures(project / "restored.mp4")
    assert after.shape == before.shape and np.abs(after - before).mean() > 0.1

    press(driver, "Compare")
    assert played(driver, 1) == [2 * before.shape[2] + GAP, before.shape[1]]
    screenshot(driver, "ui_restored", tmp_path)
    resize(driver, 390, 844)
    screenshot(driver, "ui_phone", tmp_path)
    assert serious_faults(driver) == []
    # Gradio's own remark when it closes a stream.
    assert [message for message in console_errors(driver) if "Method not implemented" not in message] == []

    link = driver.find_element(By.CSS_SELECTOR, "#media a[download]")
    assert link.get_attribute("download") == "Home movie_restored.mp4"
    with urllib.request.urlopen(link.get_attribute("href")) as answer:
        assert answer.read() == (project / "restored.mp4").read_bytes()
    hosts = driver.execute_script(
        "return [...new Set(performance.getEntriesByType('resource').map(one => new URL(one.name).host))]"
    )
    assert all(address.endswith(f"//{host}/") for host in hosts if host), hosts
