"""The method: `brainfit.scoring.score` reads as the whole of it."""
