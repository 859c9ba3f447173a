"""The method: who reads `brainfit.scoring.score` has read it."""
