"""Draw an image: one object at a random place, size and turn over a 1/f background, seen from afar.

Every part is met by parallel rays in closed form (a quadratic for an ellipsoid, three slabs for a
box); the nearest part wins, and its surface is lit by a distant lamp (Lambert) and by ambient light.

Image i of the catalogue shows object i mod 64; its variation alternates along each object, so every
prefix of the catalogue is balanced. After the HvM images of [1]_, place, size and turn are uniform in

========= ================ ========================= ===============================
variation place            size                      turn about each of three axes
========= ================ ========================= ===============================
3         +-0.25           1/1.3 to 1.3 (log scale)  +-30 degrees
6         +-0.45           1/1.6 to 1.6 (log scale)  +-60 degrees
========= ================ ========================= ===============================

with place as a fraction of half the image, from the image's centre, and turns from a view in which
the object faces the right of the viewer.

References
----------
.. [1] Majaj, Hong, Solomon & DiCarlo (2015), J. Neurosci. 35:13402. doi:10.1523/JNEUROSCI.5181-14.2015
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy import fft

from .objects import N_CATEGORIES, N_OBJECTS, Part, object_parts
from .streams import Stream, uniforms

SIZE = 128
_FINE = 2 * SIZE
_RADIUS = 0.72  # of an object at size 1, in half images
_RANGES = {3: (0.25, 1.3, 30.0), 6: (0.45, 1.6, 60.0)}
_OCCLUDED = 1 / 3  # of the images, in `render_occluded`
_AMBIENT = 0.35
_LAMP = np.array([-0.36, 0.48, 0.8])  # right, up, towards the viewer
_FACING = (12.0, 0.0, -48.0)  # the standing view: seen from slightly above, turned a little to the viewer
_GRID = (np.arange(_FINE) + 0.5) / SIZE - 1


def variation(position: int) -> int:
    """Return 3 (medium) or 6 (high), the variation of image `position` of the catalogue."""
    number = position % N_OBJECTS
    return (3, 6)[(position // N_OBJECTS + number + number // 8) % 2]


@lru_cache(maxsize=1024)  # 16 kB each
def render_image(seed: int, position: int) -> np.ndarray:
    """Return image `position` of the catalogue: gray, uint8, shape (128, 128), read-only."""
    return _gray(_scene(seed, position)[0])


@lru_cache(maxsize=1024)
def render_occluded(seed: int, position: int) -> tuple[np.ndarray, float]:
    """Return image `position` with another object in front of it in one image of three.

    The other object is of another category, 0.5 to 0.7 times as large, turned at random, and stands beside
    the first one's centre.

    Returns
    -------
    gray, occlusion
        The image as of `render_image`, and the share of the object that is hidden, in [0, 1].
    """
    scene, covered, scale, shift = _scene(seed, position)
    draw = uniforms(seed, Stream.OCCLUDER, position, 0, 8)
    if draw[0] >= _OCCLUDED:
        return _gray(scene), 0.0
    other = (position + 1 + int(draw[1] * (N_CATEGORIES - 1))) % N_OBJECTS  # of another category
    around, away = 2 * np.pi * draw[2], 0.25 + 0.5 * draw[3]
    beside = shift + scale * away * np.array([np.cos(around), np.sin(around)])
    view = _turns(60 * (2 * draw[4:7] - 1)) @ _STANDING
    light, hidden = _cast(object_parts(seed, other), scale * (0.5 + 0.2 * draw[7]) * view, beside)
    return _gray(light + (1 - hidden) * scene), float((hidden * covered).sum() / max(covered.sum(), 1e-9))


def cast_object(seed: int, number: int, zoom: float, turns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return light and coverage of an object at the image's centre, each in [0, 1], shape (128, 128).

    Parameters
    ----------
    seed
        Seed of the objects.
    number
        Number of the object.
    zoom
        Size; 1 is the standing size.
    turns
        Turns about the three axes in degrees, from the standing view, shape (3,).
    """
    return _cast(object_parts(seed, number), _RADIUS * zoom * (_turns(turns) @ _STANDING), np.zeros(2))


def pose(seed: int, position: int) -> np.ndarray:
    """Return size, place (2) and turns (3) of the object, each in (-1, 1) of its range, shape (6,)."""
    return 2 * uniforms(seed, Stream.POSE, position, 0, 6) - 1


def _scene(seed: int, position: int) -> tuple[np.ndarray, np.ndarray, float, np.ndarray]:
    """Return the image before it is cut to [0, 1], the object's coverage, its scale and its place."""
    place, zoom, turn = _RANGES[variation(position)]
    draw = pose(seed, position)
    scale = _RADIUS * zoom ** draw[0]
    shift = place * draw[1:3]
    view = _turns(turn * draw[3:]) @ _STANDING
    light, covered = _cast(object_parts(seed, position % N_OBJECTS), scale * view, shift)
    return light + (1 - covered) * _background(seed, position), covered, scale, shift


def _gray(scene: np.ndarray) -> np.ndarray:
    gray = np.rint(255 * np.clip(scene, 0, 1)).astype(np.uint8)
    gray.flags.writeable = False
    return gray


def _turns(degrees: np.ndarray | tuple[float, ...]) -> np.ndarray:
    """Return the rotation about x, then y, then z."""
    (ca, cb, cc), (sa, sb, sc) = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    about_x = np.array([[1, 0, 0], [0, ca, -sa], [0, sa, ca]])
    about_y = np.array([[cb, 0, sb], [0, 1, 0], [-sb, 0, cb]])
    about_z = np.array([[cc, -sc, 0], [sc, cc, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


# From the object's frame (forward, left, up) to the viewer's (right, up, towards the viewer).
_STANDING = (
    _turns((_FACING[0], 0, 0)) @ np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]) @ _turns((0, 0, _FACING[2]))
)


def _background(seed: int, position: int) -> np.ndarray:
    """Return noise whose amplitude falls as 1/f, mean 0.45 and sd 0.1, shape (128, 128)."""
    white = uniforms(seed, Stream.BACKGROUND, position, 0, SIZE * SIZE).reshape(SIZE, SIZE)
    frequency = np.hypot(fft.fftfreq(SIZE)[:, None], fft.rfftfreq(SIZE)[None, :])
    frequency[0, 0] = np.inf  # no mean
    noise = fft.irfft2(fft.rfft2(white) / frequency, s=white.shape)
    return 0.45 + 0.1 * noise / noise.std()


def _cast(parts: list[Part], view: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the light from the object and the share of each pixel that it covers, each (128, 128)."""
    depth = np.full((_FINE, _FINE), -np.inf)
    light = np.zeros((_FINE, _FINE))
    for part in parts:
        to_view = view @ _turns(part.turn) * part.half  # of the unit ball or cube
        centre = view @ part.centre
        centre[:2] += shift
        rows, columns = _window(part, to_view, centre)
        right, up = _GRID[columns], -_GRID[rows, None]
        if not (right.size and up.size):
            continue
        hit = _ball if part.shape == "ball" else _box
        near, shade = hit(np.linalg.inv(to_view), right - centre[0], up - centre[1])
        near += centre[2]
        front = near > depth[rows, columns]  # False where the ray misses: NaN
        depth[rows, columns][front] = near[front]
        light[rows, columns][front] = part.albedo * (_AMBIENT + (1 - _AMBIENT) * shade[front])
    covered = np.isfinite(depth).astype(float)
    return tuple(a.reshape(SIZE, 2, SIZE, 2).mean((1, 3)) for a in (light, covered))


def _window(part: Part, to_view: np.ndarray, centre: np.ndarray) -> tuple[slice, slice]:
    """Return the rows and columns that the part can touch."""
    across = to_view[:2]
    reach = np.sqrt((across**2).sum(1)) if part.shape == "ball" else np.abs(across).sum(1)
    low = np.array([-centre[1], centre[0]]) - reach[::-1]
    high = np.array([-centre[1], centre[0]]) + reach[::-1]
    first = np.clip(np.floor((low + 1) * SIZE), 0, _FINE).astype(int)
    last = np.clip(np.ceil((high + 1) * SIZE), 0, _FINE).astype(int)
    return slice(first[0], last[0]), slice(first[1], last[1])


def _ball(inverse: np.ndarray, right: np.ndarray, up: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return depth (NaN: missed) and cosine to the lamp where rays meet |inverse @ p| = 1 first."""
    # |o + s d|^2 = 1 along a ray with o in the plane of the image and d towards the viewer.
    quadric = inverse.T @ inverse
    along = quadric[2, 2]
    slope = quadric[0, 2] * right + quadric[1, 2] * up
    flat = quadric[0, 0] * right**2 + 2 * quadric[0, 1] * right * up + quadric[1, 1] * up**2
    inside = slope**2 - along * (flat - 1)
    root = np.sqrt(np.where(inside > 0, inside, np.nan))
    near = (root - slope) / along
    # The gradient of the quadric is the normal.
    x, y, z = (quadric[k, 0] * right + quadric[k, 1] * up + quadric[k, 2] * near for k in range(3))
    lit = (_LAMP[0] * x + _LAMP[1] * y + _LAMP[2] * z) / np.sqrt(x * x + y * y + z * z)
    return near, np.maximum(lit, 0)


def _box(inverse: np.ndarray, right: np.ndarray, up: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return depth (NaN: missed) and cosine to the lamp where rays meet max |inverse @ p| = 1 first."""
    toward = np.where(np.abs(inverse[:, 2]) < 1e-12, 1e-12, inverse[:, 2])
    normals = inverse * np.sign(toward)[:, None]
    cosines = np.maximum(normals @ _LAMP / np.linalg.norm(normals, axis=1), 0)
    near = np.full(np.broadcast_shapes(right.shape, up.shape), np.inf)
    far = np.full(near.shape, -np.inf)
    shade = np.zeros(near.shape)
    for k in range(3):
        middle = -(inverse[k, 0] * right + inverse[k, 1] * up) / toward[k]
        leave = middle + 1 / np.abs(toward[k])
        shade = np.where(leave < near, cosines[k], shade)
        near = np.minimum(near, leave)
        far = np.maximum(far, middle - 1 / np.abs(toward[k]))
    return np.where(near > far, near, np.nan), shade
