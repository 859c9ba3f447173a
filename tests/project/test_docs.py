"""The documentation site builds without warnings, is complete, and reads well in a browser."""

import html.parser
import importlib
import inspect
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from browser import Browser

import brainfit
from brainfit.report.browser import find_browser

ROOT = Path(__file__).parents[2]
API = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
DOCUMENTED = set(re.findall(r"\.\. auto(?:function|class|module):: (\S+)", API))
LOADERS = ("arrays", "netcdf", "brainio", "hvm", "nwb", "tables", "matlab", "tvsd")
CHROMIUM = find_browser()


@pytest.mark.parametrize("name", brainfit.__all__)
def test_the_api_page_lists_every_public_name(name):
    found = getattr(brainfit, name)
    # A documented module includes its members.
    assert f"brainfit.{name}" in DOCUMENTED or getattr(found, "__module__", "") in DOCUMENTED, name


@pytest.mark.parametrize("module", LOADERS)
def test_the_api_page_lists_readers_and_writers_of_recordings(module):
    loader = importlib.import_module(f"data_loaders.{module}")
    wanted = {f"data_loaders.{module}.{name}" for name in loader.__all__ if name.startswith(("from_", "to_"))}
    assert wanted
    assert wanted <= DOCUMENTED


def test_the_api_page_lists_factories_of_models():
    adapters = importlib.import_module("model_zoo.adapters")
    functions = {name for name in adapters.__all__ if inspect.isfunction(getattr(adapters, name))}
    assert {f"model_zoo.adapters.{name}" for name in functions} <= DOCUMENTED


def test_every_path_named_in_the_architecture_exists():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(
        re.findall(r"`((?:brainfit|model_zoo|data_loaders|benchmarks|tests|docs|perf)/[\w/.]*)`", text)
    )
    assert len(named) > 30
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize(
    "script", sorted((ROOT / "docs" / "figures").glob("*.py")), ids=lambda path: path.stem
)
def test_the_script_of_a_figure_can_be_imported(script):
    assert script.with_suffix(".svg").is_file()
    assert callable(runpy.run_path(str(script), run_name="imported")["draw"])


class Links(html.parser.HTMLParser):
    """A parser that collects a page's links, the files it loads, and its anchors."""

    def __init__(self, text):
        super().__init__()
        self.to, self.loaded, self.ids = [], [], {""}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.ids.add(found.get("id") or "")
        if tag == "a" and found.get("href") is not None:
            self.to.append(found["href"])
        elif tag == "link":
            self.loaded.append(found.get("href"))
        elif found.get("src"):
            self.loaded.append(found["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the site in an empty folder, with warnings as errors, and return the folder."""
    pytest.importorskip("sphinx", reason="Sphinx is not installed (pip install 'brainfit[docs]')")
    place = tmp_path_factory.mktemp("docs")
    ignored = shutil.ignore_patterns("_build", "_generated", "__pycache__")
    shutil.copytree(ROOT / "docs", place / "docs", ignore=ignored)
    for name in ("README.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, place)
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-E", "-b", "html", "docs", "site"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return place / "site"


@pytest.fixture(scope="module")
def pages(site):
    found = {page: Links(page.read_text(encoding="utf-8")) for page in site.rglob("*.html")}
    return {page: links for page, links in found.items() if "_modules" not in page.parts}


@pytest.mark.slow
def test_every_page_is_on_the_site(site, pages):
    written = {
        page.relative_to(ROOT / "docs") for page in (ROOT / "docs").rglob("*.md") if "_" not in page.parts[-1]
    }
    written = {page for page in written if not page.parts[0].startswith("_")}
    assert len(written) > 15
    assert {site / page.with_suffix(".html") for page in written} <= set(pages)
    text = (site / "_generated" / "cli.html").read_text(encoding="utf-8")
    assert "brainfit inter-animal" in text
    assert "brainfit data convert" in text


@pytest.mark.slow
def test_every_link_has_a_target(site, pages):
    dead = []
    for page, links in pages.items():
        for href in links.to:
            parts = urlsplit(href)
            if parts.scheme:
                assert parts.scheme in ("http", "https"), href
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            known = pages[target].ids if target in pages else {parts.fragment}
            if not target.is_file() or unquote(parts.fragment) not in known:
                dead.append(f"{page.relative_to(site)}: {href}")
    assert dead == []


@pytest.mark.slow
def test_pages_load_nothing_from_other_sites(site, pages):
    loaded = {url for links in pages.values() for url in links.loaded}
    assert len(loaded) > 3
    assert [url for url in loaded if urlsplit(url).scheme not in ("", "data")] == []
    for sheet in (site / "_static").rglob("*.css"):
        assert not re.search(r"@import|url\(\s*[\"']?(?:https?:)?//", sheet.read_text(encoding="utf-8")), (
            sheet
        )


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    made = Browser(CHROMIUM, tmp_path_factory.mktemp("profile"))
    yield made
    made.close()


OPENED = [
    "index", "five-minutes", "your-own-model", "your-own-recording", "reproduce-the-paper", "faq", "methods",
    "what-can-go-wrong",
    "models", "performance", "calibration", "api", "architecture", "changelog", "_generated/cli",
    "decisions/index",
]  # fmt: skip
BESIDE = """
[...document.querySelectorAll("article *")].filter(e => {
  const box = e.getBoundingClientRect();
  if (!(box.width > 0 && box.right > innerWidth + 1)) return false;
  for (let above = e.parentElement; above; above = above.parentElement)
    if (["auto", "scroll", "hidden"].includes(getComputedStyle(above).overflowX)) return false;
  return true;
}).map(e => e.tagName + " " + e.textContent.slice(0, 60))
"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian's package: chromium)")
@pytest.mark.parametrize("page", OPENED)
def test_a_page_renders_well_in_a_browser(page, site, browser):
    for width, scheme in ((1280, "light"), (360, "dark")):
        browser.show(width=width, scheme=scheme)
        browser.open((site / f"{page}.html").as_uri())
        asked = [request["request"]["url"] for request in browser.seen("Network.requestWillBeSent")]
        assert asked
        assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
        assert browser.seen("Network.loadingFailed") == []
        assert browser.seen("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown") == []
        assert browser.ask("document.documentElement.scrollWidth") <= width
        assert browser.ask(BESIDE) == []
        sizes = browser.ask("[...document.images].map(image => [image.complete, image.naturalWidth])")
        assert all(complete and across > 0 for complete, across in sizes)
