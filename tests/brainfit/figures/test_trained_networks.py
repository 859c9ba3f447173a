"""Tests of the figures of networks that were trained here."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from brainfit.errors import ContractError
from brainfit.figures import (
    accuracy_against_parameters,
    summarize_runs,
    trained_against_parameters,
    trained_bars,
)

FIGURES = (trained_against_parameters, trained_bars)


def runs(n_seeds: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "model": model,
            "seed": seed,
            "parameters": parameters,
            "images": 102_400,
            "accuracy": rng.uniform(0.3, 0.5),
            "chance": 1 / 64,
        }
        for seed in range(n_seeds)
        for model, parameters in (("small", 90_000), ("wide", 266_000), ("recurrent", 266_400))
    )


def test_the_interval_over_seeds_is_that_of_the_t_test() -> None:
    table = runs()
    for _, row in summarize_runs(table).iterrows():
        values = table.loc[table["model"] == row["model"], "accuracy"]
        found = stats.ttest_1samp(values, 0).confidence_interval(0.95)
        np.testing.assert_allclose((row["low"], row["high"]), (found.low, found.high))
        assert (row["n_seeds"], row["accuracy"]) == (3, pytest.approx(values.mean()))


@pytest.mark.parametrize("show", FIGURES)
@pytest.mark.parametrize("n_seeds", [1, 3])
def test_figures_draw_what_their_frame_holds(show, n_seeds: int) -> None:
    display = show(runs(n_seeds))
    frame = display.frame()
    ours = frame.loc[frame["origin"] == "trained here"]
    assert len(ours) == 3
    assert ours["low"].isna().all() == (n_seeds == 1)
    published = frame.loc[frame["origin"] == "published"].set_index("model")
    known = accuracy_against_parameters().frame().set_index("model")["top1"] / 100
    assert (published["accuracy"] == known[published.index]).all()
    figure = display.figure()
    figure.draw_without_rendering()
    left, right = figure.axes
    if show is trained_bars:
        assert [len(ax.patches) for ax in (left, right)] == [3, len(published)]
        assert sorted(bar.get_width() for bar in left.patches) == pytest.approx(sorted(ours["accuracy"]))
    else:
        heights = [line.get_ydata()[0] for line in left.lines if line.get_gid() == "ours"]
        assert sorted(heights) == pytest.approx(sorted(ours["accuracy"]))
    assert "published" in figure.get_suptitle()
    assert "nan" not in f"{display.caption} {display.alt}".lower().split()
    assert f"{n_seeds} seed" in display.caption


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (runs().drop(columns="chance"), "lacks chance"),
        (runs().iloc[:0], "empty"),
        (runs().assign(images=range(9)), "cannot be compared"),
    ],
)
def test_tables_that_cannot_be_compared_are_refused(table: pd.DataFrame, says: str) -> None:
    with pytest.raises(ContractError, match=says):
        trained_bars(table)
