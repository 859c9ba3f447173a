"""Draw docs/figures/over_time.svg: two small trained networks over time on the simulated recording.

Usage: python docs/figures/over_time.py (a minute or two)
"""

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

import brainfit
from brainfit import figures

MODELS = ("median_convrnn_mini", "ff_mini")


def draw(n_images: int = 256) -> Figure:
    """Score both models against posterior IT."""
    recording = brainfit.load_recording("simulated", n_images=n_images)
    scores = [brainfit.score(name, recording, region="pIT") for name in MODELS]
    return figures.models_over_time(scores).figure()


if __name__ == "__main__":
    with mpl.rc_context({"svg.hashsalt": "brainfit", "svg.fonttype": "path"}):
        draw().savefig(Path(__file__).with_suffix(".svg"), metadata={"Date": None})
