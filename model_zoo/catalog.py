"""Every model that can be loaded by name. Strings and plain values only: nothing heavy is imported."""

from brainfit.registry import ModelEntry

_CONV_LAYERS = tuple(f"conv{k}" for k in range(1, 11))

CATALOG = {
    "median_convrnn": ModelEntry(
        target="median_convrnn:median_convrnn",
        parameters=15_445_800,
        layers=(*_CONV_LAYERS, "imnetds"),
        steps=25,
        image_sizes=(128, 224),
        source="Nayebi et al. 2018, Fig. 4-5 (rgc_intermediate)",
    ),
}
