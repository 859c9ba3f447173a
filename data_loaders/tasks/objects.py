"""Name rendered objects: an endless task that needs no download.

The 64 objects of `data_loaders.simulated` are rendered once, as *sprites* (light and coverage), each in many
poses, and kept in the cache. An example puts a sprite at a random place over noise with a 1/f spectrum. Its
random numbers are named by the seed, the split and the position of the example, so example k is always the
same image and there is no last one. Validation has sprites in poses, at places and on backgrounds that
training never shows.

Difficulty is set by `clutter` (objects behind the one to name), `occlusion` (an object in front of it) and
`noise`.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy import fft
from PIL import Image

from brainfit.errors import ContractError
from brainfit.storage import cache_folder
from brainfit.storage.atomic_files import replaced
from brainfit.support.arguments import number, one_of, whole_number

from ..simulated.objects import N_CATEGORIES, N_OBJECTS, object_names
from ..simulated.render import SIZE, cast_object

_FORMAT = 1
_SPLITS = ("train", "val")
_N_TILES, _TILE = 16, 512
_ZOOM, _TURN, _PLACE = 1.3, 60.0, 0.35
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Objects:
    """The task of naming rendered objects; satisfies `brainfit.contracts.task.Task`.

    Parameters
    ----------
    image_size
        Pixels a side, from 16 to 128.
    n_train, n_val
        Images an epoch, each of them new, and validation images, always the same.
    label
        ``"object"`` for 64 classes, ``"category"`` for 8.
    sprites
        Number of poses in which each object is rendered for training; validation has a quarter as many.
    clutter
        Number of other objects behind the one to name.
    occlusion
        Share of images in which another object stands in front, in [0, 1].
    noise
        Standard deviation of the noise added to each pixel, in [0, 1].
    seed
        Seed of objects, poses, places and backgrounds.

    Raises
    ------
    ContractError
        If a value is out of its range.
    """

    image_size: int = 96
    n_train: int = 51_200
    n_val: int = 2_048
    label: str = "object"
    sprites: int = 128
    clutter: int = 0
    occlusion: float = 0.0
    noise: float = 0.0
    seed: int = 0
    name: str = field(default="objects", init=False)

    def __post_init__(self) -> None:
        for key, least in (("n_train", 1), ("n_val", 1), ("sprites", 4), ("clutter", 0), ("seed", 0)):
            whole_number(key, getattr(self, key), least)
        if not 16 <= whole_number("image_size", self.image_size, 16) <= SIZE:
            raise ContractError(
                f"image_size of the task objects is a whole number from 16 to {SIZE}, got {self.image_size}"
            )
        one_of("label", self.label, ("object", "category"))
        for key in ("occlusion", "noise"):
            number(key, getattr(self, key), 0, 1)

    @cached_property
    def classes(self) -> Sequence[str]:
        """Names of the objects or of the categories."""
        names = object_names()
        return tuple(name for name, _ in names) if self.label == "object" else tuple(
            category for _, category in names[:N_CATEGORIES]
        )  # fmt: skip

    @cached_property
    def content(self) -> str:
        """Hash of all that decides the images."""
        return hashlib.sha256(json.dumps([_FORMAT, asdict(self)], sort_keys=True).encode()).hexdigest()

    def train_example(self, epoch: int, position: int) -> tuple[np.ndarray, int]:
        """Return a training image, uint8, shape (1, image_size, image_size), and its class."""
        return self._example(0, epoch * self.n_train + position)

    def val_example(self, position: int) -> tuple[np.ndarray, int]:
        """Return a validation image, uint8, shape (1, image_size, image_size), and its class."""
        return self._example(1, position)

    def prepare(self) -> None:
        """Render the sprites that the cache lacks; half a minute of one core, once."""
        for split in _SPLITS:
            self._sprites(split)

    def _example(self, split: int, index: int) -> tuple[np.ndarray, int]:
        rng = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 0, index, 1 + split]))
        sprites, tiles = self._pool[split], self._tiles[split::2]
        shown = int(rng.integers(N_OBJECTS))
        row, column = rng.integers(_TILE - self.image_size, size=2)
        tile = tiles[rng.integers(len(tiles))]
        image = tile[row : row + self.image_size, column : column + self.image_size].copy()
        for _ in range(self.clutter):
            self._draw(image, sprites, self._other(rng, shown), rng, reach=0.8)
        self._draw(image, sprites, shown, rng, reach=_PLACE)
        if rng.random() < self.occlusion:
            self._draw(image, sprites, self._other(rng, shown), rng, reach=0.6)
        if self.noise:
            image += 255 * self.noise * rng.standard_normal(image.shape, np.float32)
        pixels = np.clip(image + 0.5, 0, 255).astype(np.uint8)
        return pixels[None], shown if self.label == "object" else shown % N_CATEGORIES

    @staticmethod
    def _other(rng: np.random.Generator, shown: int) -> int:
        """Return an object of another category."""
        return (shown + 1 + int(rng.integers(N_CATEGORIES - 1))) % N_OBJECTS

    def _draw(
        self, image: np.ndarray, sprites: np.ndarray, which: int, rng: np.random.Generator, reach: float
    ) -> None:
        """Put a sprite of an object in front of what is in `image`, shifted by up to `reach` half images."""
        light, covered = sprites[which, rng.integers(sprites.shape[1])]
        most = int(reach * self.image_size / 2)
        down, right = (int(step) for step in rng.integers(-most, most + 1, size=2))
        to = tuple(slice(max(0, k), self.image_size + min(0, k)) for k in (down, right))
        of = tuple(slice(max(0, -k), self.image_size + min(0, -k)) for k in (down, right))
        image[to] *= 1 - covered[of] * np.float32(1 / 255)
        image[to] += light[of]

    @cached_property
    def _pool(self) -> tuple[np.ndarray, np.ndarray]:
        return self._sprites("train"), self._sprites("val")

    @cached_property
    def _tiles(self) -> np.ndarray:
        """Return 1/f noise, mean .45 and sd .1 of 255, (tile, row, column); training has the even ones."""
        frequency = np.hypot(fft.fftfreq(_TILE)[:, None], fft.rfftfreq(_TILE)[None, :])
        frequency[0, 0] = np.inf
        white = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 0, 0, 9])).random(
            (_N_TILES, _TILE, _TILE)
        )
        noise = fft.irfft2(fft.rfft2(white) / frequency, s=white.shape[1:])
        noise /= noise.std(axis=(1, 2), keepdims=True)
        return (255 * (0.45 + 0.1 * noise)).astype(np.float32)

    def _sprites(self, split: str) -> np.ndarray:
        """Return light and coverage of all poses, uint8, (object, pose, 2, row, column), from the cache."""
        n_poses = self.sprites if split == "train" else max(1, self.sprites // 4)
        facts = [_FORMAT, self.seed, split, n_poses, self.image_size]
        key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
        with cache_folder.writing("tasks", f"objects-{key}") as folder:
            missing = [
                k for k in range(N_OBJECTS) if not _is_whole(folder / f"{k}.npy", n_poses, self.image_size)
            ]
            if missing:
                _log.info("rendering %d objects in %d poses for the task objects", len(missing), n_poses)
                for k in missing:
                    rendered = _render(self.seed, k, split, n_poses, self.image_size)
                    with replaced(folder / f"{k}.npy") as new, new.open("wb") as file:
                        np.save(file, rendered)
            return np.stack([np.load(folder / f"{k}.npy") for k in range(N_OBJECTS)])


def _is_whole(path: Path, n_poses: int, size: int) -> bool:
    """Return True if the file holds sprites of that shape."""
    try:
        return np.load(path, mmap_mode="r").shape == (n_poses, 2, size, size)
    except (OSError, ValueError, EOFError):
        return False


def _render(seed: int, number: int, split: str, n_poses: int, size: int) -> np.ndarray:
    """Return light and coverage of an object in random poses, uint8, shape (pose, 2, size, size)."""
    rng = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, number, 20 + _SPLITS.index(split)]))
    sprites = np.empty((n_poses, 2, size, size), np.uint8)
    for pose in range(n_poses):
        zoom, *turns = 2 * rng.random(4) - 1
        drawn = cast_object(seed, number, _ZOOM**zoom, _TURN * np.array(turns))
        for k, plane in enumerate(drawn):
            resized = Image.fromarray(plane.astype(np.float32)).resize((size, size), Image.Resampling.BOX)
            sprites[pose, k] = np.rint(255 * np.clip(np.asarray(resized), 0, 1))
    return sprites
