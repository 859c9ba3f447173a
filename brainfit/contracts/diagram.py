"""A model's layers and connections as plain values."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from brainfit.errors import ContractError
from brainfit.support.suggestions import unknown_name


@dataclass(frozen=True)
class Part:
    """One layer.

    Attributes
    ----------
    name
        Name of the layer.
    cell
        Kind of recurrent cell, in words; None if the layer has none.
    shape
        Shape of one image's output: (channel, height, width) or (class,).
    parameters
        Number of trainable parameters.
    """

    name: str
    cell: str | None
    shape: tuple[int, ...]
    parameters: int


@dataclass(frozen=True)
class Edge:
    """One connection, from the layer `source` (None: the image) to the layer `target`."""

    source: str | None
    target: str
    feedback: bool = False


@dataclass(frozen=True)
class Wiring:
    """A model as a graph, for `brainfit.figures.schematic` to draw.

    A model that has a method ``wiring()`` which returns one can be drawn by name: ``brainfit draw``.

    Attributes
    ----------
    model
        Its name.
    image_size
        Height and width of its images in pixels.
    parts
        Layers from the input up.
    edges
        Connections between them.
    steps
        Number of steps of the presentation in training; None if unknown.

    Raises
    ------
    ContractError
        If two parts have the same name, or a shape has neither one nor three dimensions.
    UnknownNameError
        If an edge begins or ends at no part.
    """

    model: str
    image_size: int
    parts: tuple[Part, ...]
    edges: tuple[Edge, ...]
    steps: int | None = None

    def __post_init__(self) -> None:
        names = [part.name for part in self.parts]
        for name, times in Counter(names).items():
            if times > 1:
                raise ContractError(f"wiring of {self.model!r}: {times} parts are called {name!r}")
        for part in self.parts:
            if len(part.shape) not in (1, 3):
                raise ContractError(
                    f"wiring of {self.model!r}: {part.name!r} has shape {part.shape}, "
                    "wanted (channel, height, width) or (class,)"
                )
        for edge in self.edges:
            for name in (edge.source, edge.target):
                if name is not None and name not in names:
                    raise unknown_name("part", name, names)


def in_words(class_name: str) -> str:
    """Write the name of a class as words.

    Examples
    --------
    >>> in_words("ReciprocalGatedMedian"), in_words("GRU"), in_words("SimpleRNN"), in_words("Gated18")
    ('reciprocal gated median', 'GRU', 'simple RNN', 'gated 18')
    """
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", class_name)
    return " ".join(word if len(word) > 1 and word.isupper() else word.lower() for word in words)
