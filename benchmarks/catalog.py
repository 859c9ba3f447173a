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
            target="simulated:simulated",
            recording="simulated",
            region=region,
            version=2,
            summary=f"{area} of the embedded simulation",
            reference="Nothing was recorded; the method is that of Nayebi et al. (2018), arXiv:1807.00053",
        )
        for region, area in _AREAS.items()
    },
    **{
        f"majaj2015-{region}": BenchmarkEntry(
            target="majaj2015:majaj2015",
            recording="majaj2015",
            region=region,
            version=2,
            summary=f"{area} of two macaques that were shown objects",
            reference=f"Majaj et al. (2015), doi:10.1523/JNEUROSCI.5181-14.2015; {_METHOD}",
        )
        for region, area in _AREAS.items()
    },
    **{
        f"freemanziemba2013-{region}": BenchmarkEntry(
            target="freemanziemba2013:freemanziemba2013",
            recording="freemanziemba2013",
            region=region,
            version=2,
            summary=f"{region} of macaques that were shown textures",
            reference=f"Freeman et al. (2013), doi:10.1038/nn.3402; {_METHOD}",
        )
        for region in ("V1", "V2")
    },
}
