"""Score models of the visual system against neural recordings, in time.

A *model* is shown images step by step: an image for 100 ms, then gray. A *recording* holds what
units in V4 and IT did in the same 10 ms bins. One linear map, the same for all bins, is fitted
from a layer of the model to each unit on most of the images; on the held-out ones its prediction
is compared with what the unit did, bin by bin, and with the best that the unit's noise allows.

>>> import brainfit
>>> model = brainfit.load_model("median_convrnn")  # doctest: +SKIP
>>> recording = brainfit.load_recording("simulated")  # doctest: +SKIP
>>> score = brainfit.score(model, recording, region="pIT")  # doctest: +SKIP
>>> score.pooled["normalized"], score.pooled["ci95"]  # doctest: +SKIP
>>> brainfit.write_report(score, "runs/mine")  # doctest: +SKIP
>>> brainfit.compare([score, brainfit.read_run("runs/another")])  # doctest: +SKIP

A `Score` holds every unit and bin with its ceiling; its `pooled` entry is the headline. A
`Presentation` says what is shown when, a `Trajectory` what a layer did, and a `Benchmark` names
all that two scores must share to be comparable.

Your own model is any object with the few attributes of `brainfit.contracts.model.Model`; `check_model`
says whether it is one, `check_recording` the same for a recording. `register_model`,
`register_recording` and `register_benchmark` give yours a name. All that a user can do wrong raises
a subclass of `errors.BrainfitError`.

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
