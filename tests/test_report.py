import html.parser
import re

import numpy as np
import pytest

from brainfit.errors import IntegrityError
from brainfit.figures import Display, scores_against_ceiling
from brainfit.report import write_report
from brainfit.report.page import displays
from brainfit.report.page import page as make_page
from brainfit.report.tables import plain_rows, windows_frame

from .fake_scores import fake_score

VOID = {"meta", "img", "br", "hr", "link", "input"}
HOSTILE = "<script>alert(1)</script>"


class Page(html.parser.HTMLParser):
    """Collects tags and visible text, and fails where a tag is not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.stack, self.pieces = [], [], []
        self.feed(text)
        self.close()
        assert self.stack == []
        self.text = re.sub(r"\s+", " ", "".join(self.pieces))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        if "style" not in self.stack:
            self.pieces.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def small_score(**options):
    return fake_score(**{"n_units": 6, "n_images": 12, **options})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    write_report(fake_score(), folder)
    return folder


@pytest.fixture(scope="module")
def page(folder):
    return Page((folder / "report.html").read_text(encoding="utf-8"))


@pytest.fixture
def quick(monkeypatch):
    """Leave the drawing out, for tests that are about files."""
    monkeypatch.setattr("brainfit.report.write._pictures", lambda display: {"png": b"", "svg": b"<svg/>"})


def read(score):
    """Return the page with empty pictures, which need no drawing."""
    shown = displays(score)
    return Page(make_page(score, shown, {display.name: b"<svg/>" for display in shown}))


def test_the_files_that_are_promised_and_no_others(folder):
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    names = ("predictivity", "units", "trajectories")
    assert files == {"report.html"} | {
        f"figures/{name}.{suffix}" for name in names for suffix in ("png", "svg")
    }


def test_the_page_loads_nothing(page):
    assert all(attrs["src"].startswith("data:image/svg+xml;base64,") for attrs in page.all("img"))
    assert {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "embed"} == set()
    for tag, attrs in page.tags:
        assert tag == "a" or "href" not in attrs
        assert "srcset" not in attrs
    assert all(re.match(r"https://(doi|arxiv)\.org/", attrs["href"]) for attrs in page.all("a"))


def test_the_style_loads_nothing(folder):
    style = re.findall(r"<style>(.*?)</style>", (folder / "report.html").read_text(encoding="utf-8"), re.S)
    assert "url(" not in style[0]
    assert "@import" not in style[0]


def test_headings_are_in_order_and_images_have_words(page):
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert max(np.diff(levels)) <= 1
    assert all(len(attrs["alt"]) > 40 for attrs in page.all("img"))


def test_the_result_comes_first_with_its_numbers(page):
    pooled = fake_score().pooled
    low, high = pooled["ci95"]
    sentence = (
        f"median_convrnn (layer conv7) predicts {pooled['normalized']:.2f} of the explainable "
        f"correlation in pIT (95% interval {low:.2f} to {high:.2f}); "
        f"the mean time course alone, without the image, {pooled['time_course']:.2f}."
    )
    assert sentence in page.text
    assert page.text.index(sentence) < page.text.index("Figures")
    assert f"r = {pooled['r']:.2f}, over" in page.text
    assert f"the normalised score is {pooled['image_driven']:.2f}." in page.text


def test_windows_are_those_of_the_score():
    score = fake_score()
    frame = windows_frame(score).set_index("window")
    for window, medians in score.windows.items():
        assert [frame.loc[window, name] for name in ("r", "ceiling", "reliability", "normalized")] == [
            medians[name] for name in ("r", "ceiling", "reliability", "normalized")
        ]
        assert list(frame.loc[window, ["low", "high"]]) == medians["ci95"]
    assert list(frame.loc["early", ["start", "end", "n_bins"]]) == [70, 130, 6]


@pytest.mark.parametrize(
    "needed",
    [
        "brainfit score --model median_convrnn --region pIT --seed 0",
        "2 units: constant response to every training image",
        "6 of 25 time bins in the curves",
        "480 training images",
        "1 min 23 s",
        "2.1 GB",
        "versions.torch",
        "reliability = 2ρ / (1 + ρ)",
        "arXiv:1807.00053",
    ],
)
def test_what_it_takes_to_defend_the_score_is_there(page, needed):
    assert needed in page.text


@pytest.mark.parametrize("simulated", [True, False])
@pytest.mark.parametrize("weights", ["random:0", "9f86d081"])
def test_notices_are_there_when_they_apply_and_only_then(simulated, weights):
    page = read(small_score(simulated=simulated, weights=weights))
    top = page.text[: page.text.index("Result")]
    assert ("Simulated recording." in top) == simulated
    assert ("Random weights." in top) == (weights == "random:0")
    notes = [attrs for attrs in page.all("div") if attrs.get("role") == "note"]
    assert bool(notes) == (simulated or weights == "random:0")


def test_hostile_names_are_text(tmp_path):
    score = small_score(
        model=HOSTILE,
        layer=HOSTILE,
        recording=HOSTILE,
        dropped=[{"what": HOSTILE, "n": 1, "why": HOSTILE}],
        provenance={HOSTILE: [HOSTILE], "command": HOSTILE},
    )
    data = score.data.assign_coords(unit_id=("unit", [HOSTILE] * 6), image_id=("image", [HOSTILE] * 12))
    path = write_report(type(score)(data, score.info), tmp_path)
    assert "<script" not in path.read_text(encoding="utf-8")
    assert HOSTILE in Page(path.read_text(encoding="utf-8")).text


def test_names_that_are_no_text_do_not_stop_the_page(quick, tmp_path):
    path = write_report(small_score(model="a\ud800b"), tmp_path)
    assert r"a\ud800b" in path.read_text(encoding="utf-8")


SCORES = {
    "nothing reliable": {"reliable": False},
    "one bin": {"n_bins": 1},
    "one unit": {"n_units": 1},
    "no provenance": {"provenance": {}, "dropped": [], "seconds": 0.5, "peak_memory_gb": float("nan")},
}


@pytest.mark.parametrize("options", SCORES.values(), ids=SCORES)
def test_any_score_makes_a_report(quick, options, tmp_path):
    assert write_report(small_score(**options), tmp_path) == tmp_path / "report.html"


@pytest.mark.parametrize("options", SCORES.values(), ids=SCORES)
def test_no_number_is_written_as_nan(options):
    page = read(small_score(**options))
    words = re.findall(r"[\w∞]+", page.text.lower())
    assert not {"nan", "inf", "none", "nat"} & set(words)


def test_a_score_without_one_defined_unit_says_so():
    page = read(small_score(reliable=False))
    assert "cannot be scored in pIT: no unit has a response that can be told from noise" in page.text
    assert "6 of 6 units in the pooled median" in page.text
    assert "25 of 25 time bins in the curves" in page.text


def test_one_time_bin_has_no_time_axis_and_the_report_says_so():
    page = read(small_score(n_bins=1))
    assert "one time bin, so there is no time axis" in page.text
    assert len(page.all("img")) == 1
    assert "70 to 170 ms" in page.text


def test_the_same_score_gives_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr("brainfit.report.write.displays", lambda score: [scores_against_ceiling(score)])
    for name in ("one", "two"):
        write_report(small_score(), tmp_path / name)
    for path in (path for path in (tmp_path / "one").rglob("*") if path.is_file()):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


def test_nothing_is_written_when_a_figure_fails(tmp_path, monkeypatch):
    def fail(self):
        raise RuntimeError("no figure")

    monkeypatch.setattr(Display, "figure", fail)
    with pytest.raises(RuntimeError, match="no figure"):
        write_report(small_score(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_old_report_survives_a_failed_write_and_no_scraps_are_left(quick, tmp_path, monkeypatch):
    (tmp_path / "report.html").write_text("old", encoding="utf-8")

    def fail(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(IntegrityError, match="cannot write the report"):
        write_report(small_score(), tmp_path)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["report.html"]
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == "old"


def test_a_folder_that_is_a_file_is_one_clear_error(quick, tmp_path):
    (tmp_path / "run").write_text("", encoding="utf-8")
    with pytest.raises(IntegrityError, match="cannot write the report to"):
        write_report(small_score(), tmp_path / "run")


@pytest.mark.parametrize(
    ("value", "rows"),
    [
        ({"a": {"b": 1, "c": None}}, [("a.b", "1"), ("a.c", "–")]),
        ({"a": [1, float("nan")]}, [("a", "1, –")]),
        ({"a": [], "b": True}, [("a", "–"), ("b", "yes")]),
        ({"a": [{"b": 1}, {"b": 2}]}, [("a.1.b", "1"), ("a.2.b", "2")]),
    ],
)
def test_plain_rows(value, rows):
    assert list(plain_rows(value)) == rows
