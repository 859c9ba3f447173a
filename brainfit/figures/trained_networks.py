"""Accuracy of networks that were trained here, beside published ImageNet accuracies (Fig. 2b and 4c)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure, SubFigure
from scipy import stats

from brainfit.errors import ContractError
from brainfit.figures.accuracy import SOURCES, published_accuracies
from brainfit.figures.display import Display, column
from brainfit.figures.numbers import count, interval, number
from brainfit.figures.panels import Panels, legend_below
from brainfit.figures.style import FAINT, INK, MUTED, SERIES

COLUMNS = ("model", "seed", "parameters", "images", "accuracy", "chance")
"""Columns that a table of training runs must have."""
SHOWN = ("rgc_intermediate", "resnet18", "resnet34", "timedecay_intermediate")
"""Published networks beside the bars: the median ConvRNN, and others of similar size."""


def summarize_runs(runs: pd.DataFrame) -> pd.DataFrame:
    """Summarize training runs over seeds.

    Parameters
    ----------
    runs
        A row for each run, with the columns `COLUMNS`; accuracy is in [0, 1].

    Returns
    -------
    pandas.DataFrame
        A row for each model: `model`, `parameters`, `images` seen in training, `n_seeds`, mean `accuracy`,
        and `low` and `high`, its 95 % interval over seeds (Student's t; NaN for a single seed).

    Raises
    ------
    ContractError
        If a column is missing, there is no run, or models saw different numbers of images.

    Examples
    --------
    >>> runs = pd.DataFrame({"model": "net", "seed": [0, 1], "parameters": 10, "images": 100,
    ...                      "accuracy": [0.5, 0.6], "chance": 0.1})
    >>> summarize_runs(runs)[["n_seeds", "accuracy"]].round(2).values.tolist()
    [[2.0, 0.55]]
    """
    if missing := [name for name in COLUMNS if name not in runs.columns]:
        raise ContractError(f"a table of runs needs the columns {', '.join(COLUMNS)}; it lacks {missing[0]}")
    if len(runs) == 0:
        raise ContractError("the table of runs is empty; train at least one network")
    if len(seen := sorted(set(column(runs, "images").tolist()))) > 1:
        raise ContractError(
            f"runs of {' and '.join(map(str, seen))} images cannot be compared; "
            "train all networks on the same number of images"
        )
    rows = []
    for model, group in runs.groupby("model", sort=False):
        values, n = column(group, "accuracy"), len(group)
        half = stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n) if n > 1 else np.nan
        rows.append(
            {
                "model": model,
                "parameters": int(group["parameters"].iloc[0]),
                "images": int(group["images"].iloc[0]),
                "n_seeds": n,
                "accuracy": values.mean(),
                "low": values.mean() - half,
                "high": values.mean() + half,
            }
        )
    return pd.DataFrame(rows)


def trained_against_parameters(runs: pd.DataFrame) -> Display:
    """Show accuracy against the number of parameters, for networks trained here and published ones.

    Parameters
    ----------
    runs
        A row for each training run, as for `summarize_runs`.

    Returns
    -------
    Display
        Its frame is that of `summarize_runs` with the published networks below, told apart by `origin`
        (``"trained here"`` or ``"published"``).

    References
    ----------
    Nayebi et al. (2018), Task-driven convolutional recurrent models of the visual system.
    NeurIPS. arXiv:1807.00053, Fig. 2b.
    """
    numbers = _beside_published(runs, None)
    return Display(
        name="trained_parameters",
        title="Accuracy against parameters",
        caption=(
            f"Left: networks trained here to name objects: {_basis(runs)}. Points with the same number of "
            f"parameters are drawn side by side. {_seen(numbers)} Right: accuracies on ImageNet as "
            f"published, not measured by brainfit. Sources: {_sources()}."
        ),
        alt=f"Two scatter plots of accuracy against the number of parameters. {_seen(numbers)}",
        subject="left: trained here on rendered objects · right: published accuracies, ImageNet top-1",
        numbers=numbers,
        draw=Panels(_draw_points, size=(7.2, 4.8)),
    )


def trained_bars(runs: pd.DataFrame) -> Display:
    """Show the accuracy of each network as a bar with its number of parameters.

    Parameters
    ----------
    runs
        A row for each training run, as for `summarize_runs`.

    Returns
    -------
    Display
        Its frame is that of `trained_against_parameters`, with a few of the published networks.

    References
    ----------
    Nayebi et al. (2018), Task-driven convolutional recurrent models of the visual system.
    NeurIPS. arXiv:1807.00053, Fig. 4c.
    """
    numbers = _beside_published(runs, SHOWN)
    return Display(
        name="trained_bars",
        title="Accuracy of trained networks",
        caption=(
            f"Left: networks trained here to name objects: {_basis(runs)}. The control “minimal” is the "
            f"median ConvRNN for the fewest steps in which every parameter is used. {_seen(numbers)} Right: "
            f"accuracies on ImageNet as published, not measured by brainfit. Sources: {_sources()}."
        ),
        alt=f"Two bar charts of accuracy. {_seen(numbers)}",
        subject="left: trained here on rendered objects · right: published accuracies, ImageNet top-1",
        numbers=numbers,
        draw=Panels(_draw_bars, size=(7.2, 3.6)),
    )


def _beside_published(runs: pd.DataFrame, names: Sequence[str] | None) -> pd.DataFrame:
    ours = summarize_runs(runs).assign(origin="trained here")
    published = published_accuracies()
    if names is not None:
        published = published.set_index("model").loc[list(names)].reset_index()
    published = published[["model", "family", "parameters"]].assign(
        accuracy=published["top1"] / 100, origin="published"
    )
    return pd.concat([ours, published], ignore_index=True)


def _basis(runs: pd.DataFrame) -> str:
    summary = summarize_runs(runs)
    seeds = sorted(set(summary["n_seeds"]))
    return (
        f"{count(int(summary['images'].iloc[0]), 'image')} each, accuracy on held-out images, chance "
        f"{number(float(runs['chance'].iloc[0]), 3)}, mean and 95% interval (Student’s t) over "
        f"{' or '.join(map(str, seeds))} seed{'s' * (seeds != [1])}"
    )


def _seen(numbers: pd.DataFrame) -> str:
    ours = numbers.loc[numbers["origin"] == "trained here"]
    return (
        "; ".join(
            f"{row['model']} {number(row['accuracy'], 3)}"
            + (f" ({interval(row['low'], row['high'])})" if np.isfinite(row["low"]) else "")
            for _, row in ours.sort_values("accuracy", ascending=False).iterrows()
        )
        + "."
    )


def _sources() -> str:
    return "; ".join(f"{key}: {what}" for key, what in SOURCES.items())


def _panels(numbers: pd.DataFrame, figure: Figure | SubFigure) -> tuple[np.ndarray, list[pd.DataFrame]]:
    axes = figure.subplots(1, 2)
    for ax, title in zip(axes, ("Trained here: objects, 64 classes", "Published: ImageNet"), strict=True):
        ax.set_title(title, loc="left", color=INK)
    return axes, [numbers.loc[numbers["origin"] == origin] for origin in ("trained here", "published")]


def _draw_points(numbers: pd.DataFrame, figure: Figure | SubFigure) -> np.ndarray:
    axes, (ours, published) = _panels(numbers, figure)
    places = _apart(column(ours, "parameters") / 1e3)
    for k, (x, (_, row)) in enumerate(zip(places, ours.iterrows(), strict=True)):
        color, marker = SERIES[k % len(SERIES)]
        if np.isfinite(row["low"]):
            axes[0].plot([x, x], [row["low"], row["high"]], color=MUTED, linewidth=1.2, zorder=1)
        axes[0].plot(x, row["accuracy"], marker, color=color, label=row["model"], gid="ours")
    for (family, group), (color, marker) in zip(
        published.groupby("family", sort=False), SERIES, strict=False
    ):
        axes[1].plot(
            column(group, "parameters") / 1e6, column(group, "accuracy"), marker, color=color,
            label=str(family), gid="published",
        )  # fmt: skip
    scales = {"thousands": (50, 100, 200, 400), "millions": (5, 10, 20, 50)}
    for ax, (unit, ticks) in zip(axes, scales.items(), strict=True):
        ax.set(xscale="log", xlabel=f"Parameters ({unit})", ylabel="Accuracy")
        ax.set_xticks(ticks, [str(tick) for tick in ticks])
        ax.set_xticks([], minor=True)
        ax.margins(x=0.3, y=0.15)
        legend_below(ax, ncols=1)
    return axes


def _apart(places: np.ndarray) -> np.ndarray:
    """Spread places that are nearly the same by 3 percent each."""
    spread = places.astype(float)
    for k in range(1, len(spread)):
        while np.any(np.abs(np.log(spread[:k] / spread[k])) < 0.02):
            spread[k] *= 1.03
    return spread


def _draw_bars(numbers: pd.DataFrame, figure: Figure | SubFigure) -> np.ndarray:
    axes, groups = _panels(numbers, figure)
    for ax, group, color in zip(axes, groups, (SERIES[0][0], FAINT), strict=True):
        rows = group.sort_values("accuracy").reset_index(drop=True)
        places = np.arange(len(rows))
        ax.barh(places, column(rows, "accuracy"), color=color, height=0.62, gid="bars")
        ax.hlines(places, column(rows, "low"), column(rows, "high"), color=INK, linewidth=1.2)
        names = zip(rows["model"], column(rows, "parameters"), strict=True)
        ax.set_yticks(places, [f"{name}\n{_size(n)} parameters" for name, n in names], fontsize=7)
        ax.set(xlabel="Accuracy", xlim=(0, 1.1 * np.nanmax(rows[["accuracy", "high"]].to_numpy(float))))
    return axes


def _size(parameters: float) -> str:
    return f"{parameters / 1e6:.1f} M" if parameters >= 1e6 else f"{parameters / 1e3:.0f} k"
