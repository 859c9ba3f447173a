"""Fetch and load recordings that their authors have published.

The table holds plain values; code that downloads or reads is imported when it is used. Files keep the names
that their publisher gave them. All recordings in BrainIO's layout lie in one folder, because they share
stimuli.

References
----------
.. [1] Majaj, Hong, Solomon & DiCarlo (2015), J. Neurosci. 35:13402. doi:10.1523/JNEUROSCI.5181-14.2015
.. [2] Freeman, Ziemba, Heeger, Simoncelli & Movshon (2013), Nat. Neurosci. 16:974. doi:10.1038/nn.3402
.. [3] github.com/brain-score/vision, which publishes the files, their identifiers and their sha1:
   ``brainscore_vision/data/majajhong2015`` and ``brainscore_vision/data/freemanziemba2013``. File names are
   made from identifiers as in its ``data_helpers/s3.py``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from brainfit.errors import IntegrityError
from brainfit.storage import cache_folder
from brainfit.support.suggestions import unknown_name

if TYPE_CHECKING:
    from brainfit.contracts.recording import Recording

_BRAINIO = "https://brainscore-storage.s3.amazonaws.com/brainio-brainscore"
_FOLDER = ("recordings", "brainio")


@dataclass(frozen=True)
class PublishedFile:
    """Address and sha1 of a published file."""

    url: str
    sha1: str

    @property
    def name(self) -> str:
        """Name of the file, at its publisher and here."""
        return self.url.rpartition("/")[2]


@dataclass(frozen=True)
class PublishedRecording:
    """Files of a published recording in BrainIO's layout.

    Attributes
    ----------
    assembly
        Responses.
    table
        Table of the stimuli, as CSV.
    images
        Images of the stimuli, as zip.
    gigabytes
        Approximate size of the responses, or None if it is not known.
    """

    assembly: PublishedFile
    table: PublishedFile
    images: PublishedFile
    gigabytes: float | None = None

    @property
    def files(self) -> tuple[PublishedFile, ...]:
        """All files, the smallest first."""
        return self.table, self.images, self.assembly


def _assembly(identifier: str, sha1: str) -> PublishedFile:
    return PublishedFile(f"{_BRAINIO}/assy_{identifier.replace('.', '_')}.nc", sha1)


def _stimuli(identifier: str, csv: str, zipped: str) -> tuple[PublishedFile, PublishedFile]:
    place = f"{_BRAINIO}/stimulus_{identifier.replace('.', '_')}"
    return PublishedFile(f"{place}.csv", csv), PublishedFile(f"{place}.zip", zipped)


_HVM = _stimuli(
    "hvm-public", "5ca7a3da00d8e9c694a9cd725df5ba0ad6d735af", "8aa44e038d7b551efa8077467622f9d48d72e473"
)
_TEXTURES = _stimuli(
    "FreemanZiemba2013.aperture-public",
    "194c9b301a4e3e9cff02481d4c19b39331d52660",
    "3a6fec1fc28c212882d6833e267ea8654d289611",
)
PUBLISHED: dict[str, PublishedRecording] = {
    "majaj2015": PublishedRecording(
        _assembly("dicarlo.MajajHong2015.temporal.public", "093ac35b3e8464c676d24cf38238415d4d6a9448"),
        *_HVM,
        gigabytes=5.9,
    ),
    "majaj2015-static": PublishedRecording(
        _assembly("dicarlo.MajajHong2015.public", "13d28ca0ce88ee550b54db3004374ae19096e9b9"),
        *_HVM,
        gigabytes=0.2,
    ),
    "freemanziemba2013": PublishedRecording(
        _assembly("movshon.FreemanZiemba2013.public", "761c08f796db4e342555cdb60eef23a4f19ead43"),
        *_TEXTURES,
    ),
}
"""Published recordings by their names in the catalogue."""


def stored(name: str) -> Path | None:
    """Return the path of a recording's responses in the cache, or None if a file is missing there.

    Nothing is downloaded, and no file is read.

    Raises
    ------
    UnknownNameError
        If no recording of that name is published.
    """
    published, folder = _find(name), cache_folder.folder(*_FOLDER)
    whole = all(os.path.isfile(folder / file.name) for file in published.files)  # noqa: PTH113 - as in cache
    return folder / published.assembly.name if whole else None


def fetch(name: str, to: str | os.PathLike[str] | None = None, *, progress: bool = True) -> Path:
    """Download a recording, except for files that are there and have the published sha1.

    Parameters
    ----------
    name
        Key in `PUBLISHED`.
    to
        Folder for the files. By default a folder of the cache, where the recording is found by its name.
    progress
        True to show progress bars on stderr.

    Returns
    -------
    Path
        Path of the responses; the stimuli lie beside them.

    Raises
    ------
    UnknownNameError
        If no recording of that name is published.
    IntegrityError
        If a file cannot be fetched or written, or differs from what is published.
    """
    from brainfit.storage.download import download

    published = _find(name)
    if to is not None:
        for file in published.files:
            download(file.url, Path(to) / file.name, sha1=file.sha1, progress=progress)
        return Path(to) / published.assembly.name
    with cache_folder.writing(*_FOLDER) as folder:
        return fetch(name, folder, progress=progress)


def majaj2015() -> Recording:
    """Return the open part of [1]_ in 39 windows of 20 ms, 10 ms apart, from the cache.

    Raises
    ------
    IntegrityError
        If it has not been fetched, or a file is not the published one.
    """
    return _load("majaj2015")


def majaj2015_static() -> Recording:
    """Return the open part of [1]_ in one window, 70-170 ms, from the cache; raises as `majaj2015`."""
    return _load("majaj2015-static")


def freemanziemba2013() -> Recording:
    """Return the open part of [2]_ from the cache; raises as `majaj2015`.

    Its bins of 1 ms are averaged to bins of 10 ms, the step of models (`from_brainio`).
    """
    return _load("freemanziemba2013")


def _load(name: str) -> Recording:
    """Return a recording from the cache, once its files are known to be the published ones."""
    from dataclasses import replace

    from brainfit.storage.checksums import check_file

    from .brainio.recording import from_brainio

    path, published = stored(name), _find(name)
    if path is None:
        about = f" (about {published.gigabytes:g} GB)" if published.gigabytes else ""
        raise IntegrityError(
            f"recording {name!r} is not in {cache_folder.folder(*_FOLDER)}: run `brainfit data fetch {name}`"
            f"{about}, or give the file itself, as in --recording PATH"
        )
    for file in published.files:
        check_file(path.with_name(file.name), sha1=file.sha1)
    return replace(from_brainio(path, stimuli=path.with_name(published.table.name)), name=name)


def _find(name: str) -> PublishedRecording:
    if name not in PUBLISHED:
        raise unknown_name("published recording", name, PUBLISHED)
    return PUBLISHED[name]
