"""Votes of the units of each region for layers (Nayebi et al. 2018, Fig. 5b)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from brainfit.analyses.layer_assignment import LayerAssignment
from brainfit.figures.display import Display, column, marks, shorten
from brainfit.figures.numbers import count
from brainfit.figures.panels import Panels, say_empty
from brainfit.figures.style import CEILING, MEDIAN, MODEL

PANEL, MARGIN = 1.25, 1.3
"""Height of a region's panel and of the margins together, in inches."""
LONGEST_LABELS = 60
"""Total letters of layer names that fit side by side; longer labels are rotated."""


def layer_votes(result: LayerAssignment) -> Display:
    """Show for each region how many of its units choose each layer.

    Parameters
    ----------
    result
        The result of `brainfit.assign_layers`.

    Returns
    -------
    Display
        Its frame has a row for each region and layer: the `share` of the region's units that choose the
        layer, in [0, 1], their number `votes`, `n_units` of the region, the layer's `median_loss`, and
        whether the layer is the region's (`chosen`) or the one the model commits to (`committed`).

    References
    ----------
    Nayebi et al. (2018), Task-driven convolutional recurrent models of the visual system.
    NeurIPS. arXiv:1807.00053, Fig. 5b.
    """
    found = result.data
    numbers = _numbers(found)
    seen = " ".join(_in_words(found.sel(region=region)) for region in found["region"].values)
    undecided = int((found["unit_layer"] == "").sum())
    silent = f" {count(undecided, 'unit')} that no layer predicts did not vote." if undecided else ""
    return Display(
        name="layers",
        title="Layers that units choose",
        caption=(
            "Share of the units of each region that choose a layer: the one from which a ridge map predicts "
            "them best on inner folds of the training images. Blue: the layer that most units choose. "
            f"Diamonds: the layer that the model commits to for the region. {seen}{silent}"
        ),
        alt=f"Bar chart, a panel a region, of the share of units that choose each layer. {seen}{silent}",
        subject=_subject(result.info),
        numbers=numbers,
        draw=Panels(_draw, size=(7.2, MARGIN + PANEL * found.sizes["region"])),
    )


def _numbers(found: xr.Dataset) -> pd.DataFrame:
    of_unit = found["unit_region"].values
    rows = [
        {
            "region": str(region),
            "layer": str(layer),
            "share": float(at["share"]),
            "votes": int(at["votes"]),
            "n_units": int((of_unit == region).sum()),
            "median_loss": float(at["median_loss"]),
            "chosen": str(at["chosen"].values) == layer,
            "committed": str(at["committed"].values) == layer,
        }
        for region in found["region"].values
        for layer in found["layer"].values
        for at in [found.sel(region=region, layer=layer)]
    ]
    return pd.DataFrame(rows)


def _in_words(region: xr.Dataset) -> str:
    name, chosen = str(region["region"].values), str(region["chosen"].values)
    votes = int(region["votes"].sel(layer=chosen))
    n_units = int((region["unit_region"] == name).sum())
    of_all = f"{votes} of {count(n_units, 'unit')}"
    if region.sizes["layer"] == 1:
        return (
            f"{name}: {shorten(chosen)} is the only candidate; it predicts {of_all} better than their mean."
        )
    if votes == 0:
        return (
            f"{name}: no unit votes, because no layer predicts one better than its mean; {shorten(chosen)} "
            "has the lowest median loss."
        )
    return f"{name}: {shorten(chosen)}, by {of_all}."


def _subject(of: Mapping[str, Any]) -> str:
    """Name in one line model and recording, and mark simulated data and unsure weights."""
    return "  ·  ".join([shorten(of["model"]), shorten(of["recording"]), *marks(of)])


def _draw(numbers: pd.DataFrame, figure: Figure | SubFigure) -> np.ndarray:
    panels = numbers.groupby("region", sort=False)
    axes = figure.subplots(len(panels), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for ax, (region, panel) in zip(axes, panels, strict=True):
        _panel(ax, str(region), panel)
    names = [shorten(name) for name in numbers["layer"].unique()]
    turned = sum(map(len, names)) > LONGEST_LABELS
    axes[-1].set_xticks(
        range(len(names)), names, rotation=45 if turned else 0, ha="right" if turned else "center"
    )
    axes[-1].set(xlabel="Layer", xlim=(-0.6, len(names) - 0.4), ylim=(0, _top(numbers)))
    figure.supylabel("Share of units", fontsize=9)
    figure.legend(handles=_legend(numbers), loc="outside lower center", ncols=3)
    return axes


def _panel(ax: Axes, region: str, panel: pd.DataFrame) -> None:
    share, chosen = column(panel, "share"), panel["chosen"].to_numpy(bool)
    ax.bar(np.arange(len(share)), share, width=0.72, color=np.where(chosen, MODEL, CEILING), gid=region)
    committed = np.flatnonzero(panel["committed"].to_numpy(bool))
    ax.plot(
        committed, share[committed], "D", color=MEDIAN, markersize=6, markeredgecolor="white", clip_on=False,
        zorder=3,
    )  # fmt: skip
    ax.set_title(f"{region}, {count(int(panel['n_units'].iloc[0]), 'unit')}", loc="left")
    ax.tick_params(axis="x", length=0, pad=6)  # room for half a diamond
    if not share.any():
        say_empty(ax, "no layer predicts any unit")


def _top(numbers: pd.DataFrame) -> float:
    return min(1.0, float(column(numbers, "share").max()) * 1.15) or 1.0


def _legend(numbers: pd.DataFrame) -> list[Patch | Line2D]:
    handles: list[Patch | Line2D] = [
        Patch(color=MODEL, label="chosen by most"),
        Patch(color=CEILING, label="other layers"),
    ]
    if numbers["committed"].to_numpy(bool).any():
        handles.append(Line2D([], [], color=MEDIAN, marker="D", linestyle="", label="committed"))
    return handles
