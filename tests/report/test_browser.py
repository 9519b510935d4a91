"""The page in a browser: divider, player, plots, keyboard, light and dark, phone, accessibility, a long film."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browser import chromium, console_errors, resize, screenshot, serious_faults, set_scheme
from dynface_video.report.page import render_page
from made_records import AFTER, BEFORE, made_analysis, made_record, made_skipped, made_track

pytestmark = pytest.mark.browser

HOURS = 2
LARGEST, SLOWEST = 20_000_000, 2.0
"""Bytes and seconds that the page of a film of `HOURS` hours may take."""
TOLERANCE = 25
PHONE = (390, 844)
COLOUR = """
const canvas = document.querySelector('canvas'), x = Math.round(arguments[0] * canvas.width);
return [...canvas.getContext('2d').getImageData(x, Math.round(canvas.height / 2), 1, 1).data].slice(0, 3);
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def driver(folder: Path) -> Iterator[Any]:
    with chromium(folder / "profile") as opened:
        yield opened


@pytest.fixture
def page(driver: Any, folder: Path) -> Any:
    """The page of a clip of three seconds with two people, opened anew."""
    path = folder / "clip.html"
    if not path.exists():
        tracks = [made_track(0, 0, 72, side=40), made_track(1, 24, 48, side=30)]
        analysis = made_analysis(tracks, 72, 3, made_skipped(4, 72))
        path.write_text(render_page(made_record(analysis, folder)), encoding="utf-8")
    resize(driver, 1280, 900)
    set_scheme(driver, "light")
    driver.get(path.as_uri())
    wait(driver, "return document.getElementById('player').dataset.ready")
    return driver


def wait(driver: Any, script: str, seconds: float = 10.0) -> Any:
    """What a script returns as soon as it is true."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = driver.execute_script(script)
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"still false after {seconds} s: {script}")


def seconds_to_open(driver: Any, path: Path) -> tuple[float, float]:
    """Until the page is complete and its player shows a frame: time passed, and what its thread computed of it."""
    driver.get("about:blank")
    driver.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    began = time.perf_counter()
    driver.get(path.as_uri())
    wait(driver, "return document.getElementById('player').dataset.ready === 'true'")
    passed = time.perf_counter() - began
    metrics = {one["name"]: one["value"] for one in driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]}
    return passed, metrics["ThreadTime"]


def divider(driver: Any, kind: str = "video") -> Any:
    return driver.find_element("css selector", f".compare[data-kind={kind}] .divider")


def colour_at(driver: Any, share: float) -> tuple[int, ...]:
    return tuple(driver.execute_script(COLOUR, share))


def is_close(colour: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    return all(abs(a - b) < TOLERANCE for a, b in zip(colour, expected, strict=True))


def press(element: Any, *keys: str) -> None:
    from selenium.webdriver.common.keys import Keys

    for key in keys:
        element.send_keys(getattr(Keys, key, key))


def test_nothing_is_loaded_and_nothing_fails(page: Any) -> None:
    assert console_errors(page) == []
    loaded = page.execute_script("return performance.getEntriesByType('resource').map((one) => one.name)")
    assert [name for name in loaded if not name.startswith(("data:", "blob:"))] == []


def test_the_divider_follows_the_pointer_and_shows_both_halves(page: Any) -> None:
    from selenium.webdriver import ActionChains

    assert is_close(colour_at(page, 0.25), BEFORE) and is_close(colour_at(page, 0.75), AFTER)
    area = page.find_element("css selector", ".compare[data-kind=video]")
    ActionChains(page).drag_and_drop_by_offset(divider(page), round(0.4 * area.size["width"]), 0).perform()
    assert int(divider(page).get_attribute("aria-valuenow")) == pytest.approx(90, abs=1)
    assert is_close(colour_at(page, 0.75), BEFORE) and is_close(colour_at(page, 0.97), AFTER)


def test_the_divider_obeys_the_keyboard(page: Any) -> None:
    press(divider(page), "END")
    assert divider(page).get_attribute("aria-valuenow") == "100" and is_close(colour_at(page, 0.95), BEFORE)
    press(divider(page), "HOME")
    assert divider(page).get_attribute("aria-valuenow") == "0" and is_close(colour_at(page, 0.05), AFTER)
    press(divider(page), "ARROW_RIGHT", "ARROW_RIGHT")
    assert divider(page).get_attribute("aria-valuetext") == "before 4 %, after 96 %"


def test_the_divider_of_a_still_reveals_it(page: Any) -> None:
    handle = divider(page, "still")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", handle)
    press(handle, "END")
    over = page.find_element("css selector", ".compare[data-kind=still] .over")
    assert over.value_of_css_property("clip-path") == "inset(0px 0px 0px 100%)"


def test_space_plays_and_stops_and_full_stop_steps_by_a_frame(page: Any) -> None:
    press(divider(page), " ")
    wait(page, "return document.querySelector('[data-role=time]').textContent !== '0:00.0'")
    assert page.find_element("css selector", "[data-act=play]").text == "Stop"
    press(divider(page), " ")
    wait(page, "return document.querySelector('[data-act=play]').textContent === 'Play'")
    seek = page.find_element("css selector", "[data-act=seek]")
    press(seek, "HOME")
    wait(page, "return document.querySelector('[data-role=time]').textContent === '0:00.0'")
    press(divider(page), *"." * 12)
    wait(page, "return document.querySelector('[data-role=time]').textContent === '0:00.5'")


def test_a_person_is_shown_in_the_video_when_asked(page: Any) -> None:
    button = page.find_element("css selector", "#person-2 [data-excerpt]")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()
    shown = wait(page, "return document.getElementById('excerpt').selectedOptions[0].textContent")
    assert shown.startswith("Person 2")
    assert page.execute_script("return document.activeElement.className") == "divider"


def test_every_person_has_plots_with_lines_and_shots(page: Any) -> None:
    plots = page.find_elements("css selector", "#person-1 .plot")
    assert [plot.get_attribute("data-name") for plot in plots] == [
        "Blur level",
        "Starting step",
        "Invented detail",
        "Flicker",
        "Landmark motion",
    ]
    for plot in plots:
        page.execute_script("arguments[0].scrollIntoView({block: 'center'})", plot)
        lines = plot.find_elements("css selector", "path")
        boxes = [page.execute_script("const b = arguments[0].getBBox(); return b.width", one) for one in lines]
        assert boxes and min(boxes) > 100
    marks = page.execute_script("return document.getElementById('shots').getTotalLength()")
    assert marks == pytest.approx(2 * 100)


def test_a_plot_tells_the_value_under_the_pointer(page: Any) -> None:
    from selenium.webdriver import ActionChains

    area = page.find_element("css selector", "#person-1 .plot[data-name='Flicker'] .area")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", area)
    ActionChains(page).move_to_element(area).perform()
    assert page.find_element("css selector", "#person-1 .plot[data-name='Flicker'] .read").text == (
        "0:01.5: 1.50 → 1.25"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 900), PHONE], ids=["desktop", "phone"])
def test_it_is_accessible_and_fits(page: Any, folder: Path, scheme: str, size: tuple[int, int]) -> None:
    resize(page, *size)
    set_scheme(page, scheme)
    page.execute_script("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    page.execute_script(
        "document.querySelectorAll('.person').forEach((e) => { e.style.contentVisibility = 'visible'; })"
    )
    assert serious_faults(page) == []
    assert page.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    screenshot(page, f"report-{size[0]}-{scheme}", folder)


def test_tab_reaches_every_control_in_order(page: Any) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    page.execute_script("document.getElementById('excerpt').focus()")
    reached = []
    for _ in range(6):
        ActionChains(page).send_keys(Keys.TAB).perform()
        reached.append(
            page.execute_script("const e = document.activeElement; return e.dataset.act || e.className || e.id")
        )
    assert reached == ["divider", "play", "back", "forward", "seek", "rate"]


def test_the_page_of_a_long_film_opens_at_once_and_stays_small(driver: Any, folder: Path, record_property: Any) -> None:
    frames = HOURS * 3600 * 24
    tracks = [made_track(n, 110 * n, 150 + n % 90, side=30 + n % 70) for n in range((frames - 300) // 110)]
    analysis = made_analysis(tracks, frames, 1400, made_skipped(900, frames))
    path = folder / "film.html"
    path.write_text(render_page(made_record(analysis, folder, noise=40)), encoding="utf-8")
    assert path.stat().st_size < LARGEST
    opened, computed = min(seconds_to_open(driver, path) for _ in range(2))
    record_property(
        "page", f"{path.stat().st_size / 1e6:.1f} MB, open in {opened:.2f} s, {computed:.2f} s of them its own"
    )
    # On a machine that is busy with something else the time that passes says nothing of the page.
    assert computed < SLOWEST / 2 and console_errors(driver) == []
    screenshot(driver, "report-film", folder)
