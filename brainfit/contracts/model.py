"""Define what a model must offer, and check that it does."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from brainfit.contracts.vocabulary import REGION_CHOICES, REGIONS
from brainfit.errors import ContractError
from brainfit.support.foreign_errors import foreign_code, one_line

if TYPE_CHECKING:
    import torch

    from brainfit.contracts.presentation import Presentation
    from brainfit.contracts.trajectory import Trajectory

_ATTRIBUTES = {
    "name": str,
    "layers": Sequence,
    "region_layers": Mapping,
    "image_size": int,
    "step_ms": int,
    "weights": str,
}
_NOT = {int: bool, Sequence: (str, bytes)}  # which Python counts among them
_LARGEST_SIZE = 10**9


@runtime_checkable
class Model(Protocol):
    """A network that is shown images step by step.

    Its attributes may be plain ones, of the class or of the instance, or properties.
    """

    @property
    def name(self) -> str:
        """How it is called in results."""
        ...

    @property
    def layers(self) -> Sequence[str]:
        """Names of the layers that `unroll` can return, from the input up."""
        ...

    @property
    def region_layers(self) -> Mapping[str, str]:
        """The layer that the model commits to for a region (``{"pIT": "conv7"}``); may be empty."""
        ...

    @property
    def image_size(self) -> int:
        """Height and width in pixels of the images it takes."""
        ...

    @property
    def step_ms(self) -> int:
        """Milliseconds of one step."""
        ...

    @property
    def weights(self) -> str:
        """Where the weights came from: ``"random:<seed>"`` or the sha256 of their file."""
        ...

    def unroll(
        self, images: torch.Tensor, presentation: Presentation, layers: Sequence[str]
    ) -> dict[str, Trajectory]:
        """Show `images` and return what each of `layers` did.

        Parameters
        ----------
        images
            Pixels in [0, 1], float32, shape (image, 3, image_size, image_size).
        presentation
            What is shown when; its `frames` method yields what the model sees.
        layers
            Some of `self.layers`.

        Returns
        -------
        dict
            For each layer a `Trajectory` of ``presentation.n_steps`` steps. Step 0 is the step in
            which the image appears: a layer that lies deeper sees it later.
        """
        ...


def check_attributes(model: object) -> None:
    """Raise unless `model` has all that `brainfit.contracts.model.Model` lists, of the kind it lists.

    Raises
    ------
    ContractError
        At the first thing that is wrong, in one line.
    PluginError
        If a property of the model fails.
    """
    if isinstance(model, type):
        raise ContractError(f"wanted a model, got the class {model.__name__} itself; call it to make one")
    kind = type(model).__name__
    with foreign_code(f"model {kind}: reading its attributes failed:"):
        values: dict[str, Any] = {name: getattr(model, name, None) for name in (*_ATTRIBUTES, "unroll")}
    if not callable(values["unroll"]):
        raise ContractError(
            f"wanted a model as in brainfit.contracts.model, got a {kind} without a method "
            "unroll(images, presentation, layers); model_zoo.adapters wraps a torch module"
        )
    for attribute, wanted in _ATTRIBUTES.items():
        value = values[attribute]
        if not isinstance(value, wanted) or isinstance(value, _NOT.get(wanted, ())):
            raise ContractError(
                f"model {kind} has {attribute}={_shown(value)}, wanted {wanted.__name__}; "
                "see brainfit.contracts.model.Model"
            )
    name, layers = values["name"], list(values["layers"])
    for attribute in ("name", "weights"):
        if not _is_text(values[attribute]):
            raise ContractError(
                f"model {kind} has {attribute}={values[attribute]!a}, wanted some printable text"
            )
    if not layers or not all(map(_is_text, layers)) or len(set(layers)) < len(layers):
        raise ContractError(f"model {name!r} has layers {_shown(layers)}, wanted different printable names")
    for attribute in ("image_size", "step_ms"):
        if not 1 <= values[attribute] <= _LARGEST_SIZE:
            raise ContractError(
                f"model {name!r} has {attribute}={_shown(values[attribute])}, wanted 1 or more, to a billion"
            )
    for region, layer in values["region_layers"].items():
        if region not in REGION_CHOICES or layer not in layers:
            raise ContractError(
                f"model {name!r} gives layer {_shown(layer)} to region {_shown(region)}; "
                f"regions are {', '.join(REGIONS)} and IT, its layers {', '.join(layers)}"
            )


def _is_text(value: object) -> bool:
    """Whether it is visible text; lone surrogates, which UTF-8 has no code for, are not printable."""
    return isinstance(value, str) and value.isprintable() and bool(value.strip())


def _shown(value: object) -> str:
    return one_line(reprlib.repr(value))
