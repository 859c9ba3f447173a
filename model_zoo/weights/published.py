"""The table of published weights, and their way into the cache.

The table is plain values; downloading and converting code is imported on demand.

References
----------
.. [1] github.com/neuroailab/convrnns, the authors' checkpoints (TensorFlow) of Nayebi et al. (2018, 2022).
   They publish no hashes: see `brainfit.storage.checksums`.
.. [2] github.com/pytorch/vision, weights ``IMAGENET1K_V1``: He et al. (2016), arXiv:1512.03385.
   The file's name ends on the first digits of its sha256.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from brainfit.errors import IntegrityError
from brainfit.storage import cache_folder
from brainfit.support.messages import printable
from brainfit.support.suggestions import unknown_name

_CONVRNNS = "https://convrnnckpts.s3-us-west-1.amazonaws.com"
_TORCHVISION = "https://download.pytorch.org/models"
_CELLS = ("ugrnn", "intersectionrnn", "lstm", "gru", "simplernn", "timedecay")


@dataclass(frozen=True)
class PublishedWeights:
    """One line of the table of published weights.

    Attributes
    ----------
    model
        The model that they are for, by its name in the catalogue.
    files
        For each file its address and its sha256: in full, how it begins, or None where it is not published.
        The first is the one to convert; the others lie beside it.
    image_size
        In pixels, of the images that they were trained on.
    source
        Authors who trained them.
    """

    model: str
    files: tuple[tuple[str, str | None], ...]
    image_size: int = 224
    source: str = ""


def _checkpoint(name: str, model: str = "") -> dict[str, PublishedWeights]:
    ends = ("index", "data-00000-of-00001")
    files = tuple((f"{_CONVRNNS}/{name}/model.ckpt.{end}", None) for end in ends)
    return {
        name: PublishedWeights(
            model or name, files, source="Nayebi et al. 2022 (github.com/neuroailab/convrnns)"
        )
    }


def _torchvision(model: str, digits: str) -> dict[str, PublishedWeights]:
    files = ((f"{_TORCHVISION}/{model}-{digits}.pth", digits),)
    return {model: PublishedWeights(model, files, source="torchvision, IMAGENET1K_V1")}


PUBLISHED: dict[str, PublishedWeights] = {
    **_checkpoint("rgc_shallow"),
    **_checkpoint("rgc_intermediate"),
    **_checkpoint("rgc_intermediate_tmaxconf", "rgc_intermediate"),
    **_checkpoint("rgc_intermediate_dthresh", "rgc_intermediate"),
    **_checkpoint("rgc_intermediate_t22_tmaxconf", "rgc_intermediate_t22"),
    **{name: row for cell in _CELLS for name, row in _checkpoint(f"{cell}_shallow").items()},
    **{name: row for cell in _CELLS for name, row in _checkpoint(f"{cell}_intermediate").items()},
    **_checkpoint("ugrnn_intermediate_t30"),
    **_checkpoint("ugrnn_intermediate_t30_tmaxconf", "ugrnn_intermediate_t30"),
    **_checkpoint("ugrnn_intermediate_t30_dthresh", "ugrnn_intermediate_t30"),
    **_torchvision("resnet18", "f37072fd"),
    **_torchvision("resnet34", "b627a593"),
}
"""By the names that their authors gave them."""


def stored(name: str) -> Path | None:
    """Return the file of these weights in the cache; None where it is not there. Nothing is downloaded.

    Raises
    ------
    UnknownNameError
        If no weights are published by that name.
    IntegrityError
        If others can write to the folder.
    """
    _find(name)
    path = _place(name)
    if not os.path.isfile(path):  # noqa: PTH113 - unlike Path, it takes any name
        return None
    cache_folder.require_trusted("weights", name)
    return path


def fetch(name: str, *, progress: bool = True) -> Path:
    """Download these weights, unless the cache has them, and convert them for our model.

    The files that were downloaded are then removed. What they hashed to is kept: when they are fetched
    again they must be the same.

    Parameters
    ----------
    name
        In `PUBLISHED`.
    progress
        Show progress bars on stderr.

    Returns
    -------
    Path
        The converted file, in the cache: ``weights/<name>/<name>.safetensors``.

    Raises
    ------
    UnknownNameError
        If no weights are published by that name.
    IntegrityError
        If they cannot be fetched or written, or are not what they were.
    ContractError
        If they do not fit the model; the files stay where they are.
    """
    from filelock import FileLock

    from brainfit.registry.lookup import load_model
    from brainfit.storage.checksums import check_file, forget
    from brainfit.storage.download import download

    from .convert import convert
    from .file import read_info

    published, path = _find(name), _place(name)
    if stored(name) is None:
        with cache_folder.writing("weights", name) as folder, FileLock(folder / "convert.lock", timeout=1800):
            if stored(name) is None:
                originals = [folder / PurePosixPath(url).name for url, _ in published.files]
                unseen = [
                    original
                    for original in originals
                    if not (original.exists() or original.with_name(f"{original.name}.sha256").exists())
                ]
                for original, (url, sha256) in zip(originals, published.files, strict=True):
                    download(url, original, sha256=sha256, progress=progress)
                model = load_model(published.model, image_size=published.image_size)
                forget(path)
                address = published.files[0][0]
                try:
                    convert(originals[0], model, path, origin=address, image_size=published.image_size)
                except IntegrityError as error:
                    # A server that answers with a page of its own is not to be trusted from then on.
                    for original in unseen:
                        original.unlink()
                        forget(original)
                    raise IntegrityError(
                        f"{address} did not send weights: {error}; fetch them again when the network lets "
                        "you through"
                    ) from error
                for original in originals:
                    original.unlink()
    if (model := read_info(path).model) != published.model:
        raise IntegrityError(
            f"{path} has weights of model {printable(repr(model))}, wanted {published.model!r}; "
            "delete it, and fetch it again"
        )
    check_file(path)
    return path


def _find(name: str) -> PublishedWeights:
    if name not in PUBLISHED:
        raise unknown_name("published weights", name, PUBLISHED)
    return PUBLISHED[name]


def _place(name: str) -> Path:
    return cache_folder.folder("weights", name) / f"{name}.safetensors"
