"""Scores of other versions of brainfit, with names unknown here, can be read and reported."""

from dataclasses import replace

import pytest
from fake_scores import fake_score

from brainfit.report.write import write_report
from brainfit.scoring.result import Score


@pytest.mark.slow
@pytest.mark.parametrize(
    "info",
    [
        {"control": "lagged"},
        {"mapping": "nearest"},
        {"region": "TEO"},
        {"weights": "unheard of"},
        {"benchmark": "none of ours"},
        {"dropped": []},
        {"provenance": {}},
        {"provenance": {"fit": {"converged": False}, "presentation": {}, "versions": {"brainfit": "9.0"}}},
    ],
    ids=str,
)
def test_unknown_names_of_another_version_are_reported(tmp_path, info):
    score = fake_score(n_units=4, n_images=12)
    replace(score, info={**score.info, **info}).to_netcdf(tmp_path / "score.nc")
    again = Score.from_netcdf(tmp_path / "score.nc")
    assert repr(again)
    assert again._repr_html_()
    write_report(again, tmp_path / "run")
