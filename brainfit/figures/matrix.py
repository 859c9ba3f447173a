"""Temporal generalisation: maps of one time bin, tested in another."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes

from brainfit.analyses.temporal_generalization import TemporalGeneralization
from brainfit.figures.display import Display, column, marks, shorten
from brainfit.figures.numbers import count, number
from brainfit.figures.panels import Panel, say_empty
from brainfit.figures.style import FAINT, HEAT, INK
from brainfit.scoring.result import MIN_DEFINED


def generalization_matrix(result: TemporalGeneralization) -> Display:
    """Show how well the map of each bin predicts the responses in every other bin.

    Parameters
    ----------
    result
        The result of `brainfit.temporal_generalization`.

    Returns
    -------
    Display
        Its frame has a row for each pair of bins: `trained_bin_start`, `trained_bin_end`, `tested_bin_start`,
        `tested_bin_end` in ms, the median over units `r`, [-1, 1], and the `n_units` that have one. NaN where
        fewer than half of the units have one, because prediction or response is the same for all images.

    References
    ----------
    King & Dehaene (2014), Characterizing the dynamics of mental representations: the temporal generalization
    method. Trends Cogn. Sci. 18, 203-210.
    """
    found, of = result.data, result.info
    numbers = _numbers(found)
    seen = _in_words(numbers)
    parts = [shorten(of[name]) for name in ("model", "layer", "region", "recording")]
    parts += marks(of)
    return Display(
        name="generalization",
        title="Train time by test time",
        caption=(
            "A map was fitted to each time bin alone (rows) and used in every bin (columns). Colour: "
            f"Pearson r over held-out images, median over those of {count(found.sizes['unit'], 'unit')} that "
            "have one. A band along the diagonal means that features change what they code over time, a "
            f"square that they keep it. Gray: not defined. {seen}"
        ),
        alt=f"Matrix of the time of the fit by the time of the test. {seen}",
        subject="  ·  ".join(parts),
        numbers=numbers,
        draw=Panel(_draw, size=(5.6, 4.8)),
    )


def _numbers(found: xr.Dataset) -> pd.DataFrame:
    r = found["r"].transpose("trained_bin", "tested_bin", "unit").values
    n_units = np.isfinite(r).sum(axis=2)
    enough = n_units >= max(1, MIN_DEFINED * r.shape[2])
    middle = np.full(enough.shape, np.nan)
    middle[enough] = np.nanmedian(r[enough], axis=1)
    trained, tested = (places.ravel() for places in np.indices(enough.shape))
    return pd.DataFrame(
        {
            **{
                f"trained_bin_{edge}": found[f"trained_bin_{edge}"].values[trained]
                for edge in ("start", "end")
            },
            **{f"tested_bin_{edge}": found[f"tested_bin_{edge}"].values[tested] for edge in ("start", "end")},
            "r": middle.ravel(),
            "n_units": n_units.ravel(),
        }
    )


def _in_words(numbers: pd.DataFrame) -> str:
    r = column(numbers, "r")
    if np.isnan(r).all():
        return "No pair of bins is defined."
    same = column(numbers, "trained_bin_start") == column(numbers, "tested_bin_start")
    best = numbers.iloc[int(np.nanargmax(r))]
    on, off = (
        number(float(np.nanmean(r[where]))) if np.isfinite(r[where]).any() else number(None)
        for where in (same, ~same)
    )
    fitted, used = (
        f"{number(best[f'{kind}_bin_start'], 0)}–{number(best[f'{kind}_bin_end'], 0)} ms"
        for kind in ("trained", "tested")
    )
    return (
        f"The largest value, {number(best['r'])}, is at fit {fitted}, test {used}. The mean is {on} on the "
        f"diagonal and {off} off it."
    )


def _edges(numbers: pd.DataFrame, kind: str) -> np.ndarray:
    """Return the edges of cells; bins that overlap or leave a gap meet in the middle."""
    start, end = (np.unique(column(numbers, f"{kind}_bin_{edge}")) for edge in ("start", "end"))
    return np.concatenate([start[:1], (end[:-1] + start[1:]) / 2, end[-1:]])


def _draw(numbers: pd.DataFrame, ax: Axes) -> None:
    edges = [_edges(numbers, kind) for kind in ("tested", "trained")]
    r = column(numbers, "r").reshape(len(edges[1]) - 1, len(edges[0]) - 1)
    ax.set_facecolor(FAINT)
    if np.isnan(r).all():
        say_empty(ax, "no pair of bins is defined")
    else:
        mesh = ax.pcolormesh(
            *edges, r, cmap=HEAT, vmin=min(0.0, np.nanmin(r)), vmax=np.nanmax(r), rasterized=True, gid="r"
        )
        root = ax.get_figure()
        if root is not None:
            root.colorbar(mesh, ax=ax, label="Pearson r (median over units)", shrink=0.8)
    ax.plot(edges[0][[0, -1]], edges[0][[0, -1]], color=INK, linewidth=0.8, linestyle=(0, (2, 2)))
    ax.set(
        xlabel="Tested at (ms from image onset)", ylabel="Fitted at (ms from image onset)", aspect="equal",
        xlim=edges[0][[0, -1]], ylim=edges[1][[0, -1]],
    )  # fmt: skip
