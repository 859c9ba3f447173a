"""Solve least-squares problems on rows of features that never have to be in memory at once."""
