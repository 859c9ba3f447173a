"""Pure functions from results to a picture, its numbers, its caption and its alternative text."""

from brainfit.figures.accuracy import accuracy_against_parameters
from brainfit.figures.across_units import scores_against_ceiling
from brainfit.figures.display import Display
from brainfit.figures.early_late import early_against_late
from brainfit.figures.examples import example_trajectories
from brainfit.figures.layers import layer_votes
from brainfit.figures.matrix import generalization_matrix
from brainfit.figures.models import models_over_time
from brainfit.figures.normalized_over_time import normalized_over_time
from brainfit.figures.over_time import predictivity_over_time
from brainfit.figures.pooled import pooled_scores
from brainfit.figures.ranked import ranked_units
from brainfit.figures.residuals import residuals_by_category
from brainfit.figures.schematic import schematic
from brainfit.figures.temporal import temporal_correlations
from brainfit.figures.trained_networks import summarize_runs, trained_against_parameters, trained_bars
from brainfit.figures.training import accuracy_over_steps, learning_curve

__all__ = [
    "Display",
    "accuracy_against_parameters",
    "accuracy_over_steps",
    "early_against_late",
    "example_trajectories",
    "generalization_matrix",
    "layer_votes",
    "learning_curve",
    "models_over_time",
    "normalized_over_time",
    "pooled_scores",
    "predictivity_over_time",
    "ranked_units",
    "residuals_by_category",
    "schematic",
    "scores_against_ceiling",
    "summarize_runs",
    "temporal_correlations",
    "trained_against_parameters",
    "trained_bars",
]
