"""The seams: what a model and a mapping must offer for the rest to work with them.

Data have classes of their own: `brainfit.presentation.Presentation`,
`brainfit.trajectory.Trajectory`, `brainfit.recording.Recording`, `brainfit.result.Score`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Mapping as Dict
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import torch

    from brainfit.presentation import Presentation
    from brainfit.trajectory import Trajectory


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
    def region_layers(self) -> Dict[str, str]:
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


class Mapping(Protocol):
    """A map from a layer's features to responses, fitted to batches that stream by."""

    def partial_fit(self, trajectory: Trajectory, responses: np.ndarray, folds: np.ndarray) -> Self:
        """Take in a batch of training images.

        Parameters
        ----------
        trajectory
            What the layer did for these images, one step a time bin.
        responses
            Trial-averaged responses, shape (image, unit, time_bin), finite.
        folds
            The inner fold in which each image is held out, shape (image,).
        """
        ...

    def solve(self, advance: Callable[[], None] = ...) -> Self:
        """Fit the map to all that was taken in; calls `advance` at most `n_passes` times."""
        ...

    def predict(self, trajectory: Trajectory, n_images: int | None = None) -> np.ndarray:
        """Predict responses, shape (image, unit, time_bin)."""
        ...

    @property
    def n_passes(self) -> int:
        """How much work `solve` is, at most."""
        ...

    @property
    def n_features(self) -> int:
        """Features of the layer, known from the first batch on."""
        ...

    @property
    def n_rows(self) -> int:
        """Rows of features that were kept so far."""
        ...

    @property
    def row_bytes(self) -> int:
        """Bytes that they occupy, with all that belongs to them."""
        ...

    def working_bytes(self, n_rows: float, n_features: int, n_units: int, n_folds: int) -> float:
        """Bytes that `solve` takes beside that, for so many rows."""
        ...

    @property
    def alpha_(self) -> np.ndarray:
        """The penalty of each unit, shape (unit,); NaN in a map without one."""
        ...

    def summary(self) -> dict[str, Any]:
        """Return what a reviewer would ask of the fit, as plain values."""
        ...
