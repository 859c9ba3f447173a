"""The 64 objects: one table of sizes a category, from which `parts` builds them.

The seed varies the sizes by up to 8 % and the brightness of the whole, so that no two seeds share
an object.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .parts import Part, animal, boat, car, chair, face, fruit, plane, table
from .streams import Stream, uniforms

N_CATEGORIES = 8
N_OBJECTS = 64
_SIZE_JITTER = 0.08

# One row an object; the columns are the arguments of the category's function in `parts`.
_TABLES: dict[str, tuple[Callable[..., list[Part]], dict[str, tuple[float, ...]]]] = {
    "Animals": (animal, {
        "bear": (1.7, 1.0, 0.9, 0.2, 0.65, 0.22, 0.3),
        "cow": (1.9, 0.85, 1.2, 0.3, 0.6, 0.3, 0.35),
        "dog": (1.3, 0.5, 1.0, 0.5, 0.5, 0.4, 0.3),
        "elephant": (1.9, 1.2, 1.3, 0.2, 0.85, 0.9, 1.2),
        "giraffe": (1.4, 0.7, 2.1, 2.1, 0.5, 0.3, 0.4),
        "horse": (1.6, 0.7, 1.6, 1.0, 0.5, 0.3, 0.6),
        "pig": (1.5, 0.9, 0.5, 0.05, 0.65, 0.3, 0.3),
        "rabbit": (0.9, 0.65, 0.4, 0.25, 0.5, 0.9, 0.1),
    }),
    "Boats": (boat, {
        "catboat": (1.4, 0.6, 0.6, 0.5, 0.3, 3.2, 1.0),
        "ferry": (2.4, 0.8, 0.7, 1.8, 1.1, 0.0, 0.0),
        "freighter": (3.0, 0.7, 0.9, 0.7, 1.3, 1.2, 0.0),
        "ketch": (2.0, 0.6, 0.6, 0.7, 0.4, 3.0, 1.1),
        "motorboat": (1.8, 0.7, 0.6, 0.7, 0.6, 0.0, 0.0),
        "sloop": (1.7, 0.5, 0.5, 0.5, 0.3, 4.0, 0.9),
        "trawler": (1.8, 0.75, 0.9, 0.6, 1.0, 2.2, 0.0),
        "tugboat": (1.5, 0.8, 0.8, 0.7, 1.2, 0.8, 0.0),
    }),
    "Cars": (car, {
        "beetle": (1.6, 0.75, 0.65, 0.9, 0.75, 0.1, 0.38),
        "coupe": (2.0, 0.8, 0.55, 0.8, 0.5, 0.3, 0.4),
        "estate": (2.2, 0.8, 0.6, 1.4, 0.6, 0.65, 0.38),
        "hatchback": (1.7, 0.75, 0.6, 1.1, 0.65, 0.4, 0.36),
        "limousine": (3.0, 0.8, 0.6, 1.9, 0.6, 0.2, 0.38),
        "pickup": (2.3, 0.85, 0.75, 0.6, 0.75, -0.2, 0.5),
        "roadster": (1.8, 0.8, 0.5, 0.5, 0.35, 0.4, 0.4),
        "van": (2.0, 0.85, 0.8, 1.6, 1.0, 0.35, 0.4),
    }),
    "Chairs": (chair, {
        "armchair": (1.1, 1.0, 0.9, 1.4, 0.6, 0.14, 0.0),
        "barstool": (0.7, 0.65, 2.3, 0.7, 0.0, 0.08, 0.0),
        "bench": (2.1, 0.8, 1.0, 1.1, 0.6, 0.12, 1.0),
        "dining_chair": (0.8, 0.8, 1.3, 1.8, 0.0, 0.09, 1.0),
        "kitchen_chair": (0.8, 0.75, 1.2, 1.4, 0.0, 0.1, 0.0),
        "ladderback": (0.75, 0.7, 1.2, 2.4, 0.0, 0.08, 1.0),
        "lounge_chair": (1.0, 1.3, 0.6, 1.5, 0.45, 0.1, 1.0),
        "throne": (1.0, 0.9, 1.2, 2.7, 0.8, 0.16, 0.0),
    }),
    "Faces": (face, {
        "face_1": (0.95, 1.25, 0.65, 0.5, 0.28, 0.38, 0.35),
        "face_2": (1.0, 1.2, 0.8, 0.3, 0.34, 0.42, 0.42),
        "face_3": (0.85, 1.3, 0.55, 1.0, 0.24, 0.34, 0.3),
        "face_4": (1.1, 1.15, 0.9, 0.2, 0.36, 0.45, 0.4),
        "face_5": (0.9, 1.4, 0.6, 0.7, 0.4, 0.36, 0.32),
        "face_6": (1.05, 1.3, 0.75, 1.1, 0.25, 0.44, 0.46),
        "face_7": (0.9, 1.15, 0.7, 0.4, 0.3, 0.4, 0.28),
        "face_8": (1.0, 1.4, 0.7, 0.9, 0.3, 0.36, 0.4),
    }),
    "Fruits": (fruit, {
        "apple": (1.1, 1.0, 0.0, 0.0, 0.5, 1.0, 0.0),
        "banana": (0.45, 0.0, 0.0, 0.95, 0.0, 0.0, 0.0),
        "cherry": (0.8, 0.8, 0.0, 0.0, 1.8, 0.0, 0.0),
        "papaya": (0.8, 1.1, 0.35, 0.0, 0.1, 0.0, 0.0),
        "pear": (1.0, 0.95, 0.55, 0.0, 0.5, 0.0, 0.0),
        "pineapple": (0.85, 1.4, 0.0, 0.0, 0.3, 7.0, 6.0),
        "strawberry": (0.95, 1.2, 0.0, 0.0, 0.3, 5.0, 4.0),
        "watermelon": (1.3, 0.9, 0.0, 0.0, 0.2, 0.0, 0.0),
    }),
    "Planes": (plane, {
        "airliner": (2.8, 0.38, 2.6, 0.4, 28.0, 0.9, 1.0),
        "biplane": (1.5, 0.36, 1.9, 0.45, 0.0, 0.7, 0.0),
        "bomber": (2.3, 0.38, 3.0, 0.5, 18.0, 0.9, 2.0),
        "delta_jet": (2.2, 0.32, 1.3, 0.8, 45.0, 0.9, 0.0),
        "fighter": (2.1, 0.34, 1.5, 0.55, 38.0, 0.8, 0.0),
        "glider": (1.7, 0.24, 3.2, 0.25, 4.0, 0.7, 0.0),
        "propeller_plane": (1.7, 0.38, 2.1, 0.4, 4.0, 0.8, 0.0),
        "transport": (2.2, 0.55, 2.4, 0.45, 12.0, 1.2, 2.0),
    }),
    "Tables": (table, {
        "bistro_table": (1.0, 1.0, 2.1, 0.14, 0.1, 0.7, 0.0),
        "coffee_table": (1.7, 1.0, 0.8, 0.1, 0.1, 0.0, 0.35),
        "console_table": (1.8, 0.5, 1.6, 0.1, 0.08, 0.0, 0.2),
        "dining_table": (2.0, 1.1, 1.4, 0.12, 0.14, 0.0, 0.0),
        "nightstand": (0.8, 0.8, 1.4, 0.25, 0.1, 0.0, 0.4),
        "picnic_table": (2.1, 0.9, 1.3, 0.1, 0.2, 0.0, 0.55),
        "round_table": (1.6, 1.6, 1.4, 0.15, 0.2, 0.9, 0.0),
        "workbench": (1.8, 0.8, 1.7, 0.25, 0.2, 0.0, 0.25),
    }),
}  # fmt: skip


def object_names() -> list[tuple[str, str]]:
    """Return (object name, category name) of the 64 objects; consecutive objects differ in category."""
    rows = [(name, category) for category, (_, sizes) in _TABLES.items() for name in sizes]
    return [rows[8 * (k % 8) + k // 8] for k in range(N_OBJECTS)]


def object_parts(seed: int, number: int) -> list[Part]:
    """Return the parts of object `number` (0 to 63), centred, all of it within distance 1 of the origin."""
    name, category = object_names()[number]
    build, sizes = _TABLES[category]
    draw = uniforms(seed, Stream.OBJECT, number, 0, 8)
    # Whole numbers stay what they are: some are counts (leaves, engines), or 0 for none.
    row = [
        v if v == int(v) else v * (1 + _SIZE_JITTER * (2 * u - 1))
        for v, u in zip(sizes[name], draw, strict=False)
    ]
    parts = build(*row)
    centre = np.array([part.centre for part in parts])
    reach = np.array([np.linalg.norm(part.half) if part.shape == "box" else max(part.half) for part in parts])
    middle = ((centre + reach[:, None]).max(0) + (centre - reach[:, None]).min(0)) / 2
    radius = (np.linalg.norm(centre - middle, axis=1) + reach).max()
    brightness = 0.75 + 0.25 * draw[7]
    return [
        Part(
            part.shape,
            tuple((np.array(part.centre) - middle) / radius),
            tuple(np.maximum(part.half, 1e-3) / radius),
            part.albedo * brightness,
            part.turn,
        )
        for part in parts
    ]
