"""Train a network on a task, and resume exactly."""

from .loop import Trained, train
from .recipe import MINI, PAPER, Recipe
from .run import TrainingRun, train_model
from .validation import Accuracy, validate

__all__ = [
    "MINI",
    "PAPER",
    "Accuracy",
    "Recipe",
    "Trained",
    "TrainingRun",
    "train",
    "train_model",
    "validate",
]
