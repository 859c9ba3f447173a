"""Figures: each a pure function of a score, or of a model's wiring, to a picture, its numbers and caption."""

from brainfit.figures.across_units import scores_against_ceiling
from brainfit.figures.display import Display
from brainfit.figures.examples import example_trajectories
from brainfit.figures.layers import layer_votes
from brainfit.figures.over_time import predictivity_over_time
from brainfit.figures.schematic import schematic

__all__ = [
    "Display",
    "example_trajectories",
    "layer_votes",
    "predictivity_over_time",
    "schematic",
    "scores_against_ceiling",
]
