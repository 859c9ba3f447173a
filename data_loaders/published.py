"""Recordings that their authors have published: where they are, and how they come to this machine.

Plain values only; what downloads and reads is imported when it is asked for. The files of one recording lie
together, as their publisher calls them; those of BrainIO's layout share a folder, as they share stimuli.

References
----------
.. [1] Majaj, Hong, Solomon & DiCarlo (2015), J. Neurosci. 35:13402. doi:10.1523/JNEUROSCI.5181-14.2015
.. [2] Freeman, Ziemba, Heeger, Simoncelli & Movshon (2013), Nat. Neurosci. 16:974. doi:10.1038/nn.3402
.. [3] github.com/brain-score/vision, which gives identifiers and sha1 of the files and publishes them:
   ``brainscore_vision/data/majajhong2015`` and ``brainscore_vision/data/freemanziemba2013``.
   That names of files are made of identifiers as here is its loader's rule, ``data_helpers/s3.py``.
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
class File:
    """One file that is published: where, and its sha1."""

    url: str
    sha1: str

    @property
    def name(self) -> str:
        """What it is called, there and here."""
        return self.url.rpartition("/")[2]


@dataclass(frozen=True)
class Published:
    """One line of the table of published recordings, in BrainIO's layout.

    Attributes
    ----------
    assembly, table, images
        The responses; the table of the stimuli, as CSV; and their images, as zip.
    gigabytes
        That the responses take, about; None where that is not known.
    """

    assembly: File
    table: File
    images: File
    gigabytes: float | None = None

    @property
    def files(self) -> tuple[File, ...]:
        """All of them, the smallest first."""
        return self.table, self.images, self.assembly


def _assembly(identifier: str, sha1: str) -> File:
    return File(f"{_BRAINIO}/assy_{identifier.replace('.', '_')}.nc", sha1)


def _stimuli(identifier: str, csv: str, zipped: str) -> tuple[File, File]:
    place = f"{_BRAINIO}/stimulus_{identifier.replace('.', '_')}"
    return File(f"{place}.csv", csv), File(f"{place}.zip", zipped)


_HVM = _stimuli(
    "hvm-public", "5ca7a3da00d8e9c694a9cd725df5ba0ad6d735af", "8aa44e038d7b551efa8077467622f9d48d72e473"
)
_TEXTURES = _stimuli(
    "FreemanZiemba2013.aperture-public",
    "194c9b301a4e3e9cff02481d4c19b39331d52660",
    "3a6fec1fc28c212882d6833e267ea8654d289611",
)
PUBLISHED: dict[str, Published] = {
    "majaj2015": Published(
        _assembly("dicarlo.MajajHong2015.temporal.public", "093ac35b3e8464c676d24cf38238415d4d6a9448"),
        *_HVM,
        gigabytes=5.9,
    ),
    "majaj2015-static": Published(
        _assembly("dicarlo.MajajHong2015.public", "13d28ca0ce88ee550b54db3004374ae19096e9b9"),
        *_HVM,
        gigabytes=0.2,
    ),
    "freemanziemba2013": Published(
        _assembly("movshon.FreemanZiemba2013.public", "761c08f796db4e342555cdb60eef23a4f19ead43"),
        *_TEXTURES,
    ),
}
"""By the names that they have in the catalogue."""


def stored(name: str) -> Path | None:
    """Return the responses of this recording in the cache; None where a file lacks. Nothing is downloaded.

    Raises
    ------
    UnknownNameError
        If none is published by that name.
    """
    published, folder = _find(name), cache_folder.folder(*_FOLDER)
    whole = all(os.path.isfile(folder / file.name) for file in published.files)  # noqa: PTH113 - as in cache
    return folder / published.assembly.name if whole else None


def fetch(name: str, to: str | os.PathLike[str] | None = None, *, progress: bool = True) -> Path:
    """Download this recording, unless it is there; what is there is checked by its sha1.

    Parameters
    ----------
    name
        In `PUBLISHED`.
    to
        The folder to put it in; by default that of the cache, where its name finds it.
    progress
        Whether to show progress bars on stderr.

    Returns
    -------
    Path
        The file of the responses; the stimuli lie beside it.

    Raises
    ------
    UnknownNameError
        If none is published by that name.
    IntegrityError
        If it cannot be fetched or written, or is not what is published.
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
    """Return the open part of [1]_ in 39 windows of 20 ms, 10 ms apart, once it is fetched.

    Raises
    ------
    IntegrityError
        If it is not in the cache, or damaged.
    """
    return _load("majaj2015")


def majaj2015_static() -> Recording:
    """Return the open part of [1]_ in one window, 70-170 ms, once it is fetched; raises as `majaj2015`."""
    return _load("majaj2015-static")


def freemanziemba2013() -> Recording:
    """Return the open part of [2]_, once it is fetched; raises as `majaj2015`.

    Its bins of 1 ms are averaged to those of 10 ms that models step by: see `from_brainio`.
    """
    return _load("freemanziemba2013")


def _load(name: str) -> Recording:
    from dataclasses import replace

    from .brainio.recording import from_brainio

    path, size = stored(name), _find(name).gigabytes
    if path is None:
        about = f" (about {size:g} GB)" if size else ""
        raise IntegrityError(
            f"recording {name!r} is not in {cache_folder.folder(*_FOLDER)}: run `brainfit data fetch {name}`"
            f"{about}, or give the file itself, as in --recording PATH"
        )
    return replace(from_brainio(path, stimuli=path.with_name(_find(name).table.name)), name=name)


def _find(name: str) -> Published:
    if name not in PUBLISHED:
        raise unknown_name("published recording", name, PUBLISHED)
    return PUBLISHED[name]
