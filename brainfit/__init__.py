"""Score models of the visual system against neural recordings, in time.

A *model* sees images step by step: an image for 100 ms, then gray. A *recording* holds the responses of
units in the ventral stream in the same 10 ms bins. One linear map, the same for all bins, is fitted from a
layer of the model to each unit on most of the images; on the held-out images its prediction is compared
with the responses, bin by bin, and with the best that the unit's noise allows.

>>> import brainfit
>>> model = brainfit.load_model("median_convrnn")  # doctest: +SKIP
>>> recording = brainfit.load_recording("simulated")  # doctest: +SKIP
>>> score = brainfit.score(model, recording, region="pIT")  # doctest: +SKIP
>>> score.headline["normalized"], score.headline["ci95"]  # doctest: +SKIP
>>> brainfit.write_report(score, "runs/mine")  # doctest: +SKIP
>>> brainfit.compare([score, brainfit.read_run("runs/another")])  # doctest: +SKIP

A `Score` holds every unit and bin with its ceiling; its `headline` is the number to report. A `Presentation`
is a timeline of image and gray, a `Trajectory` the activations of a layer, an `Execution` where and how the
work runs, and a `Benchmark` everything that two scores must share to be comparable.

Your own model is any object with the few attributes of `brainfit.contracts.model.Model`; `check_model` and
`check_recording` check yours. `register_model`, `register_recording` and `register_benchmark` give them a
name. Every mistake that a user can make raises a subclass of `errors.BrainfitError`.

Names are imported when they are first used, so ``import brainfit`` costs next to nothing.
"""

from typing import Any

import lazy_loader

_attached, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("brainfit")
    return _attached(name)
