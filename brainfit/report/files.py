"""Names of the files in a run folder."""

SCORE, SUMMARY, PAGE = "score.nc", "score.json", "report.html"
FIGURES = "figures"
FIGURE_NAMES = (
    "headline", "predictivity", "units", "early-late", "temporal", "trajectories", "residuals", "ranked",
)  # fmt: skip
"""All figures that the report of a score may have."""
CARD, METRICS = "model-card.json", "metrics.csv"
"""Files of a training that its page is made from."""
FIGURE_SUFFIXES = ("png", "svg")
FILES = {
    *(f"report.{suffix}" for suffix in ("html", "pdf", "md")),
    *(f"{FIGURES}/{name}.{suffix}" for name in FIGURE_NAMES for suffix in FIGURE_SUFFIXES),
}
"""Everything that `write_report` may write; a folder with anything else in it is not overwritten."""
