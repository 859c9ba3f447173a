"""Linear maps from model features to responses, shared over all time bins."""
