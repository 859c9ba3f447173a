"""Notebooks show scores and recordings as small tables, for any names and numbers."""

import re
from dataclasses import replace

import pytest
from fake_scores import fake_score
from pages import Page
from tiny import tiny_recording

HOSTILE = "<script>alert(1)</script>"


def score_page(**options):
    return Page(fake_score(**{"n_units": 6, "n_images": 12, **options})._repr_html_())


def test_a_score_shows_its_result_and_notices():
    score = fake_score(6, 12)
    page = score_page()
    for key in ("normalized", "image_driven", "r"):
        assert f"{score.pooled[key]:.2f}" in page.text
    assert "⚠ Simulated recording" in page.text
    assert "⚠ Random weights" in page.text
    assert "⚠" not in score_page(simulated=False, weights="9f86d081").text


@pytest.mark.parametrize("options", [{}, {"n_bins": 1}, {"reliable": False}, {"n_units": 1}], ids=str)
def test_undefined_numbers_are_shown_as_a_dash(options):
    words = re.findall(r"\w+", score_page(**options).text.lower())
    assert not {"nan", "none", "inf"} & set(words)


def test_a_recording_shows_its_contents_and_reads_no_responses():
    recording = tiny_recording()
    page = Page(recording._repr_html_())
    for text in ("16 of 2 objects", "V4 3 (a 3); pIT 3 (a 3)", "up to 4", "25 from 0 to 250 ms"):
        assert text in page.text
    assert "⚠ Simulated recording" in page.text
    real = replace(recording, simulated=False, responses=recording.responses.mean("trial"))
    assert "⚠" not in Page(real._repr_html_()).text
    assert "averaged" in Page(real._repr_html_()).text


@pytest.mark.parametrize(
    "shown", [fake_score(3, 8, model=HOSTILE, layer=HOSTILE), replace(tiny_recording(), name=HOSTILE)]
)
def test_markup_in_names_is_escaped(shown):
    assert "<script" not in shown._repr_html_()
    assert HOSTILE in Page(shown._repr_html_()).text


@pytest.mark.parametrize("shown", [fake_score(3, 8), tiny_recording()])
def test_no_colour_is_set_so_dark_notebooks_stay_readable(shown):
    colours = re.findall(r"(?:color|background)[^:;\"]*: *([^;\"]+)", shown._repr_html_())
    assert colours == ["inherit"]
