"""Draw docs/figures/ceiling.svg: what a noise ceiling says, on units whose truth is known.

Usage: python docs/figures/ceiling.py
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from brainfit.figures.style import CEILING, MEDIAN, MODEL, STYLE, WINDOWS
from brainfit.statistics.correlation import pearson
from brainfit.statistics.split_half import spearman_brown, split_half

SINGLE_TRIAL = 0.1  # share of a single trial's variance that is signal
TRIALS = np.array([2, 4, 6, 10, 16, 26, 50])


def simulate(n_trials: int, n_images: int = 1280, n_units: int = 40) -> dict[str, float]:
    """Medians over units of what is estimated from trials, and of what is true."""
    rng = np.random.default_rng(n_trials)
    truth = rng.normal(size=(n_images, 1, n_units, 1)) * np.sqrt(SINGLE_TRIAL)
    trials = truth + rng.normal(size=(n_images, n_trials, n_units, 1)) * np.sqrt(1 - SINGLE_TRIAL)
    halves = split_half(trials, np.ones((1, 1), bool), n_splits=20, rng=rng).pearson[0]
    reliability = spearman_brown(halves)
    perfect = pearson(truth[:, 0, :, 0].T, trials.mean(axis=1)[..., 0].T)
    return {
        "split_half": float(np.median(halves)),
        "reliability": float(np.median(reliability)),
        "ceiling": float(np.median(np.sqrt(reliability))),
        "perfect": float(np.median(perfect)),
    }


def draw() -> Figure:
    """Estimated numbers as dots, what they should be as lines."""
    found = [simulate(int(n)) for n in TRIALS]
    many = np.linspace(2, 50, 200)
    reliability = many * SINGLE_TRIAL / (1 + (many - 1) * SINGLE_TRIAL)
    half = (many / 2) * SINGLE_TRIAL / (1 + (many / 2 - 1) * SINGLE_TRIAL)
    lines = {
        "split_half": (half, WINDOWS["early"], "split_half: one half of the trials against the other"),
        "reliability": (
            reliability,
            WINDOWS["late"],
            "reliability: Spearman–Brown, all trials against as many more",
        ),
        "ceiling": (np.sqrt(reliability), CEILING, "ceiling: its square root"),
    }
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    ax = figure.subplots()
    for name, (values, color, label) in lines.items():
        ax.plot(many, values, color=color)
        ax.plot(TRIALS, [f[name] for f in found], "o", color=color, label=label)
    perfect = [f["perfect"] for f in found]
    ax.plot(TRIALS, perfect, "x", color=MEDIAN, ms=9, mew=2, label="r of a perfect model (known here)")
    ax.axhline(1, color=MODEL, lw=1, ls=":")
    ax.annotate(
        "1: a perfect model without noise",
        (50, 1),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        color=MODEL,
    )
    ax.set(xlabel="trials an image", ylabel="correlation over images", ylim=(0, 1.08), xlim=(0, 51))
    ax.legend(loc="lower right")
    return figure


if __name__ == "__main__":
    with mpl.rc_context({**STYLE, "svg.hashsalt": "brainfit", "svg.fonttype": "path"}):
        draw().savefig(Path(__file__).with_suffix(".svg"), metadata={"Date": None})
