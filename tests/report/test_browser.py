"""The report in a real browser, without its window: what people see, click and print."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import headless
import made
import pytest
from PIL import Image

from assay.report.page import Page
from assay.types import Preview

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        headless.PROGRAM is None, reason="chromium is not installed: apt-get install chromium"
    ),
]
BLUR = "getComputedStyle(document.querySelector('#s0-p ~ .shot .picture')).filter"
MARKS = "getComputedStyle(document.querySelector('#s0-p ~ .shot svg')).visibility"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[headless.Browser]:
    with headless.Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    page = Page.open(str(path))
    page.add(made.marked("photos/" + "long-name-" * 20 + ".jpg"))
    page.add(made.clip(16))
    page.add(made.screening("tall.jpg", preview=Preview((made.noise(480, 100),))))
    page.add(made.quiet("small.jpg", preview=Preview((made.noise(60, 50),))))
    page.add(made.refused("x" * 300))
    page.write(detectors=[("jpeg_grid", "Reads grids", "")])
    return path


def test_a_picture_is_blurred_until_it_is_clicked(browser: headless.Browser, report: Path) -> None:
    browser.open(report)
    assert (browser.evaluate(BLUR), browser.evaluate(MARKS)) == ("blur(22px)", "hidden")
    browser.click("#s0-p ~ .shot")
    assert (browser.evaluate(BLUR), browser.evaluate(MARKS)) == ("none", "visible")
    browser.click("#s0-p ~ figcaption .switch")
    assert (browser.evaluate(BLUR), browser.evaluate(MARKS)) == ("none", "hidden")
    browser.click("#s0-p ~ .shot")
    assert browser.evaluate(BLUR) == "blur(22px)"


def test_the_keyboard_reveals_too(browser: headless.Browser, report: Path) -> None:
    browser.open(report)
    for _ in range(12):
        browser.press("Tab", 9)
        if browser.evaluate("document.activeElement.id") == "s0-p":
            break
    assert browser.evaluate("document.activeElement.getAttribute('aria-label')").startswith(
        "Show the picture of"
    )
    outline = "getComputedStyle(document.querySelector('#s0-p ~ .shot')).outlineStyle"
    assert browser.evaluate(outline) == "solid"
    browser.press(" ", 32, " ")
    assert browser.evaluate(BLUR) == "none"


def test_one_switch_shows_all_pictures(browser: headless.Browser, report: Path) -> None:
    browser.open(report)
    browser.click("#everything")
    filters = "[...new Set([...document.querySelectorAll('.picture')].map(p => getComputedStyle(p).filter))]"
    assert browser.evaluate(filters) == ["none"]


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_nothing_is_wider_than_the_screen(browser: headless.Browser, report: Path, width: int) -> None:
    browser.open(report, width=width)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width


def test_pictures_are_neither_giants_nor_towers(browser: headless.Browser, report: Path) -> None:
    browser.open(report)
    sizes = browser.evaluate(
        "[...document.querySelectorAll('.picture')].map(p => [p.alt, p.getBoundingClientRect().width, p.getBoundingClientRect().height])"
    )
    assert all(height <= 28 * 16 + 1 for _, _, height in sizes)
    assert next(width for alt, width, _ in sizes if "small.jpg" in alt) <= 100


def test_outlines_lie_exactly_over_the_picture(browser: headless.Browser, report: Path) -> None:
    browser.open(report)
    off = browser.evaluate(
        "(() => { const f = document.querySelector('#s0-p ~ .shot .frame');"
        " const [a, b] = ['.picture', 'svg'].map(s => f.querySelector(s).getBoundingClientRect());"
        " return Math.max(...['x', 'y', 'width', 'height'].map(k => Math.abs(a[k] - b[k]))); })()"
    )
    assert off < 1


def test_dark_is_dark_and_text_stands_out(browser: headless.Browser, report: Path) -> None:
    ratio = (
        "(() => { const lum = c => { const v = c.match(/[0-9.]+/g).slice(0, 3).map(x => { x /= 255;"
        " return x <= .04045 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4; }); return .2126 * v[0] + .7152 * v[1] + .0722 * v[2]; };"
        " const card = lum(getComputedStyle(document.querySelector('article')).backgroundColor);"
        " return Math.min(...[...document.querySelectorAll('article *')].map(e => { const t = lum(getComputedStyle(e).color);"
        " return e.closest('.shot, svg') ? 99 : (Math.max(t, card) + .05) / (Math.min(t, card) + .05); })); })()"
    )
    grounds = []
    for dark in (False, True):
        browser.open(report, dark=dark)
        assert browser.evaluate(ratio) >= 4.5
        with Image.open(io.BytesIO(browser.screenshot())) as shot:
            grounds.append(sum(shot.convert("RGB").getpixel((3, 3))))
    light, dark_ground = grounds
    assert light > 600
    assert dark_ground < 200


def test_it_prints_and_asks_the_network_for_nothing(browser: headless.Browser, report: Path) -> None:
    browser.requested.clear()
    browser.open(report)
    assert browser.pdf().startswith(b"%PDF")
    assert all(url.startswith(("file:", "data:")) for url in browser.requested)
    assert sum(url.startswith("file:") for url in browser.requested) == 1
