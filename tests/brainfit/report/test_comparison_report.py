import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_scores import fake_score
from typer.testing import CliRunner

from brainfit.analyses.comparison import compare
from brainfit.cli.app import app
from brainfit.errors import ContractError
from brainfit.report import run_folder
from brainfit.report.markdown import markdown
from brainfit.report.of_comparison import comparison_displays, comparison_document
from brainfit.report.write import write_comparison

HOSTILE = "<script>alert(1)</script>"
SMALL: dict[str, Any] = {"n_units": 12, "n_images": 40}


def worse(score, amount, **info):
    """Return a score of the same responses, predicted with added noise."""
    noise = np.random.default_rng(1).normal(size=score.data["predicted"].shape)
    data = score.data.assign(predicted=score.data["predicted"] + amount * noise)
    lower = ("window_normalized", "window_r", "window_image_driven", "window_image_driven_r")
    data = data.assign({name: data[name] - min(0.3, amount) for name in lower})
    return type(score)(data, {**score.info, **info})


@pytest.fixture(scope="module")
def scores():
    good = fake_score(**SMALL)
    return [worse(good, 0.4, model="ff"), good, worse(good, 0.2, model="gru_shallow")]


@pytest.fixture(scope="module")
def told(scores):
    return comparison_document(scores, command="brainfit compare a b c")


def table_of(told, start):
    (table,) = [table for table in told.results if table.caption.startswith(start)]
    return table


def driven_pairs(scores):
    return [pair for pair in compare(scores) if pair.measure == "image_driven"]


def driven(score):
    return float(score.data["window_image_driven"].sel(window="pooled").median())


def test_the_headline_names_the_best_model_and_its_margin(scores, told):
    pair = next(p for p in driven_pairs(scores) if (p.first, p.second, p.window) == (1, 2, "pooled"))
    low, high = pair.ci95
    assert told.headline.startswith(
        f"In simulated pIT, median_convrnn predicts most, {driven(scores[1]):.2f} of the "
        f"image-driven noise ceiling, {pair.difference:.2f} more than gru_shallow, unit by unit"
    )
    assert f"95% interval {low:.2f} to {high:.2f}, p " in told.headline
    assert (
        f"mean time course alone, the same for every image, reaches {scores[0].pooled['time_course']:.2f}."
        in told.basis
    )


def test_the_headline_does_not_depend_on_the_order_of_scores(scores, told):
    assert comparison_document(scores[::-1]).headline == told.headline


def test_an_insignificant_difference_is_reported_as_such(scores):
    one = scores[1]
    by_chance = 0.01 * (-1.0) ** np.arange(one.data.sizes["unit"])
    data = one.data.assign(window_image_driven=one.data["window_image_driven"] + by_chance)
    headline = comparison_document([one, type(one)(data, {**one.info, "model": "twin"})]).headline
    assert "which is not distinguishable from no difference (95% interval" in headline


def test_undefined_scores_are_reported_as_not_comparable():
    silent = fake_score(**SMALL, reliable=False)
    told = comparison_document([silent, worse(silent, 0.0, model="ff")])
    assert told.headline.startswith("The models cannot be compared in simulated pIT")


def test_too_few_units_have_no_test():
    one = fake_score(1, 40)
    told = comparison_document([one, worse(one, 0.1, model="ff")])
    assert told.headline.endswith("there are too few units for a test.")


def test_the_tables_hold_scores_and_differences(scores, told):
    models = table_of(told, "Medians over units")
    for row, score in zip(models.rows, scores, strict=True):
        cells = dict(zip(models.heads, row, strict=True))
        pooled = score.pooled
        assert cells["Model"] == score.info["model"]
        assert cells["Image-driven"] == f"{driven(score):.2f}"
        low, high = score.data["window_image_driven_ci95"].sel(window="pooled").values
        assert cells["95% interval"] == f"{low:.2f} to {high:.2f}"
        assert cells["Plain"] == f"{pooled['normalized']:.2f}"
    pairs = table_of(told, "Differences")
    shown = [pair for pair in compare(scores) if pair.measure == "image_driven" or pair.window == "pooled"]
    assert len(pairs.rows) == len(shown) == 12
    for row, pair in zip(pairs.rows, shown, strict=True):
        cells = dict(zip(pairs.heads, row, strict=True))
        assert float(cells["Difference"].replace("−", "-")) == pytest.approx(pair.difference, abs=0.0051)
        assert cells["Units"] == str(pair.n_units)


def test_shared_notices_appear_once_and_others_name_their_models(scores):
    trained = replace(scores[0], info={**scores[0].info, "weights": "9f86d081"})
    titles = [title for title, _ in comparison_document([trained, *scores[1:]]).notices]
    assert titles == ["Simulated recording", "Random weights (median_convrnn, gru_shallow)"]
    titles = [title for title, _ in comparison_document(scores).notices]
    assert titles == ["Random weights", "Simulated recording"]


def test_the_methods_state_shared_settings_once(scores):
    paragraphs = comparison_document(scores).methods
    assert sum("Each image was shown to" in text for text in paragraphs) == 1
    assert sum("fitted by ridge" in text for text in paragraphs) == 1
    other = replace(scores[0], info={**scores[0].info, "mapping": "pls", "layer": "conv3"})
    paragraphs = comparison_document([other, *scores[1:]]).methods
    assert sum("fitted by ridge" in text for text in paragraphs) == 1
    assert sum("partial least squares with up to 25 components" in text for text in paragraphs) == 1
    assert any("(Holm, 1979)" in text for text in paragraphs)


def test_the_references_are_exactly_the_cited_works(told):
    text = " ".join(told.methods)
    cited = set(re.findall(r"[A-Z][a-z]+(?: et al\.| and [A-Z][a-z]+)?, (?:19|20)\d\d", text))
    assert {reference.cited for reference in told.references} == cited


def test_the_page_shows_the_commands_of_runs_and_comparison(told, scores):
    assert told.commands == [scores[0].info["provenance"]["command"], "brainfit compare a b c"]


def test_a_static_recording_is_compared_without_time():
    one = fake_score(**SMALL, n_bins=1)
    scores = [one, worse(one, 0.2, model="ff")]
    assert [shown.name for shown in comparison_displays(scores)] == ["pooled"]
    told = comparison_document(scores)
    assert "one time bin" in told.figures_note
    assert {row[1] for row in table_of(told, "Differences").rows} == {"pooled"}


def test_scores_of_other_images_are_refused(scores, tmp_path):
    with pytest.raises(ContractError, match="different"):
        write_comparison([scores[0], fake_score(**SMALL, seed=9)], tmp_path / "both")
    assert not (tmp_path / "both").exists()


@pytest.mark.parametrize(
    ("suffix", "last"),
    [
        ("html", "comparison.html"),
        ("pdf", "comparison.pdf"),
        ("md", "comparison.md"),
        ("png", "figures"),
        ("svg", "figures"),
    ],
)
def test_the_command_writes_the_requested_report(scores, suffix, last, tmp_path, monkeypatch):
    drawn = dict.fromkeys(("svg", "png"), b"<svg/>")
    monkeypatch.setattr("brainfit.report.write._pictures", lambda display, suffixes: drawn)
    monkeypatch.setattr("brainfit.report.write.print_pdf", lambda page: b"%PDF")
    folders = [str(tmp_path / str(k)) for k in range(3)]
    for folder, score in zip(folders, scores, strict=True):
        Path(folder).mkdir()
        score.to_netcdf(Path(folder, run_folder.SCORE))
    asked = ["compare", *folders, "--report", str(tmp_path / "both"), "--format", suffix]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == str(tmp_path / "both" / last)
    assert (tmp_path / "both" / last).exists()
    if suffix == "md":
        result = CliRunner().invoke(app, [*asked, "--json"])
        assert json.loads(result.stdout)["report"] == str(tmp_path / "both" / last)


def test_a_format_without_a_report_is_a_usage_error(tmp_path):
    result = CliRunner().invoke(app, ["compare", "a", "b", "--format", "pdf"])
    assert result.exit_code == 2
    assert "--format is the format of a report" in result.stderr


def test_markup_in_names_is_escaped(scores, tmp_path, monkeypatch):
    monkeypatch.setattr("brainfit.report.of_comparison.comparison_displays", lambda scores: [])
    hostile = [
        replace(score, info={**score.info, "model": f"{HOSTILE}{k}"}) for k, score in enumerate(scores)
    ]
    page = write_comparison(hostile, tmp_path).read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    text = markdown(comparison_document(hostile), "figures")
    assert not re.search(r"(?<!\\)<(?!https)", text)
    assert r"\<script\>" in text


def test_two_equal_runs_are_reported_as_equal(scores):
    told = comparison_document([scores[0], scores[0]])
    assert told.headline == "In simulated pIT, ff (1) and ff (2) predict every unit alike."


def test_several_models_are_joined_as_in_a_sentence(scores):
    names = [f"{score.info['model']} (weights: random:0)" for score in scores]
    assert f"shown to {names[0]}, {names[1]} and {names[2]} for" in comparison_document(scores).methods[0]


def test_given_pairs_are_not_computed_again(scores, told, monkeypatch):
    pairs = compare(scores)
    monkeypatch.setattr("brainfit.report.of_comparison.compare", None)
    again = comparison_document(scores, command="brainfit compare a b c", pairs=pairs)
    assert again.results == told.results


def test_the_command_computes_pairs_once(scores, tmp_path, monkeypatch):
    times = []
    monkeypatch.setattr("brainfit.report.write._pictures", lambda display, suffixes: {"png": b"", "svg": b""})
    monkeypatch.setattr(
        "brainfit.analyses.comparison._require_same", lambda scores: times.append(len(scores))
    )  # one call per comparison
    folders = [str(tmp_path / str(k)) for k in range(2)]
    for folder, score in zip(folders, scores, strict=False):
        Path(folder).mkdir()
        score.to_netcdf(Path(folder, run_folder.SCORE))
    result = CliRunner().invoke(app, ["compare", *folders, "--report", str(tmp_path / "both")])
    assert result.exit_code == 0, result.output
    assert times == [2]


def test_a_comparison_does_not_replace_the_figures_of_a_run(scores, tmp_path):
    scores[0].to_netcdf(tmp_path / run_folder.SCORE)
    with pytest.raises(ContractError, match="is the folder of a run"):
        write_comparison(scores, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [run_folder.SCORE]


def test_ranks_stand_beside_the_scores(scores, told):
    table = table_of(told, "Medians over units")
    at = table.heads.index("Spearman, normalised")
    assert [row[at] for row in table.rows] == [f"{s.pooled['spearman_normalized']:.2f}" for s in scores]
