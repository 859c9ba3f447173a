"""Read all of an NWB file but its spikes: presentations, units and images."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from brainfit.errors import BrainfitError, ContractError, PluginError
from brainfit.support.messages import printable

from ..files.hdf5 import UNREADABLE, Hdf5File, unreadable
from .images import Templates, template_images
from .presentations import Presentations, find_presentations
from .units import Units, find_units


@dataclass(frozen=True)
class Tables:
    """Content of a file, except for its spikes.

    Attributes
    ----------
    presentations, units
        Results of `find_presentations` and `find_units`.
    templates
        Images in the file, or None if it has none or they were not asked for.
    animal
        Name of the animal.
    """

    presentations: Presentations
    units: Units
    templates: Templates | None
    animal: str


def read_tables(
    source: Hdf5File, presentations: str | None, with_templates: bool, declared: Mapping[str, str]
) -> Tables:
    """Return the tables of a file; raises as `from_nwb` does."""
    with _opened(source) as nwb:
        found = find_presentations(nwb, presentations)
        return Tables(
            found,
            find_units(nwb, declared),
            template_images(source, nwb, found.image_id) if with_templates else None,
            str(nwb.subject.subject_id or "unknown") if nwb.subject else "unknown",
        )


@contextmanager
def _opened(source: Hdf5File) -> Iterator[Any]:
    """Yield the content of a file as read by pynwb."""
    try:
        import pynwb
        from hdmf.build.errors import BuildError, ConstructError, ContainerConfigurationError
    except ImportError as error:
        raise PluginError(
            f'reading {printable(source.path, 300)} needs pynwb: pip install "brainfit[nwb]"'
        ) from error
    try:
        with warnings.catch_warnings(), source.opened() as file:
            warnings.simplefilter("ignore")  # about older versions of the format, which are read too
            with pynwb.NWBHDF5IO(file=file, mode="r") as io:
                yield io.read()
    except ContractError as error:
        if str(error).startswith(printable(source.path, 300)):
            raise
        raise ContractError(f"{printable(source.path, 300)}: {error}") from error
    except BrainfitError:
        raise
    except (*UNREADABLE, BuildError, ConstructError, ContainerConfigurationError) as error:
        raise unreadable(f"{source} as NWB", error) from error
