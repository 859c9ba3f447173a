import re
from dataclasses import replace

import pytest
from fake_scores import fake_score
from pages import Page
from tiny import tiny_recording

HOSTILE = "<script>alert(1)</script>"


def score_page(**options):
    return Page(fake_score(**{"n_units": 6, "n_images": 12, **options})._repr_html_())


def test_a_score_shows_its_result_and_what_it_is_not():
    score = fake_score(6, 12)
    page = score_page()
    assert f"predicts {score.pooled['normalized']:.2f} of the explainable correlation" in page.text
    assert "⚠ Simulated recording" in page.text
    assert "⚠ Random weights" in page.text
    assert "⚠" not in score_page(simulated=False, weights="9f86d081").text
    assert "versions.torch" in page.text
    assert len(page.all("details")) == 2


@pytest.mark.parametrize("options", [{}, {"n_bins": 1}, {"reliable": False}, {"n_units": 1}], ids=str)
def test_any_score_can_be_shown(options):
    words = re.findall(r"\w+", score_page(**options).text.lower())
    assert not {"nan", "none", "inf"} & set(words)


def test_a_recording_shows_what_was_recorded_and_reads_no_response():
    recording = tiny_recording()
    recording = replace(recording, provenance={"source": "made up"})
    page = Page(recording._repr_html_())
    for text in ("16, 32 × 32 pixels", "6: V4 3, pIT 3", "up to 4", "25, from 0 to 250 ms", "made up"):
        assert text in page.text
    assert "⚠ Simulated recording" in page.text
    real = replace(recording, simulated=False, responses=recording.responses.mean("trial"))
    assert "⚠" not in Page(real._repr_html_()).text
    assert "averaged" in Page(real._repr_html_()).text


def test_a_recording_without_provenance_has_nothing_to_fold_out():
    assert Page(tiny_recording()._repr_html_()).all("details") == []


def test_hostile_names_are_text():
    for shown in (
        fake_score(3, 8, model=HOSTILE, layer=HOSTILE, provenance={HOSTILE: HOSTILE}),
        replace(tiny_recording(), name=HOSTILE, provenance={HOSTILE: HOSTILE}),
    ):
        assert "<script" not in shown._repr_html_()
        assert HOSTILE in Page(shown._repr_html_()).text


def test_no_colour_is_set_so_that_a_dark_notebook_stays_readable():
    for shown in (fake_score(3, 8), tiny_recording()):
        assert re.findall(r"(?:color|background)[^:;\"]*: *([^;\"]+)", shown._repr_html_()) == [
            "inherit"
        ] * len(Page(shown._repr_html_()).all("table"))


def test_ranks_can_be_folded_out():
    score = fake_score(n_units=6, n_images=12)
    assert f"{score.pooled['spearman_normalized']:.2f}" in score._repr_html_()
    assert "With ranks (Spearman)" in score._repr_html_()
    assert "Spearman, normalised" in fake_score(n_units=6, n_images=12, n_bins=1)._repr_html_()
