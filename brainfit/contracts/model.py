"""The interface of a model, and the check that an object has it."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from brainfit.contracts.vocabulary import REGION_CHOICES, REGIONS
from brainfit.errors import ContractError
from brainfit.support.foreign_errors import foreign_code
from brainfit.support.messages import one_line

if TYPE_CHECKING:
    import torch

    from brainfit.contracts.presentation import Presentation
    from brainfit.contracts.trajectory import Trajectory

_REQUIRED = {
    "name": str,
    "layers": Sequence,
    "region_layers": Mapping,
    "image_size": int,
    "step_ms": int,
    "weights": str,
}
_OPTIONAL: dict[str, tuple[type, Any]] = {
    "holds_image": (bool, False),
    "readout_layers": (Sequence, ()),
    "weights_source": (str, ""),
}
"""Type and default value of each optional attribute."""
_NOT = {int: bool, Sequence: (str, bytes)}
"""Subtypes that Python counts as instances of a type, and brainfit does not."""
_LARGEST_SIZE = 10**9


@runtime_checkable
class Model(Protocol):
    """A network that sees images step by step.

    Its attributes may be plain ones, of the class or of the instance, or properties. Three more are optional;
    `holds_image`, `readout_layers` and `weights_source` in this module read them, with their defaults:

    ``holds_image : bool``
        True if the model holds the image for all its steps and can never see the gray that follows.
        Default: False.
    ``readout_layers : Sequence[str]``
        The members of `layers` that name classes (logits) instead of modelling cortex. A choice of layers
        for a region leaves them out unless they are asked for by name. Default: none.
    ``weights_source : str``
        Origin of the weights, such as who trained them on what, for results. Default: empty, for unknown.
    """

    @property
    def name(self) -> str:
        """Name in results."""
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
        """Height and width of its images in pixels."""
        ...

    @property
    def step_ms(self) -> int:
        """Duration of one step in ms."""
        ...

    @property
    def weights(self) -> str:
        """Origin of its weights, as they are at this moment.

        ``"random:<seed>"``; ``"sha256:<hash>"`` of the file that they were loaded from; text of the user's
        own; or text that begins with ``"unknown"`` if their origin is not known.
        """
        ...

    def unroll(
        self, images: torch.Tensor, presentation: Presentation, layers: Sequence[str]
    ) -> dict[str, Trajectory]:
        """Show `images` and return the activity of each of `layers`.

        Parameters
        ----------
        images
            Pixels in [0, 1], float32, shape (image, 3, image_size, image_size).
        presentation
            Times at which the image and the gray are on; its method `frames` yields what the model sees.
        layers
            Some of `self.layers`.

        Returns
        -------
        dict
            For each layer a `Trajectory` of ``presentation.n_steps`` steps. Step 0 is the step in
            which the image appears: a deeper layer responds to it later.
        """
        ...


def holds_image(model: Model) -> bool:
    """Return True if `model` holds the image for all its steps and can never see gray."""
    return _optional(model, "holds_image")


def readout_layers(model: Model) -> tuple[str, ...]:
    """Return the layers of `model` that name classes instead of modelling cortex; often empty."""
    return tuple(_optional(model, "readout_layers"))


def weights_source(model: Model) -> str:
    """Return the origin of the weights of `model`; empty if it is unknown."""
    return _optional(model, "weights_source")


def check_attributes(model: object) -> None:
    """Check that `model` has the attributes of `Model`, each of the type it asks for.

    Raises
    ------
    ContractError
        At the first attribute that is missing or wrong, in one line.
    PluginError
        If a property of the model fails.
    """
    if isinstance(model, type):
        raise ContractError(f"wanted a model, got the class {model.__name__} itself; call it to make one")
    kind = type(model).__name__
    with foreign_code(f"model {kind}: reading its attributes failed:"):
        values: dict[str, Any] = {name: getattr(model, name, None) for name in (*_REQUIRED, "unroll")}
        values |= {name: getattr(model, name, default) for name, (_, default) in _OPTIONAL.items()}
    if not callable(values["unroll"]):
        raise ContractError(
            f"wanted a model as in brainfit.contracts.model, got a {kind} without a method "
            "unroll(images, presentation, layers); model_zoo.adapters wraps a torch module"
        )
    for attribute, wanted in {**_REQUIRED, **{name: row[0] for name, row in _OPTIONAL.items()}}.items():
        value = values[attribute]
        if not isinstance(value, wanted) or isinstance(value, _NOT.get(wanted, ())):
            raise ContractError(
                f"model {kind} has {attribute}={_printable(value)}, wanted {wanted.__name__}; "
                "see brainfit.contracts.model.Model"
            )
    name, layers = values["name"], list(values["layers"])
    for attribute in ("name", "weights"):
        if not _is_text(values[attribute]):
            raise ContractError(
                f"model {kind} has {attribute}={values[attribute]!a}, wanted some printable text"
            )
    if not layers or not all(map(_is_text, layers)) or len(set(layers)) < len(layers):
        raise ContractError(
            f"model {name!r} has layers {_printable(layers)}, wanted different printable names"
        )
    for attribute in ("image_size", "step_ms"):
        if not 1 <= values[attribute] <= _LARGEST_SIZE:
            raise ContractError(
                f"model {name!r} has {attribute}={_printable(values[attribute])}, "
                "wanted 1 or more, to a billion"
            )
    for region, layer in values["region_layers"].items():
        if region not in REGION_CHOICES or layer not in layers:
            raise ContractError(
                f"model {name!r} gives layer {_printable(layer)} to region {_printable(region)}; "
                f"regions are {', '.join(REGIONS)} and IT, its layers {', '.join(layers)}"
            )
    for layer in values["readout_layers"]:
        if layer not in layers:
            raise ContractError(
                f"model {name!r} has readout layer {_printable(layer)}, wanted one of its layers: "
                f"{', '.join(layers)}"
            )


def _optional(model: Model, name: str) -> Any:
    return getattr(model, name, _OPTIONAL[name][1])


def _is_text(value: object) -> bool:
    """Return True if `value` is visible text that UTF-8 can encode (a lone surrogate is not printable)."""
    return isinstance(value, str) and value.isprintable() and bool(value.strip())


def _printable(value: object) -> str:
    return one_line(reprlib.repr(value))
