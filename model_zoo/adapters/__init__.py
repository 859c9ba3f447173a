"""Your own network as a model.

`from_module` takes any `torch.nn.Module` and the names of submodules, `from_step` a recurrent network as a
function of a frame and a state, and `from_sequence` one that answers with all its steps at once; `each_call`
makes such a function of a module whose submodules run once a step. See ``docs/your-own-model.md``.
"""

from .module import ModuleModel, from_module
from .sequence import EachCall, SequenceModel, each_call, from_sequence
from .step import StepModel, from_step

__all__ = [
    "EachCall",
    "ModuleModel",
    "SequenceModel",
    "StepModel",
    "each_call",
    "from_module",
    "from_sequence",
    "from_step",
]
