"""Written pages in a real browser: light and dark, wide and narrow, and in print."""

import base64
import re
from typing import Any

import pytest
from browser import Browser
from fake_scores import fake_score

from brainfit.report.browser import find_browser
from brainfit.report.write import write_comparison, write_report

CHROMIUM = find_browser()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian's package: chromium)"),
]
WIDTHS = (320, 360, 768, 1280)
PAPER = 680
"""Width of A4 between the margins of the style, in CSS pixels."""
BESIDE = """
[...document.querySelectorAll("body *")]
  .filter(e => !e.closest(".skip") && !e.parentElement.closest(".scroll, .card"))
  .filter(e => { const box = e.getBoundingClientRect();
                 return box.width > 0 && (box.right > innerWidth + 1 || box.left < -1); })
  .map(e => e.tagName + " " + e.className + " " + e.textContent.slice(0, 40))
"""
PAGES = ("report", "comparison", "static", "long names")


@pytest.fixture(scope="module")
def urls(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    score, other = fake_score(20, 40), fake_score(20, 40, model="ff")
    long: dict[str, Any] = {"model": "m" * 200, "layer": "layer " * 40, "recording": "r" * 120}
    long |= {"provenance": {"command": "brainfit score " + "--option value " * 40, "k" * 90: "v" * 300}}
    paths = {
        "report": write_report(score, folder / "one"),
        "comparison": write_comparison([score, other], folder / "two"),
        "static": write_report(fake_score(20, 40, 1), folder / "static"),
        "long names": write_report(fake_score(6, 12, **long), folder / "long"),
    }
    return {name: path.as_uri() for name, path in paths.items()}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    made = Browser(CHROMIUM, tmp_path_factory.mktemp("profile"))
    yield made
    made.close()


@pytest.fixture(params=PAGES)
def opened(request, browser, urls):
    browser.show(width=1280)
    browser.open(urls[request.param])
    return browser


def test_a_page_loads_nothing_and_logs_no_errors(opened):
    asked = [request["request"]["url"] for request in opened.seen("Network.requestWillBeSent")]
    assert [url for url in asked if not url.startswith("data:image/svg+xml;base64,")] == [asked[0]]
    assert asked[0].startswith("file://")
    assert opened.seen("Network.loadingFailed") == []
    assert opened.seen("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown") == []


def test_the_browser_reports_loads_and_errors(browser, tmp_path):
    """The test above can fail: a page that loads files and logs errors is detected."""
    page = tmp_path / "bad.html"
    page.write_text("<img src='http://127.0.0.1:9/x.png'><script>console.error(1); f()</script>")
    browser.open(page.as_uri())
    assert len(browser.seen("Network.requestWillBeSent")) == 2
    assert browser.seen("Network.loadingFailed")
    assert browser.seen("Runtime.consoleAPICalled")
    assert browser.seen("Runtime.exceptionThrown")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_extends_beyond_the_page(opened, width, scheme):
    opened.show(width=width, scheme=scheme)
    assert opened.ask("document.documentElement.scrollWidth") <= width
    assert opened.ask(BESIDE) == []


def test_all_pictures_are_drawn(opened):
    sizes = opened.ask("[...document.images].map(image => [image.complete, image.naturalWidth])")
    assert sizes
    assert all(complete and width > 100 for complete, width in sizes)


def test_text_is_readable_on_a_phone(opened):
    opened.show(width=360)
    assert min(opened.ask(SIZES)) >= 12


SIZES = """
[...document.querySelectorAll("p, li, td, th, dd, dt, figcaption, summary, code, caption")]
  .map(e => parseFloat(getComputedStyle(e).fontSize))
"""


def test_a_dark_page_is_dark(opened):
    grounds = []
    for scheme in ("light", "dark"):
        opened.show(width=1280, scheme=scheme)
        color = opened.ask("getComputedStyle(document.body).backgroundColor")
        grounds.append(sum(map(int, re.findall(r"\d+", color)[:3])))
    assert grounds[0] > 600
    assert grounds[1] < 150


def test_the_first_tab_stop_leads_to_the_numbers(opened):
    for kind in ("rawKeyDown", "keyUp"):
        opened.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
    assert opened.ask("document.activeElement.className") == "skip"
    assert opened.ask("document.activeElement.getBoundingClientRect().left") >= 0


def test_a_print_is_complete_and_nothing_is_cut(opened):
    opened.show(width=PAPER, media="print", scheme="dark")
    assert opened.ask("document.documentElement.scrollWidth") <= PAPER
    wide = "[...document.querySelectorAll('table, img, pre')].filter(e => e.scrollWidth > innerWidth + 1)"
    assert opened.ask(f"{wide}.length") == 0
    hidden = "[...document.querySelectorAll('details table')].filter(e => !e.checkVisibility()).length"
    assert opened.ask(hidden) == 0
    assert opened.ask("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    printed = opened.call("Page.printToPDF", preferCSSPageSize=True)["data"]
    n_pages = len(re.findall(rb"/Type\s*/Page\b(?!s)", base64.b64decode(printed)))
    assert 2 < n_pages < 20


def test_a_report_is_printed_to_pdf(tmp_path):
    printed = write_report(fake_score(6, 12), tmp_path, "pdf").read_bytes()
    assert printed.startswith(b"%PDF-")
    assert 2 < len(re.findall(rb"/Type\s*/Page\b(?!s)", printed)) < 20
    assert [path.name for path in tmp_path.iterdir()] == ["report.pdf"]
