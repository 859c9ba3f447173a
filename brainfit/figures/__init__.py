"""Figures of a score: each a pure function that hands out a picture, its numbers and its caption."""

from brainfit.figures.across_units import scores_against_ceiling
from brainfit.figures.display import Display
from brainfit.figures.examples import example_trajectories
from brainfit.figures.over_time import predictivity_over_time

__all__ = ["Display", "example_trajectories", "predictivity_over_time", "scores_against_ceiling"]
