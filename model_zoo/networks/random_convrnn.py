"""A random ConvRNN: another point of the search space in which the median ConvRNN was found.

Its layers are those of `model_zoo.networks.median_convrnn`. The choices that the search of [1]_ varied are
drawn: the cell, the same in all seven recurrent layers, and the long-range feedback between them.

References
----------
.. [1] Nayebi et al. (2018), Task-driven convolutional recurrent models of the visual system.
   NeurIPS. arXiv:1807.00053, section 3.3, Fig. 3 and supplement 6.3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np

from brainfit.contracts.presentation import Presentation
from brainfit.support.seeds import generator

from ..cells.search_space import LARGEST_KERNEL, CellConfig, Gate, Path, Paths, Source, Update
from ..cells.searched import Searched
from ..engine.graph import GraphModel
from .median_convrnn import RECURRENT, SMALLEST, ten_layers
from .stack import Stack, divide_channels

NONLINEARITIES = ("sigmoid", "tanh")  # of gates
STATE_ACTIVATIONS = ("elu", "relu", "tanh")
INPUT_ACTIVATIONS = ("identity", *STATE_ACTIVATIONS)
DEPTHS = (None, 32, 64, 128)
EDGE_PROBABILITY = 0.25  # of 21 edges: about as many as the five of the median model


def random_convrnn(
    image_size: int | None = None,
    seed: int = 0,
    weights: str = "random",
    *,
    n_classes: int = 1000,
    channel_divisor: int = 1,
    norm_epsilon: float = 1e-12,
    readout_gain: float = 1.0,
) -> GraphModel:
    """Build a ConvRNN whose architecture is drawn from the seed; `architecture` returns it.

    Parameters
    ----------
    image_size, weights, n_classes, channel_divisor, norm_epsilon, readout_gain
        As for `model_zoo.networks.shallow.shallow_convrnn`, but images of 32 pixels or more. Weights from a
        file fit only the same seed.
    seed
        Seed of the architecture and of random weights; the architecture does not depend on the weights.

    Examples
    --------
    >>> model = random_convrnn(seed=3, channel_divisor=16)
    >>> config, feedback = architecture(seed=3)
    >>> all(model.edges[target].feedback == sources for target, sources in feedback.items())
    True
    """
    config, feedback = architecture(seed)
    narrow = replace(config, depth=config.depth and divide_channels(config.depth, channel_divisor))
    return ten_layers(
        Stack(image_size, weights, SMALLEST, norm_epsilon=norm_epsilon, readout_gain=readout_gain),
        partial(Searched, config=narrow),
        feedback,
        seed,
        name="random_convrnn",
        presentation=Presentation(on_ms=120, off_ms=50),
        n_classes=n_classes,
        channel_divisor=channel_divisor,
    )


def architecture(seed: int) -> tuple[CellConfig, dict[str, tuple[str, ...]]]:
    """Return the cell, which prints as its equations, and for each layer with feedback its sources.

    Examples
    --------
    >>> config, feedback = architecture(seed=0)
    >>> print(config)
    x    = identity(pre)
    c_t  = elu(tau c + gate I)
    tau  = 0.464 - 0.464 tanh(-0.492 + ds6(c) + b)
    gate = 0.406 - 0.406 tanh(-0.136 + conv4(h) + b + conv4(ff) + b)
    I    = ds7(ff) + b
    h_t  = tanh(tau h + gate I)
    tau  = 0.464 - 0.464 tanh(-0.492 + conv1(h) + b + conv1(x) + b + conv1(ff) + b)
    gate = 0.406 - 0.406 tanh(-0.136 + conv4(c) + b + conv4(ff) + b)
    I    = x + conv6(fb) + b
    c has 64 channels
    >>> feedback
    {'conv7': ('conv10', 'conv8')}
    """
    rng = generator(seed, "architecture")
    return draw(rng), draw_feedback(rng)


def draw(rng: np.random.Generator) -> CellConfig:
    """Draw a cell.

    Connections of one kind (those that keep c, those that keep h, gates, input to c, input to h, feedback)
    have the same form, and so have the gates of c and h, as in the authors' options. All choices are
    equally likely.

    The constants are such that random weights hardly ever die or blow up, 25 steps through seven layers; see
    `_draw_gates`. For the same reason no state is linear: without a bound below, its gates would follow it.
    """
    keep_c, keep_h, gate, into_c, into_h, back = (_draw_kind(rng) for _ in range(6))
    gated = _flip(rng)  # h by c; else c is added to its input
    entry = _pick(rng, ("input", "cell", "out"))
    feedback = (back("fb"),)
    c_input = _pick(rng, [(into_c("x"),), (into_c("ff"),), (into_c("x"), into_c("ff"))])
    h_input = _pick(rng, [Path("x"), into_h("x")])
    residual = _some(rng, Path("ff"))
    tau, let_in = _draw_gates(rng, convolved=h_input.kernel is not None, added=bool(residual))
    return CellConfig(
        cell=Update(
            (*c_input, *feedback * (entry == "cell")),
            tau((keep_c("c"), *_some(rng, keep_c("x"), keep_c("ff")))),
            let_in((gate("h"), *_some(rng, gate("x"), gate("ff")))),
            _pick(rng, STATE_ACTIVATIONS),
        ),
        out=Update(
            (h_input, *residual, *(gate("c"),) * (not gated), *feedback * (entry == "out")),
            tau((keep_h("h"), *_some(rng, keep_h("x"), keep_h("ff")))),
            let_in((*(gate("c"),) * gated, *_some(rng, gate("x"), gate("ff")))),
            _pick(rng, STATE_ACTIVATIONS),
        ),
        depth=_pick(rng, DEPTHS),
        input_activation=_pick(rng, INPUT_ACTIVATIONS),
        to_input=feedback * (entry == "input"),
        layer_norm=_flip(rng),
    )


def draw_feedback(rng: np.random.Generator) -> dict[str, tuple[str, ...]]:
    """Draw long-range feedback: for each layer that has some its sources, above it, sorted as strings."""
    edges = [edge for edge in combinations(RECURRENT, 2) if rng.random() < EDGE_PROBABILITY]
    return {
        target: tuple(sorted(source for low, source in edges if low == target))
        for target in dict.fromkeys(low for low, _ in edges)
    }


def _draw_gates(
    rng: np.random.Generator, *, convolved: bool, added: bool
) -> tuple[Callable[[Paths], Gate], Callable[[Paths], Gate]]:
    """Draw all but the paths of tau and gate, which are both ``a - a f(bias + ...)``.

    - tau lies between 0 and a bound from 0.5 to 1, so a state that is only kept never grows;
    - no bias is above 0, so that a gate is never more than twice as wide open as at rest (paths at zero);
    - at rest, gate is 1 - tau, so that a constant input is passed on as it is; times 1 to 1.5, for what
      nonlinearities take; and times the square root of 2 where the input of h is `convolved` once more,
      over it where ff is `added`.

    Both published cells keep to this.
    """
    keeping, letting = _pick(rng, NONLINEARITIES), _pick(rng, NONLINEARITIES)
    keeping_bias, letting_bias = _between(rng, -0.5, 0), _between(rng, -0.5, 0)
    most = {"sigmoid": 1, "tanh": 2}[keeping]  # of 1 - f
    a_tau = round(_between(rng, 0.5, 1) / most, 3)
    balance = (1 - a_tau * _rest(keeping, keeping_bias)) / _rest(letting, letting_bias)
    a_gate = round(_between(rng, 1, 1.5) * math.sqrt(2) ** (convolved - added) * balance, 3)
    return (
        partial(Gate, nonlinearity=keeping, offset=a_tau, multiplier=-a_tau, bias=keeping_bias),
        partial(Gate, nonlinearity=letting, offset=a_gate, multiplier=-a_gate, bias=letting_bias),
    )


def _rest(nonlinearity: str, bias: float) -> float:
    """Return 1 - f(bias)."""
    return 1 / (1 + math.exp(bias)) if nonlinearity == "sigmoid" else 1 - math.tanh(bias)


def _draw_kind(rng: np.random.Generator) -> Callable[[Source], Path]:
    kernel, separable = int(rng.integers(1, LARGEST_KERNEL + 1)), _flip(rng)
    return partial(Path, kernel=kernel, separable=separable, bias=separable or _flip(rng))


def _some(rng: np.random.Generator, *paths: Path) -> Paths:
    return tuple(path for path in paths if _flip(rng))


def _flip(rng: np.random.Generator) -> bool:
    return bool(rng.random() < 0.5)


def _pick(rng: np.random.Generator, choices: Sequence[Any]) -> Any:
    return choices[int(rng.integers(len(choices)))]


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    return round(float(rng.uniform(low, high)), 3)  # three decimals are enough, and can be read
