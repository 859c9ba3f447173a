"""Every benchmark that brainfit can load by name. Strings and plain values only: nothing is imported."""

from brainfit.registry.entries import BenchmarkEntry

_AREAS = {
    "V4": "V4",
    "pIT": "posterior IT",
    "cIT": "central IT",
    "aIT": "anterior IT",
    "IT": "all of IT",
}
_METHOD = "method of Nayebi et al. (2018), arXiv:1807.00053"

CATALOG = {
    **{
        f"simulated-{region}": BenchmarkEntry(
            target=f"simulated:{region.lower()}",
            recording="simulated",
            region=region,
            summary=f"{area} of the embedded simulation",
            reference="Nothing was recorded; the method is that of Nayebi et al. (2018), arXiv:1807.00053",
        )
        for region, area in _AREAS.items()
    },
    **{
        f"majaj2015-{region}": BenchmarkEntry(
            target=f"majaj2015:{region.lower()}",
            recording="majaj2015",
            region=region,
            summary=f"{area} of two macaques that were shown objects",
            reference=f"Majaj et al. (2015), doi:10.1523/JNEUROSCI.5181-14.2015; {_METHOD}",
        )
        for region, area in _AREAS.items()
    },
    **{
        f"freemanziemba2013-{region}": BenchmarkEntry(
            target=f"freemanziemba2013:{region.lower()}",
            recording="freemanziemba2013",
            region=region,
            summary=f"{region} of macaques that were shown textures",
            reference=f"Freeman et al. (2013), doi:10.1038/nn.3402; {_METHOD}",
        )
        for region in ("V1", "V2")
    },
}
