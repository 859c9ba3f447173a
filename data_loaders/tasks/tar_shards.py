"""Images in tar files, as WebDataset writes them: ``train/*.tar`` and ``val/*.tar``.

A sample is an image and a file of the same name that ends on ``.cls`` and has the class as text; other files
are left out. Where each image lies in its shard is found once and kept in the cache, and images are then read
at their place: so any image can be asked for by its position, which an exact resume needs and a stream of
samples does not allow.

References
----------
.. [1] The format: https://github.com/webdataset/webdataset
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from brainfit.errors import ContractError, IntegrityError
from brainfit.storage import cache_folder
from brainfit.storage.atomic_files import replaced
from brainfit.support.arguments import whole_number
from brainfit.support.messages import printable, reason

from .crops import SUFFIXES, check_sizes, training_crop, validation_crop

_CLASS = ".cls"
_LONGEST_CLASS = 200  # bytes
_FORMAT = 1
Sample = tuple[str, int, int, str]
"""Name of an image, its first byte in the shard, its number of bytes, and its class."""


@dataclass(frozen=True)
class TarShards:
    """A task in tar files; satisfies `brainfit.contracts.task.Task`. `tar_shards` makes one.

    Attributes
    ----------
    folder
        The folder with ``train`` and ``val``.
    image_size
        Pixels a side.
    classes
        Texts of the classes, sorted; by value if all of them are whole numbers.
    train, val
        Shard below `folder`, name, first byte and number of bytes of each image, and its class.
    content
        Hash of all names, sizes and classes.
    seed
        Seed of crops and flips.
    """

    folder: Path
    image_size: int
    classes: Sequence[str]
    train: Sequence[tuple[str, str, int, int, int]]
    val: Sequence[tuple[str, str, int, int, int]]
    content: str
    seed: int = 0
    name: str = field(default="tar", init=False)

    @property
    def n_train(self) -> int:
        """Number of training images."""
        return len(self.train)

    @property
    def n_val(self) -> int:
        """Number of validation images."""
        return len(self.val)

    def train_example(self, epoch: int, position: int) -> tuple[np.ndarray, int] | None:
        """Return a random crop of a training image, uint8, shape (3, size, size), and its class."""
        shard, name, first, length, label = self.train[position]
        image = _open(self.folder / shard, first, length)
        pixels = training_crop(image, f"{name} of {shard}", self.image_size, (self.seed, epoch, position))
        return None if pixels is None else (pixels, label)

    def val_example(self, position: int) -> tuple[np.ndarray, int] | None:
        """Return the centre of a validation image, uint8, shape (3, size, size), and its class."""
        shard, name, first, length, label = self.val[position]
        pixels = validation_crop(
            _open(self.folder / shard, first, length), f"{name} of {shard}", self.image_size
        )
        return None if pixels is None else (pixels, label)


def tar_shards(folder: str | os.PathLike[str], image_size: int = 128, seed: int = 0) -> TarShards:
    """Return the task of the images in the tar files of a folder.

    Parameters
    ----------
    folder
        A folder with ``train/*.tar`` and ``val/*.tar``.
    image_size
        Pixels a side.
    seed
        Seed of crops and flips.

    Raises
    ------
    IntegrityError
        If the folder or a shard cannot be read.
    ContractError
        If there are no images, an image has no class, there are fewer than two classes, a class has images in
        one part only, or most images are smaller than `image_size`. Single ones that are smaller are
        enlarged.
    """
    root, size = Path(folder), whole_number("image_size", image_size, least=8)
    found = {part: _samples(root, part) for part in ("train", "val")}
    named = {part: {text for *_, text in rows} for part, rows in found.items()}
    whole = all(text.isdecimal() for text in named["train"])
    classes = sorted(named["train"], key=(lambda text: (int(text), text)) if whole else None)
    if len(classes) < 2:
        raise ContractError(
            f"{printable(root / 'train')} has images of {len(classes)} class{'es' * (len(classes) != 1)}; "
            "wanted shards with images of two classes or more"
        )
    if odd := sorted(named["train"] ^ named["val"]):
        listed = ", ".join(map(printable, odd[:5])) + (", …" if len(odd) > 5 else "")
        raise ContractError(f"{len(odd)} classes have images in only one of train and val: {listed}")
    numbers = {text: k for k, text in enumerate(classes)}
    content = hashlib.sha256()
    for rows in found.values():
        for shard, name, _, length, text in rows:
            content.update(f"{shard}\0{name}\0{length}\0{text}\n".encode("utf-8", "surrogateescape"))
    parts = {part: [(*row[:4], numbers[row[4]]) for row in rows] for part, rows in found.items()}
    for part, rows in parts.items():
        check_sizes(printable(root / part), len(rows), partial(_open_row, root, rows), size)
    return TarShards(root, size, tuple(classes), parts["train"], parts["val"], content.hexdigest(), seed)


def _samples(root: Path, part: str) -> list[tuple[str, str, int, int, str]]:
    """Return shard, name, first byte, number of bytes and class of every image of a part."""
    try:
        shards = sorted(entry.name for entry in os.scandir(root / part) if entry.name.endswith(".tar"))
    except OSError as error:
        raise IntegrityError(
            f"cannot read {printable(root / part)}: {reason(error)}; wanted a folder with train/*.tar and "
            "val/*.tar"
        ) from error
    if not shards:
        raise ContractError(f"{printable(root / part)} has no .tar file; wanted shards of WebDataset")
    return [(f"{part}/{shard}", *row) for shard in shards for row in _indexed(root / part / shard)]


def _indexed(path: Path) -> list[Sample]:
    """Return the samples of a shard, from the cache if the file has not changed since."""
    facts = path.stat()
    key = json.dumps([_FORMAT, str(path.resolve()), facts.st_size, facts.st_mtime_ns])
    name = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:24]
    with cache_folder.writing("tasks", "tar") as folder:
        kept = folder / f"{name}.json"
        try:
            return [(image, first, size, text) for image, first, size, text in json.loads(kept.read_text())]
        except (OSError, ValueError, TypeError):
            found = _index(path)
            with replaced(kept) as new:
                new.write_text(json.dumps(found))
            return found


def _index(path: Path) -> list[Sample]:
    """Return the samples of a shard, in its order."""
    images: dict[str, tuple[str, int, int]] = {}
    texts: dict[str, str] = {}
    try:
        with tarfile.open(path, "r:") as shard:
            for member in shard:
                if not member.isreg():
                    continue
                folder, _, file = member.name.rpartition("/")
                stem, _, ending = file.partition(".")
                sample, suffix = f"{folder}/{stem}", f".{ending.lower()}"
                if (
                    suffix == _CLASS
                    and member.size <= _LONGEST_CLASS
                    and (opened := shard.extractfile(member))
                ):
                    texts[sample] = opened.read().decode("utf-8", "replace").strip()
                elif suffix in SUFFIXES:
                    images[sample] = member.name, member.offset_data, member.size
    except (OSError, tarfile.TarError) as error:
        raise IntegrityError(
            f"cannot read the shard {printable(path)}: {reason(error)}; wanted a tar file that is not "
            "compressed"
        ) from error
    if without := [sample for sample in images if not texts.get(sample)]:
        raise ContractError(
            f"{len(without)} images of {printable(path)} have no class, the first is "
            f"{printable(images[without[0]][0])}; wanted a file {printable(without[0])}{_CLASS} beside it"
        )
    return [(*images[sample], texts[sample]) for sample in images]


def _open_row(root: Path, rows: Sequence[tuple[str, str, int, int, int]], position: int) -> io.BytesIO:
    shard, _, first, length, _ = rows[position]
    return _open(root / shard, first, length)


def _open(path: Path, first: int, length: int) -> io.BytesIO:
    """Return the bytes of an image; none if the shard is no longer there, which no image can be made of."""
    try:
        with path.open("rb") as file:
            file.seek(first)
            return io.BytesIO(file.read(length))
    except OSError:
        return io.BytesIO()
