import re
from importlib.resources import files

import numpy as np
import pytest
from fake_scores import fake_score
from pages import Page

from brainfit.errors import ContractError, IntegrityError, PluginError
from brainfit.figures import Display, scores_against_ceiling
from brainfit.figures.style import INK, MUTED
from brainfit.report.files import FIGURE_NAMES
from brainfit.report.html import page as make_page
from brainfit.report.markdown import markdown
from brainfit.report.of_score import document
from brainfit.report.tables import plain_rows, windows_frame
from brainfit.report.write import write_report

HOSTILE = "<script>alert(1)</script>"


ADAM = {
    "mapping": "sgd",
    "provenance": {"fit": {"learning_rate": 0.003, "batch_images": 32}},
}


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
    """Skip drawing in tests of files."""
    monkeypatch.setattr(
        "brainfit.report.write._pictures", lambda display, suffixes: dict.fromkeys(suffixes, b"<svg/>")
    )


def read(score):
    """Return the page with empty pictures, without drawing them."""
    told = document(score)
    return Page(make_page(told, {display.name: b"<svg/>" for display in told.figures}))


def test_a_report_writes_exactly_the_promised_files(folder):
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    names = set(FIGURE_NAMES) - {"ranked"}
    assert files == {"report.html"} | {
        f"figures/{name}.{suffix}" for name in names for suffix in ("png", "svg")
    }


def test_the_page_loads_nothing(page):
    assert all(attrs["src"].startswith("data:image/svg+xml;base64,") for attrs in page.all("img"))
    assert {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "embed"} == set()
    for tag, attrs in page.tags:
        assert tag == "a" or "href" not in attrs
        assert "srcset" not in attrs
    links = [attrs["href"] for attrs in page.all("a")]
    assert all(re.match(r"https://(doi|arxiv)\.org/|#", link) for link in links)
    assert len(links) > 5


def test_the_style_loads_nothing(folder):
    style = re.findall(r"<style>(.*?)</style>", (folder / "report.html").read_text(encoding="utf-8"), re.S)
    assert "url(" not in style[0]
    assert "@import" not in style[0]


def test_headings_are_in_order_and_images_have_alternative_text(page):
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert max(np.diff(levels)) <= 1
    assert all(len(attrs["alt"]) > 40 for attrs in page.all("img"))


def test_the_result_comes_first_with_its_numbers(page):
    pooled, data = fake_score().pooled, fake_score().data.sel(window="pooled")
    low, high = data["window_image_driven_ci95"].values
    sentence = (
        f"median_convrnn (conv7, random weights) reaches {data['window_image_driven'].median():.2f} of the "
        "noise "
        f"ceiling in simulated pIT, image-driven (95% interval {low:.2f} to {high:.2f})."
    )
    assert sentence in page.text
    assert page.text.index(sentence) < page.text.index("Figures")
    assert f"r = {data['window_image_driven_r'].median():.2f} under a ceiling of" in page.text
    assert f"the plain pooled score is {pooled['normalized']:.2f}" in page.text
    assert f"the same for every image, reaches {pooled['time_course']:.2f}." in page.text


def test_windows_are_those_of_the_score():
    score = fake_score()
    frame = windows_frame(score).set_index("window")
    for window, medians in score.windows.items():
        assert [frame.loc[window, name] for name in ("r", "ceiling", "reliability", "normalized")] == [
            medians[name] for name in ("r", "ceiling", "reliability", "normalized")
        ]
        here = score.data.sel(window=window)
        assert list(frame.loc[window, ["low", "high"]]) == here["window_image_driven_ci95"].values.tolist()
        assert frame.loc[window, "image_driven"] == here["window_image_driven"].median()
    assert list(frame.loc["early", ["start", "end", "n_bins"]]) == [70, 130, 6]


@pytest.mark.parametrize(
    "needed",
    [
        "brainfit score --model median_convrnn --region pIT --seed 0",
        "2 units: constant response to every training image",
        "6 of 25 time bins in the curves",
        "25 % of the images of each object were held out, to within one image, 160 in all",
        "480 training images",
        "1 min 23 s",
        "2.1 GB",
        "versions.torch",
        "reliability = 2ρ / (1 + ρ)",
        "arxiv.org/abs/1807.00053",
        "penalty for each unit, chosen from 17 between 0.001 and 100000 times",
        "on 5 inner folds of the training images",
        "halves are correlated over images, 100 times",
    ],
)
def test_the_page_holds_settings_provenance_and_methods(page, needed):
    assert needed in page.text


@pytest.mark.parametrize("simulated", [True, False])
@pytest.mark.parametrize("weights", ["random:0", "9f86d081"])
def test_notices_appear_exactly_when_they_apply(simulated, weights):
    page = read(small_score(simulated=simulated, weights=weights))
    top = page.text[: page.text.index("Result")]
    assert ("Simulated recording." in top) == simulated
    assert ("Random weights." in top) == (weights == "random:0")
    notes = [attrs for attrs in page.all("div") if attrs.get("role") == "note"]
    assert bool(notes) == (simulated or weights == "random:0")


@pytest.mark.slow
def test_markup_in_names_is_escaped(tmp_path):
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


def test_names_that_are_not_text_do_not_stop_the_page(quick, tmp_path):
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


def test_a_score_without_defined_units_says_so():
    page = read(small_score(reliable=False))
    assert "cannot be scored in simulated pIT: no unit has a response that stands out from noise" in page.text
    assert "6 of 6 units in the median" in page.text
    assert "25 of 25 time bins in the curves" in page.text


def test_one_time_bin_has_no_time_axis_and_the_report_says_so():
    page = read(small_score(n_bins=1))
    assert "one time bin, so there is no time axis" in page.text
    assert len(page.all("img")) == 3
    for word in ("early", "Late", "Temporal r", "time course alone", "Every time bin", "time bins"):
        assert word not in page.text


@pytest.mark.slow
def test_equal_scores_give_equal_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr("brainfit.report.of_score.displays", lambda score: [scores_against_ceiling(score)])
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


def test_a_failed_write_keeps_the_old_report_and_leaves_no_partial_files(quick, tmp_path, monkeypatch):
    (tmp_path / "report.html").write_text("old", encoding="utf-8")

    def fail(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(IntegrityError, match="cannot write the report"):
        write_report(small_score(), tmp_path)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["report.html"]
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == "old"


def test_a_file_in_place_of_the_folder_is_refused(quick, tmp_path):
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
def test_nested_values_become_rows_of_text(value, rows):
    assert list(plain_rows(value)) == rows


@pytest.fixture(scope="module")
def text():
    return markdown(document(fake_score()), "figures")


def test_markdown_has_the_same_content(text):
    told = document(fake_score())
    plain = re.sub(r"\\(.)", r"\1", text)
    for sentence in (told.headline, told.basis, *told.methods, *(text for _, text in told.notices)):
        assert sentence in plain
    assert f"```\n{told.commands[0]}\n```" in text


def test_markdown_has_its_figures_in_files(tmp_path, quick):
    path = write_report(small_score(), tmp_path, "md")
    links = re.findall(r"!\[[^]]+\]\(([^)]+)\)", path.read_text(encoding="utf-8"))
    assert len(links) == 7
    assert all((tmp_path / link).is_file() for link in links)


def test_tables_in_markdown_are_well_formed():
    score = small_score(model="a|b", layer="x\ny")
    for block in markdown(document(score), "figures").split("\n\n"):
        if block.startswith("|"):
            widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
            assert len(widths) == 1, block


def test_backticks_in_a_command_are_kept():
    text = markdown(document(small_score(provenance={"command": "echo ```"})), "figures")
    assert "````\necho ```\n````" in text


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(ContractError, match=r"format is 'html' or 'pdf' .*, got 'docx'"):
        write_report(small_score(), tmp_path / "run", "docx")
    assert not (tmp_path / "run").exists()


def luminance(color):
    parts = [int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    """Return the contrast ratio of WCAG 2.1 from relative luminances."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def schemes():
    style = files("brainfit.report").joinpath("templates/report.css").read_text(encoding="utf-8")
    light, dark, paper = re.findall(r":root \{([^}]*)\}", style)
    colors = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)) for block in (light, dark, paper)]
    return {"light": colors[0], "dark": {**colors[0], **colors[1]}, "paper": {**colors[0], **colors[2]}}


@pytest.mark.parametrize("colors", schemes().values(), ids=schemes())
@pytest.mark.parametrize(
    ("letters", "ground"),
    [
        ("ink", "paper"),
        ("ink", "raised"),
        ("ink", "notice"),
        ("muted", "paper"),
        ("muted", "raised"),
        ("accent", "paper"),
    ],
)
def test_text_has_enough_contrast(colors, letters, ground):
    assert contrast(colors[letters], colors[ground]) >= 4.5


@pytest.mark.parametrize("letters", [INK, MUTED])
def test_text_in_figures_has_enough_contrast(letters):
    assert contrast(letters, "#ffffff") >= 4.5


def test_headers_of_tables_have_a_scope(page):
    assert {attrs.get("scope") for attrs in page.all("th")} == {"col", "row"}
    assert len(page.all("caption")) == len(page.all("table")) == 5


def test_scrolling_parts_are_reachable_with_the_keyboard(page):
    scrolling = [
        attrs for tag, attrs in page.tags if set(attrs.get("class", "").split()) & {"scroll", "card"}
    ]
    assert len(scrolling) > 8
    assert all(attrs["tabindex"] == "0" and attrs["role"] == "region" for attrs in scrolling)
    assert all(attrs["aria-label"] for attrs in scrolling)


def test_a_link_skips_to_the_numbers(page):
    first = page.all("a")[0]
    assert first["href"] == "#result"
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert "result" in ids
    assert len(ids) == len(set(ids))
    assert page.all("html") == [{"lang": "en"}]


def test_the_references_are_exactly_the_cited_works():
    for options in ({}, {"mapping": "pls"}, {"mapping": "factorized"}, {"mapping": "sgd"}, ADAM):
        told = document(small_score(**options))
        cited = re.findall(
            r"([A-Z][a-z]+(?: et al\.| and [A-Z][a-z]+)?, (?:19|20)\d\d)", " ".join(told.methods)
        )
        assert {reference.cited for reference in told.references} == set(cited)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "by one linear map for all time bins, fitted by ridge regression"),
        (
            {"mapping": "sgd"},
            "stopped for each unit where it best predicted a held-out fold of the training images",
        ),
        ({"control": "per-bin"}, "by a linear map, fitted by ridge"),
        ({"control": "time-shuffled"}, "in another order"),
        ({"control": "graded"}, "scaled by one time course for all units"),
        (
            {"layer_choice": {"how": "auto"}},
            "conv7, which most units chose, by ridge regression on inner folds",
        ),
        (
            {"layer_choice": {"how": "auto", "candidates": {"a": {}, "b": {}}, "tied": True}},
            "which most units chose of 2 layers (as many chose another, from which the median unit",
        ),
        ({"layer_choice": {"how": "named"}}, "The features of layer conv7 were mapped"),
        ({"precision": "bfloat16"}, "The model computed in bfloat16, everything after it in float32"),
        ({"benchmark": "majaj2015-pIT"}, "of the recording “simulated” (benchmark “majaj2015-pIT”), 25 %"),
        ({"benchmark": None}, "of the recording “simulated”, 25 %"),
        ({"presentation": {"background_space": "pixel"}}, "gray (0.5 before the model’s normalisation of"),
        ({"test_fraction": 0.125}, "12.5 % of the images"),
        (
            {"control": "per-bin", "fit": {"per_bin": [{"relative_alphas": [0.1, 10.0, 3]}] * 2}},
            "chosen from 3 between 0.1 and 10 times",
        ),
        (
            {
                "control": "per-bin",
                "mapping": "pls",
                "fit": {"per_bin": [{"n_components": 3}, {"n_components": 9}]},
            },
            "partial least squares with 3 to 9 components",
        ),
        ({"mapping": "pls", "fit": {"n_components": 7}}, "partial least squares with 7 components"),
        (
            {"mapping": "factorized", "fit": {"learning_rate": 0.003, "batch_images": 32}},
            "learning rate 0.003 over the square root of the number of channels, 32 images a batch",
        ),
        ({}, "each bin’s mean over images is taken off prediction, response and trials"),
        ({}, "from 70 to 250 ms (pooled)"),
        ({}, "Spearman correlation is the plain one with ranks"),
        (
            {"layer_choice": {"how": "committed"}},
            "conv7, the layer that the model commits to for the region, were",
        ),
        (
            {"layer_choice": {"how": "committed"}, "fit": {"projection": {"n_components": 2000}}},
            "for the region, projected at random to 2,000 dimensions (Li et al., 2006), were mapped",
        ),
        ({"presentation": {"on_ms": 60, "off_ms": 0}}, "for 60 ms, and no gray after it"),
        ({"test_fraction": 0.5}, "50 % of the images of each object were held out"),
        (
            {"images": {"split": "the recording's own"}},
            "were held out, as the recording prescribes; maps were fitted to the other",
        ),
        (
            {
                "images": {
                    "split": "drawn, 0.25 of the images; 3 images without repeats are for training only"
                }
            },
            "in all, drawn among the images with repeated trials; maps",
        ),
        (
            {"presented_in_experiment": {"on_ms": 100, "off_ms": 150}},
            "These are the durations of the experiment.",
        ),
        (
            {"presented_in_experiment": {"on_ms": 200, "off_ms": 200}},
            "In the experiment, it was shown for 200 ms, followed by 200 ms of gray.",
        ),
        ({"trial_splits": 7}, "correlated over images, 7 times"),
    ],
)
def test_the_methods_describe_the_settings_of_the_score(options, says):
    score = small_score()
    known = {key: value for key, value in options.items() if key in score.info}
    provenance = {**score.info["provenance"], **{k: v for k, v in options.items() if k not in known}}
    told = type(score)(score.data, {**score.info, **known, "provenance": provenance})
    assert says in " ".join(document(told).methods)


@pytest.mark.parametrize(
    ("step_ms", "width", "says"),
    [
        (10, 10, "in the step that holds its centre."),
        (10, 20, "in the step that holds its centre."),  # overlapping windows are not averaged
        (10, 50, "with the model’s mean state in it."),
        (10, [10, 50], "one of more than two steps with the mean state in it."),
    ],
)
def test_the_methods_state_how_bins_match_steps(step_ms, width, says):
    score = small_score()
    start = score.data["time_bin_start"].values
    widths = np.resize(width, start.size)
    bins = ("time_bin", start + widths)
    told = document(type(score)(score.data.assign_coords(time_bin_end=bins), score.info))
    assert says in told.methods[0]


def test_the_methods_omit_an_interval_that_does_not_exist():
    score = small_score()
    nothing = score.data["window_image_driven_ci95"] * np.nan
    told = " ".join(
        document(type(score)(score.data.assign(window_image_driven_ci95=nothing), score.info)).methods
    )
    assert "no 95% interval, which needs at least 3 defined units" in told
    assert "Student" not in told


def test_ranks_stand_beside_the_score():
    score = fake_score()
    table = document(score).results[1]
    for row, medians in zip(table.rows, score.windows.values(), strict=True):
        cells = dict(zip(table.heads, row, strict=True))
        assert cells["Spearman"] == f"{medians['spearman']:.2f}"
        assert cells["Spearman, normalised"] == f"{medians['spearman_normalized']:.2f}"
    still = document(small_score(n_bins=1))
    assert "Spearman, normalised" in still.results[0].heads
    (_, units) = still.details[-1]
    at = units.heads.index("Spearman, normalised")
    assert len({row[at] for row in units.rows}) > 1


@pytest.mark.parametrize("format", ["html", "md"])
def test_characters_missing_from_fonts_do_not_stop_a_report(format, tmp_path):
    path = write_report(small_score(model="brain 🧠 网络", n_bins=1), tmp_path, format)
    assert "brain 🧠 网络" in path.read_text(encoding="utf-8")


def test_a_pdf_without_a_browser_is_one_line_with_advice(quick, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("brainfit.report.browser.MAC", "")
    with pytest.raises(PluginError, match=r"install one .*, or write --format html and print") as error:
        write_report(small_score(), tmp_path / "run", "pdf")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("echo 'no display' >&2; exit 3", "no display"),
        ("exit 3", "exit code 3"),
        ("sleep 60", "not finish in"),
    ],
)
def test_a_browser_that_fails_to_print_is_named_with_its_reason(
    script, problem, quick, tmp_path, monkeypatch
):
    browser = tmp_path / "chromium"
    browser.write_text(f"#!/bin/sh\n{script}\n")
    browser.chmod(0o755)
    monkeypatch.setattr("brainfit.report.browser.find_browser", lambda: str(browser))
    monkeypatch.setattr("brainfit.report.browser.LONGEST_S", 1)
    with pytest.raises(PluginError, match=rf"chromium printed no PDF \(.*{problem}.*\); write --format html"):
        write_report(small_score(), tmp_path / "run", "pdf")


def changed(score, fit=None, weights="9f86d081", **data):
    provenance = {**score.info["provenance"], "fit": fit or {}}
    return type(score)(
        score.data.assign(data),
        {**score.info, "simulated": False, "weights": weights, "provenance": provenance},
    )


NOTICES = {
    "nothing": (lambda score: changed(score), []),
    "few units": (
        lambda score: changed(score, window_defined=score.data["window_defined"] & False),
        ["Do not read this score"],
    ),
    "a clock would do better": (
        lambda score: changed(score, window_time_course=score.data["window_normalized"] + 0.01),
        ["Below the mean time course"],
    ),
    "unknown weights": (lambda score: changed(score, weights="unknown"), ["Unknown weights"]),
    "not converged": (lambda score: changed(score, fit={"converged": False}), ["Fit not converged"]),
}
"""Tests of `brainfit.scoring.notices` have the rules; these check that the page shows them."""


@pytest.mark.parametrize(("change", "titles"), NOTICES.values(), ids=NOTICES)
def test_warnings_are_on_the_page_exactly_when_they_apply(change, titles):
    told = document(change(fake_score(20, 40)))
    assert [title for title, _ in told.notices] == titles
    page = read(change(fake_score(20, 40)))
    assert all(f"{title}." in page.text[: page.text.index("Result")] for title in titles)
