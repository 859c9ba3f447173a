"""Benchmarks on V1 and V2 of macaques that were shown textures: Freeman et al. (2013), the open part.

`brainfit data fetch freemanziemba2013` brings the data. No model of the zoo names a layer for V1 or V2:
name one, or let the training images choose it.

A texture was shown for 100 ms, five in a second [1]_, so that 100 ms of gray followed.

References
----------
.. [1] Ziemba, Freeman, Movshon & Simoncelli (2011), Differential encoding of naturalistic texture properties
   by neurons in macaque V1 and V2. Annual Meeting, Society for Neuroscience.
"""

from brainfit.contracts.benchmark import Benchmark
from brainfit.contracts.presentation import Presentation


def freemanziemba2013(region: str) -> Benchmark:
    """Return the benchmark on V1 or V2 of Freeman et al. (2013)."""
    return Benchmark(
        f"freemanziemba2013-{region}",
        recording="freemanziemba2013",
        region=region,
        version=2,
        presentation=Presentation(on_ms=100, off_ms=100),
        reference="Freeman et al. (2013), doi:10.1038/nn.3402; "
        "method of Nayebi et al. (2018), arXiv:1807.00053",
    )
