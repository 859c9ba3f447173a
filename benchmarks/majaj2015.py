"""Benchmarks on V4 and IT of two macaques that were shown objects: Majaj et al. (2015), the open part.

The method is that of Nayebi et al. (2018), who had all of it. `brainfit data fetch majaj2015` brings the
data.
"""

from brainfit.contracts.benchmark import Benchmark

_REFERENCE = (
    "Majaj et al. (2015), doi:10.1523/JNEUROSCI.5181-14.2015; "
    "method of Nayebi et al. (2018), arXiv:1807.00053"
)


def v4() -> Benchmark:
    """V4 of Majaj et al. (2015)."""
    return _majaj2015("V4")


def pit() -> Benchmark:
    """Posterior IT of Majaj et al. (2015)."""
    return _majaj2015("pIT")


def cit() -> Benchmark:
    """Central IT of Majaj et al. (2015)."""
    return _majaj2015("cIT")


def ait() -> Benchmark:
    """Anterior IT of Majaj et al. (2015)."""
    return _majaj2015("aIT")


def it() -> Benchmark:
    """All of IT of Majaj et al. (2015)."""
    return _majaj2015("IT")


def _majaj2015(region: str) -> Benchmark:
    return Benchmark(f"majaj2015-{region}", recording="majaj2015", region=region, reference=_REFERENCE)
