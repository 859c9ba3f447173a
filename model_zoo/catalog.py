"""Every model that can be loaded by name. Strings and plain values only: nothing heavy is imported.

A new network is a file with a function that builds it, and a line here; a new cell is a file in `cells`,
and a line here for each network that it goes into.
"""

from brainfit.registry.lookup import ModelEntry

_SHALLOW = (*(f"conv{k}" for k in range(1, 6)), "readout")
_INTERMEDIATE = (*(f"conv{k}" for k in range(1, 11)), "readout")
_SIZES = (128, 224)
_PUBLISHED, _TRAINED = ("random", "published"), ("trained", "random")
_N18, _N22 = "Nayebi et al. 2018", "Nayebi et al. 2022"


def _shallow(name: str, cell: str, parameters: int) -> dict[str, ModelEntry]:
    source = f"{_N18}, Fig. 2b; 2022"
    options = {"cell": cell, "name": name}
    return {
        name: ModelEntry(
            "networks.shallow:shallow_convrnn", parameters, _SHALLOW, 16, _SIZES, source, options, _PUBLISHED
        )
    }


def _intermediate(
    name: str, cell: str, parameters: int, on_ms: int = 120, off_ms: int = 50
) -> dict[str, ModelEntry]:
    steps = (on_ms + off_ms) // 10
    options = {"cell": cell, "name": name, "on_ms": on_ms, "off_ms": off_ms}
    target = "networks.intermediate:intermediate_convrnn"
    return {name: ModelEntry(target, parameters, _INTERMEDIATE, steps, _SIZES, _N22, options, _PUBLISHED)}


def _median(
    name: str,
    source: str,
    parameters: int = 15_445_800,
    on_ms: int = 120,
    off_ms: int = 50,
    feedback: bool = True,
    weights: tuple[str, ...] = ("random",),
) -> dict[str, ModelEntry]:
    steps = (on_ms + off_ms) // 10
    options = {"name": name, "on_ms": on_ms, "off_ms": off_ms, "feedback": feedback}
    target = "networks.median_convrnn:median_convrnn"
    return {name: ModelEntry(target, parameters, _INTERMEDIATE, steps, _SIZES, source, options, weights)}


def _resnet(name: str, blocks: tuple[int, ...], parameters: int) -> dict[str, ModelEntry]:
    stages = (f"layer{stage}.{k}" for stage, n in enumerate(blocks, 1) for k in range(n))
    layers = ("maxpool", *stages, "fc")
    target, source = f"networks.resnet:{name}", "He et al. 2016"
    return {name: ModelEntry(target, parameters, layers, None, _SIZES, source, weights=_PUBLISHED)}


def _mini(
    name: str, factory: str, parameters: int, steps: int, /, **options: str | int | bool
) -> dict[str, ModelEntry]:
    source, target = f"{_N18}, Fig. 2b and 4c, at a small scale", f"networks.mini:{factory}"
    return {name: ModelEntry(target, parameters, _INTERMEDIATE, steps, (64,), source, options, _TRAINED)}


CATALOG = {
    **_median("median_convrnn", f"{_N18}, Fig. 4-5 (rgc_intermediate)", weights=_PUBLISHED),
    **_median("median_convrnn_nofeedback", f"{_N18}, Fig. 4c (control)", 14_822_056, feedback=False),
    **_median("median_convrnn_minimal", f"{_N18}, Fig. 4c (control)", on_ms=120, off_ms=0),
    **_median("rgc_intermediate", _N22, weights=_PUBLISHED),
    **_median("rgc_intermediate_t22", _N22, on_ms=220, off_ms=0, weights=_PUBLISHED),
    **_shallow("timedecay_shallow", "time_decay:TimeDecay", 4_197_739),
    **_shallow("simplernn_shallow", "simple_rnn:shallow", 6_272_872),
    **_shallow("gru_shallow", "gru:GRU", 25_434_472),
    **_shallow("lstm_shallow", "lstm:shallow", 21_126_248),
    **_shallow("intersectionrnn_shallow", "intersection_rnn:IntersectionRNN", 32_513_384),
    **_shallow("ugrnn_shallow", "ugrnn:UGRNN", 18_355_560),
    **_shallow("rgc_shallow", "reciprocal_gated_shallow:ReciprocalGatedShallow", 23_956_840),
    **_intermediate("timedecay_intermediate", "time_decay:TimeDecay", 16_403_439),
    **_intermediate("simplernn_intermediate", "simple_rnn:SimpleRNN", 33_512_936),
    **_intermediate("gru_intermediate", "gru:GRU", 67_725_032),
    **_intermediate("lstm_intermediate", "lstm:LSTM", 84_832_232),
    **_intermediate("intersectionrnn_intermediate", "intersection_rnn:IntersectionRNN", 84_832_232),
    **_intermediate("ugrnn_intermediate", "ugrnn:UGRNN", 50_617_832),
    **_intermediate("ugrnn_intermediate_t30", "ugrnn:UGRNN", 50_617_832, on_ms=300, off_ms=0),
    "ff": ModelEntry("networks.feedforward:ff", 4_197_736, _SHALLOW, 6, _SIZES, f"{_N18}, Fig. 2b"),
    "ff_wider": ModelEntry(
        "networks.feedforward:ff_wider", 14_145_512, _SHALLOW, 6, _SIZES, f"{_N18}, Fig. 2b"
    ),
    "ff_deeper": ModelEntry(
        "networks.feedforward:ff_deeper", 7_602_792, _INTERMEDIATE, 11, _SIZES, f"{_N18}, Fig. 2b"
    ),
    "basenet": ModelEntry(
        "networks.intermediate:basenet", 16_403_432, _INTERMEDIATE, 11, _SIZES, f"{_N18}, Fig. 4c"
    ),
    **_resnet("resnet18", (2, 2, 2, 2), 11_689_512),
    **_resnet("resnet34", (3, 4, 6, 3), 21_797_672),
    **_mini("median_convrnn_mini", "median_convrnn_mini", 266_472, 17, name="median_convrnn_mini"),
    **_mini(
        "median_convrnn_minimal_mini",
        "median_convrnn_mini",
        266_472,
        12,
        name="median_convrnn_minimal_mini",
        on_ms=120,
        off_ms=0,
    ),
    **_mini("basenet_mini", "basenet_mini", 254_016, 11),
    **_mini("ff_mini", "ff_mini", 92_032, 11),
    **_mini("ff_wide_mini", "ff_wide_mini", 266_029, 11),
    "random_convrnn": ModelEntry(
        "networks.random_convrnn:random_convrnn",
        30_809_960,
        _INTERMEDIATE,
        17,
        _SIZES,
        f"{_N18}, supplement 6.3 (drawn by seed; parameters of seed 0)",
    ),
}
