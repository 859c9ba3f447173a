"""Reference equations of the recurrent cells, written independently in numpy with concatenations."""

from collections.abc import Callable

import numpy as np
from scipy.special import expit as sigmoid

from model_zoo.cells.reciprocal_gated_median import A_GATE, A_TAU

Array = np.ndarray
Oracle = Callable[[dict[str, Array], Array, Array, list[Array], tuple[Array, ...]], tuple[Array, ...]]
"""From parameters, x, ff, feedback and state to the output, and then the next state."""


def conv(x: Array, weight: Array, bias: Array | float = 0.0) -> Array:
    """Convolve tap by tap, with equal padding on both sides, or one zero fewer before."""
    kernel, (height, width) = weight.shape[-1], x.shape[2:]
    pad = ((kernel - 1) // 2, kernel // 2)
    padded = np.pad(x, ((0, 0), (0, 0), pad, pad))
    taps = [
        np.einsum("oi,nihw->nohw", weight[:, :, i, j], padded[:, :, i : i + height, j : j + width])
        for i in range(kernel)
        for j in range(kernel)
    ]
    return sum(taps) + np.reshape(bias, (1, -1, 1, 1))


def ds(p: dict[str, Array], name: str, x: Array) -> Array:
    """Convolve depthwise, each channel by itself, then pointwise."""
    depthwise = p[f"{name}.depthwise.weight"]
    dense = np.einsum("cij,cd->cdij", depthwise[:, 0], np.eye(len(depthwise)))
    return conv(conv(x, dense), p[f"{name}.pointwise.weight"], p[f"{name}.pointwise.bias"])


def joint(p: dict[str, Array], name: str, x: Array, h: Array, parts: int) -> list[Array]:
    weight = np.concatenate([p[f"{name}.of_input.weight"], p[f"{name}.of_state.weight"]], axis=1)
    return np.split(conv(np.concatenate([x, h], axis=1), weight, p[f"{name}.of_input.bias"]), parts, axis=1)


def elu(x: Array) -> Array:
    return np.where(x > 0, x, np.expm1(x))


def norm(p: dict[str, Array], name: str, x: Array) -> Array:
    """Normalise over all dims but images; return x unchanged if the cell has no norm of this name."""
    if f"{name}.gamma" not in p:
        return x
    centred = x - x.mean((1, 2, 3), keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean((1, 2, 3), keepdims=True) + 1e-12)
    return p[f"{name}.gamma"].reshape(1, -1, 1, 1) * scaled + p[f"{name}.beta"].reshape(1, -1, 1, 1)


def time_decay(p, x, ff, fb, state):
    s = p["memory_decay"][0] * state[0] + x
    return s, s


def plain(p, x, ff, fb, state):
    of_state = conv(state[0], p["of_state.weight"], p["of_state.bias"])
    h = elu(norm(p, "norm", of_state + conv(x, p["of_input.weight"], p["of_input.bias"])))
    return h, h


def gru(p, x, ff, fb, state):
    (h,) = state
    r, u = joint(p, "gates", x, h, 2)
    (c,) = joint(p, "candidate", x, sigmoid(r + 1) * h, 1)
    h = sigmoid(u) * h + (1 - sigmoid(u)) * np.tanh(c)
    return h, h


def lstm_with(forget_bias: float) -> Oracle:
    def step(p, x, ff, fb, state):
        c, h = state
        names = ("input", "transform", "forget", "output")
        split = joint(p, "gates", x, h, 4)
        i, j, f, o = (norm(p, f"norms.{name}", part) for name, part in zip(names, split, strict=True))
        peep = {gate: p.get(f"peepholes.{gate}", 0.0) * c for gate in names}
        forgotten = c * sigmoid(f + forget_bias + peep["forget"])
        new = norm(p, "norms.state", forgotten + sigmoid(i + peep["input"]) * np.tanh(j))
        h = np.tanh(new) * sigmoid(o + peep["output"])
        return h, new, h

    return step


def ugrnn(p, x, ff, fb, state):
    g, c = joint(p, "mix", x, state[0], 2)
    h = sigmoid(g + 1) * state[0] + (1 - sigmoid(g + 1)) * np.tanh(c)
    return h, h


def intersection(p, x, ff, fb, state):
    gh, hh, gy, yy = joint(p, "mix", x, state[0], 4)
    h = sigmoid(gh + 1) * state[0] + (1 - sigmoid(gh + 1)) * np.tanh(hh)
    return sigmoid(gy + 1) * x + (1 - sigmoid(gy + 1)) * np.maximum(yy, 0), h


def reciprocal_shallow(p, x, ff, fb, state):
    (c, h), x = state, elu(x)
    w = {name.removesuffix(".weight"): value for name, value in p.items()}
    next_c = elu(
        (1 - sigmoid(conv(c, w["cell_tau"]))) * c
        + (1 - sigmoid(conv(h, w["cell_gate"]))) * conv(x, w["input_to_cell"])
    )
    gate = 1 - sigmoid(conv(c, w["out_gate"]) + conv(ff, w["input_to_gate"]))
    next_h = elu((1 - sigmoid(conv(h, w["out_tau"]))) * h + gate * x)
    return next_h, next_c, next_h


def reciprocal_median(p, x, ff, fb, state):
    """Compute one step; the feedback already has the size of x."""
    (c, h), x = state, elu(x)
    to_cell = conv(x, p["input_to_cell.weight"], p["input_to_cell.bias"])
    to_out = conv(x, p["input_to_out.weight"], p["input_to_out.bias"])
    to_out = to_out + (conv(ff, p["shortcut.weight"]) if "shortcut.weight" in p else ff)
    if fb:
        to_out = to_out + conv(np.concatenate(fb, axis=1), p["feedback.weight"], p["feedback.bias"])
    tau, gate = A_TAU * (1 - sigmoid(ds(p, "cell_tau", c))), A_GATE * (1 - np.tanh(ds(p, "cell_gate", h)))
    next_c = elu(tau * c + gate * to_cell)
    tau, gate = A_TAU * (1 - sigmoid(ds(p, "out_tau", h))), A_GATE * (1 - np.tanh(ds(p, "out_gate", c)))
    next_h = elu(tau * h + gate * to_out)
    return next_h, next_c, next_h
