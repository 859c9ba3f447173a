"""The shapes of the eight categories: each object is a union of ellipsoids and boxes.

An object stands in a right-handed frame, x forward, y to its left, z up. The function of a category
turns seven sizes into parts; the sizes of the 64 objects are in `objects`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np


class Part(NamedTuple):
    """One solid: its centre, half sizes along its own axes, reflectance, turn about x, y, z in degrees."""

    shape: Literal["ball", "box"]
    centre: tuple[float, float, float]
    half: tuple[float, float, float]
    albedo: float = 0.8
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0)


def _pair(part: Part) -> list[Part]:
    """Return the part and its mirror image on the other side."""
    (x, y, z), (roll, pitch, yaw) = part.centre, part.turn
    return [part, part._replace(centre=(x, -y, z), turn=(-roll, pitch, -yaw))]


def animal(
    length: float, girth: float, leg: float, neck: float, head: float, ear: float, snout: float
) -> list[Part]:
    """Return a four-legged animal."""
    top = leg + 1.3 * girth
    nose = (length + 0.5 * neck, 0.0, top + neck)
    return [
        Part("ball", (0, 0, leg + 0.7 * girth), (length, girth, girth)),
        Part(
            "ball",
            (length + 0.2 * neck, 0, top + 0.4 * neck - 0.1),
            (0.45 * girth, 0.45 * girth, 0.35 + 0.75 * neck),
            0.75,
            (0, 25, 0),
        ),
        Part("ball", nose, (1.3 * head, head, head), 0.85),
        Part(
            "ball",
            (nose[0] + head + 0.6 * snout, 0, nose[2] - 0.3 * head - 0.5 * snout),
            (0.35 * head + snout, 0.45 * head, 0.45 * head),
            0.6,
            (0, 35, 0),
        ),
        *_pair(
            Part("ball", (nose[0] + 0.75 * head, 0.62 * head, nose[2] + 0.35 * head), (0.2, 0.2, 0.2), 0.05)
        ),
        *_pair(
            Part(
                "ball",
                (nose[0] - 0.5 * head, 0.9 * head, nose[2] + 0.5 * head + 0.6 * ear),
                (0.12 + 0.1 * ear, 0.3 * ear + 0.08, ear),
                0.5,
            )
        ),
        *_pair(
            Part(
                "box", (0.65 * length, 0.6 * girth, 0.5 * leg), (0.26 * girth, 0.22 * girth, 0.5 * leg), 0.65
            )
        ),
        *_pair(
            Part(
                "box", (-0.65 * length, 0.6 * girth, 0.5 * leg), (0.26 * girth, 0.22 * girth, 0.5 * leg), 0.65
            )
        ),
        Part("ball", (-length - 0.2, 0, leg + girth), (0.6, 0.1, 0.1), 0.5, (0, -40, 0)),
    ]


def boat(
    length: float, width: float, hull: float, cabin: float, decks: float, mast: float, sail: float
) -> list[Part]:
    """Return a ship; without a sail it has a funnel."""
    bow = width * 0.7071
    parts = [
        Part("box", (0, 0, 0.5 * hull), (length, width, 0.5 * hull), 0.35),
        Part("box", (length, 0, 0.5 * hull), (bow, bow, 0.5 * hull), 0.35, (0, 0, 45)),
        Part("box", (0, 0, hull), (length, 1.04 * width, 0.07), 0.95),
        Part("box", (length, 0, hull), (1.04 * bow, 1.04 * bow, 0.07), 0.95, (0, 0, 45)),
        Part("box", (-0.3 * length, 0, hull + 0.5 * decks), (cabin, 0.7 * width, 0.5 * decks), 0.9),
        Part("box", (-0.3 * length, 0, hull + 0.6 * decks), (1.02 * cabin, 0.72 * width, 0.14 * decks), 0.1),
    ]
    if mast:
        parts.append(Part("box", (0.2 * length, 0, hull + 0.5 * mast), (0.07, 0.07, 0.5 * mast), 0.25))
    if sail:
        middle = hull + 0.55 * mast
        parts.append(
            Part("ball", (0.2 * length - sail, 0, middle), (sail, 0.08, 0.42 * mast), 0.98, (0, 8, 0))
        )
        parts.append(
            Part(
                "ball",
                (0.2 * length + 0.6 * sail, 0, middle - 0.1),
                (0.55 * sail, 0.08, 0.36 * mast),
                0.9,
                (0, -14, 0),
            )
        )
    else:
        parts.append(Part("ball", (-0.45 * length, 0, hull + decks + 0.3), (0.3, 0.3, 0.6), 0.55))
    return parts


def car(
    length: float, width: float, body: float, cabin: float, roof: float, back: float, wheel: float
) -> list[Part]:
    """Return a car."""
    floor = 0.7 * wheel
    top = floor + body
    parts = [
        Part("box", (0, 0, floor + 0.5 * body), (length, width, 0.5 * body)),
        Part("ball", (0.9 * length, 0, floor + 0.5 * body), (0.3, 0.98 * width, 0.5 * body), 0.7),
        Part("box", (-back, 0, top + 0.5 * roof), (cabin, 0.85 * width, 0.5 * roof), 0.12),
        Part("box", (-back, 0, top + roof), (0.96 * cabin, 0.87 * width, 0.08), 0.85),
        Part(
            "box", (-back + cabin, 0, top + 0.42 * roof), (0.09, 0.84 * width, 0.62 * roof), 0.3, (0, -35, 0)
        ),
        *_pair(Part("ball", (1.02 * length, 0.65 * width, floor + 0.65 * body), (0.22, 0.2, 0.16), 1.0)),
    ]
    for x in (0.62 * length, -0.62 * length):
        parts += _pair(Part("ball", (x, width, wheel), (wheel, 0.2, wheel), 0.06))
        parts += _pair(Part("ball", (x, width + 0.1, wheel), (0.5 * wheel, 0.15, 0.5 * wheel), 0.9))
    return parts


def chair(
    width: float, depth: float, leg: float, back: float, arm: float, thick: float, slats: float
) -> list[Part]:
    """Return a chair; its back is a board, or slats."""
    lean = (0.0, -8.0, 0.0)
    parts = [Part("box", (0, 0, leg), (depth, width, 0.12), 0.9)]
    for x in (0.88 * depth, -0.88 * depth):
        parts += _pair(Part("box", (x, 0.88 * width, 0.5 * leg), (thick, thick, 0.5 * leg), 0.55))
    if slats:
        parts += _pair(
            Part(
                "box", (-depth - 0.1, 0.88 * width, leg + 0.5 * back), (thick, thick, 0.55 * back), 0.55, lean
            )
        )
        parts += [
            Part("box", (-depth - 0.1, 0, leg + back * rung), (0.06, 0.9 * width, 0.09 * back), 0.75, lean)
            for rung in (0.45, 0.7, 0.95)
        ]
    else:
        parts.append(Part("box", (-depth, 0, leg + 0.5 * back), (0.13, width, 0.52 * back), 0.75, lean))
    if arm:
        parts += _pair(Part("box", (0, width, leg + arm), (0.9 * depth, 0.13, 0.08), 0.65))
        parts += _pair(Part("box", (0.75 * depth, width, leg + 0.5 * arm), (0.09, 0.09, 0.5 * arm), 0.55))
    return parts


def face(
    width: float, height: float, jaw: float, hair: float, nose: float, eye: float, mouth: float
) -> list[Part]:
    """Return a head on shoulders, looking along x."""
    return [
        Part("ball", (0, 0, 0), (1.05, width, height), 0.85),
        Part("ball", (0.12, 0, -0.55 * height), (0.85, jaw, 0.55 * height), 0.85),
        Part("ball", (-0.25, 0, 0.28 * height), (1.0, 1.1 * width, 0.85 * height + 0.4 * hair), 0.12),
        Part("ball", (-0.45, 0, -0.3 * height), (0.6, 1.12 * width, hair * height), 0.12),
        Part("ball", (-0.2, 0, -1.25 * height), (0.5, 0.5, 0.6), 0.7),
        Part("ball", (-0.3, 0, -1.75 * height), (0.7, 1.5, 0.35), 0.35),
        *_pair(Part("ball", (0, 1.02 * width, -0.05), (0.2, 0.14, 0.3), 0.75)),
        *_pair(Part("ball", (0.9, eye, 0.1), (0.16, 0.24, 0.14), 1.0)),
        *_pair(Part("ball", (1.02, eye, 0.1), (0.09, 0.11, 0.12), 0.02)),
        *_pair(Part("box", (0.97, eye, 0.36), (0.1, 0.28, 0.045), 0.1)),
        Part("ball", (1.08, 0, -0.18), (nose, 0.15, 0.36), 0.95, (0, -15, 0)),
        Part("ball", (0.93, 0, -0.62), (0.16, mouth, 0.11), 0.25),
    ]


def fruit(
    width: float, height: float, top: float, bend: float, stem: float, leaves: float, seeds: float
) -> list[Part]:
    """Return a fruit; one that is bent is a crescent."""
    if bend:  # a crescent of short segments
        angles = np.linspace(-1.0, 1.0, 11)
        parts = [
            Part(
                "ball",
                (2.2 * np.sin(a), 0, 2.2 * (1 - np.cos(a)) - 0.5),
                (0.6, width * (1 - 0.5 * a * a), width * (1 - 0.5 * a * a)),
                0.95,
                (0, -57.3 * a, 0),
            )
            for a in bend * angles
        ]
        return [
            *parts,
            Part(
                "box",
                (2.2 * np.sin(bend) + 0.25, 0, 2.2 * (1 - np.cos(bend)) - 0.1),
                (0.12, 0.12, 0.3),
                0.2,
                (0, 30, 0),
            ),
        ]
    parts = [
        Part("ball", (0, 0, 0), (width, width, height)),
        Part("ball", (0, 0, 0.75 * height), (top, top, 0.75 * height), 0.8),
        Part(
            "box",
            (0.05, 0, max(height, 1.3 * height * (top > 0)) + 0.5 * stem),
            (0.06, 0.06, 0.6 * stem),
            0.15,
            (0, 12, 0),
        ),
    ]
    crown = max(height, 1.4 * height * (top > 0))
    for turn in np.arange(int(leaves)) * 360.0 / max(leaves, 1):
        x, y = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
        parts.append(
            Part("ball", (0.3 * x, 0.3 * y, crown + 0.25), (0.14, 0.09, 0.6), 0.3, (-28 * y, 28 * x, 0))
        )
    for ring in np.arange(int(seeds)) / max(seeds, 1) * 1.6 - 0.75:
        for turn in np.arange(0, 2 * np.pi, np.pi / 3) + ring * 4:
            wide = width * np.sqrt(1 - ring**2)
            parts.append(
                Part(
                    "ball", (wide * np.cos(turn), wide * np.sin(turn), height * ring), (0.13, 0.13, 0.13), 0.2
                )
            )
    return parts


def plane(
    length: float, body: float, span: float, chord: float, sweep: float, tail: float, engines: float
) -> list[Part]:
    """Return an aeroplane; without engines below its wings it has a propeller."""
    wing = (0.0, 0.0, sweep)
    back = 0.5 * span * np.tan(np.deg2rad(sweep))
    parts = [
        Part("ball", (0, 0, 0), (length, body, body), 0.9),
        Part("ball", (0.72 * length, 0, 0.4 * body), (0.2 * length, 0.6 * body, 0.7 * body), 0.1),
        *_pair(Part("box", (0.1 - back, 0.5 * span, -0.1), (chord, 0.55 * span, 0.06), 0.7, wing)),
        *_pair(
            Part("box", (-0.88 * length, 0.32 * tail + 0.2, 0.1), (0.45 * chord, 0.5 * tail, 0.05), 0.6, wing)
        ),
        Part(
            "box", (-0.9 * length, 0, 0.5 * tail + 0.1), (0.5 * chord, 0.06, 0.55 * tail), 0.45, (0, -25, 0)
        ),
    ]
    for n in range(int(engines)):
        out = (0.38 + 0.32 * n) * span
        parts += _pair(Part("ball", (0.35 - back * out / (0.5 * span), out, -0.35), (0.5, 0.2, 0.2), 0.3))
    if not engines:  # a propeller
        parts.append(Part("box", (length, 0, 0), (0.05, 0.09, 2.4 * body), 0.15, (30, 0, 0)))
        parts.append(Part("ball", (length, 0, 0), (0.25, 0.2, 0.2), 0.2))
    return parts


def table(
    length: float, width: float, height: float, thick: float, leg: float, pedestal: float, shelf: float
) -> list[Part]:
    """Return a table on four legs or, round, on a pedestal."""
    parts = [Part("ball" if pedestal else "box", (0, 0, height), (length, width, thick), 0.95)]
    if pedestal:
        parts.append(Part("box", (0, 0, 0.5 * height), (leg, leg, 0.5 * height), 0.5))
        parts.append(Part("ball", (0, 0, 0.08), (pedestal, pedestal, 0.16), 0.45))
    else:
        for x in (0.88 * length, -0.88 * length):
            parts += _pair(Part("box", (x, 0.86 * width, 0.5 * height), (leg, leg, 0.5 * height), 0.5))
    if shelf:
        parts.append(Part("box", (0, 0, shelf * height), (0.9 * length, 0.88 * width, 0.06), 0.7))
    return parts
