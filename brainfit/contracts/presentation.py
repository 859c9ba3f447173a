"""Presentations: an image for some time, then gray, in steps of fixed duration."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from brainfit.errors import ContractError
from brainfit.support.arguments import number, one_of, whole_number

if TYPE_CHECKING:
    import torch

BackgroundSpace = Literal["normalized", "pixel"]
_BACKGROUNDS = {"normalized": (-100.0, 100.0), "pixel": (0.0, 1.0)}
"""Gray values that make sense; normalised pixels lie within a few units of 0."""


class Run(NamedTuple):
    """One frame held for a number of steps: the image itself, or uniform gray."""

    frame: Literal["image", "gray"]
    steps: int


@dataclass(frozen=True)
class Presentation:
    """An image for `on_ms`, then uniform gray for `off_ms`, in steps of `step_ms`.

    Parameters
    ----------
    on_ms, off_ms
        Duration of the image and of the gray after it, in milliseconds.
    step_ms
        Duration of one model step, in milliseconds; each layer propagates in one step.
    background
        The gray value, in [0, 1] if `background_space` is ``"pixel"``, else in [-100, 100].
    background_space
        ``"normalized"`` (default): the constant `background` replaces the image *after* the
        model has normalised its pixels. This is what Nayebi et al. (2018) did.
        ``"pixel"``: a uniform image of that pixel value is shown, and normalised like any other.

    Raises
    ------
    ContractError
        If a duration is not a whole number of steps, `on_ms` is not positive, or the
        background is out of range.

    Examples
    --------
    >>> presentation = Presentation()
    >>> presentation.n_steps, presentation.timeline
    (25, (Run(frame='image', steps=10), Run(frame='gray', steps=15)))

    References
    ----------
    Nayebi et al. (2018), Task-driven convolutional recurrent models of the visual
    system. NeurIPS. arXiv:1807.00053, section 2 and supplement 6.5.
    """

    on_ms: int = 100
    off_ms: int = 150
    step_ms: int = 10
    background: float = 0.5
    background_space: BackgroundSpace = "normalized"

    def __post_init__(self) -> None:
        for name, least in (("on_ms", 1), ("off_ms", 0), ("step_ms", 1)):
            object.__setattr__(self, name, whole_number(name, getattr(self, name), least))
        if self.on_ms % self.step_ms or self.off_ms % self.step_ms:
            raise ContractError(
                f"on_ms={self.on_ms} and off_ms={self.off_ms} must be whole numbers of "
                f"step_ms={self.step_ms}; give other durations (--on-ms, --off-ms) or another step"
            )
        space = one_of("background_space", self.background_space, tuple(_BACKGROUNDS))
        background = number(f"background in {space} space", self.background, *_BACKGROUNDS[space])
        object.__setattr__(self, "background", background)

    @property
    def n_steps(self) -> int:
        """Number of model steps, and so of time bins that can be compared with them."""
        return (self.on_ms + self.off_ms) // self.step_ms

    @property
    def timeline(self) -> tuple[Run, ...]:
        """Frames with their run lengths, by which a model skips repeated work exactly."""
        runs = (Run("image", self.on_ms // self.step_ms), Run("gray", self.off_ms // self.step_ms))
        return tuple(run for run in runs if run.steps)

    def frames(
        self, images: torch.Tensor, normalize: Callable[[torch.Tensor], torch.Tensor]
    ) -> Iterator[tuple[torch.Tensor, int]]:
        """Yield each frame that a model sees, and the number of steps that it lasts.

        Parameters
        ----------
        images
            Pixels in [0, 1], shape (image, 3, height, width).
        normalize
            The model's own normalisation of pixels, applied here so that the gray convention
            is decided in one place.

        Yields
        ------
        frame, steps
            The normalised frame, shape (image, 3, height, width), or (1, 3, height, width)
            if it is the same for every image; and the length of its run.
        """
        for run in self.timeline:
            if run.frame == "image":
                yield normalize(images), run.steps
            else:
                gray = images.new_full((1, *images.shape[1:]), self.background)
                yield (normalize(gray) if self.background_space == "pixel" else gray), run.steps
