"""A folder of features: one file for each layer and batch, found by content, and never more than a limit.

    <key>.shard          what a layer did for a batch of images: see `brainfit.features.shards`
    .<key>.shard.….part  one that is being written, or whose writer was killed
    .lock                held by the one process that removes files

Whoever writes, writes under a name of its own and renames it, so any number of processes may read and write
at once; two that compute the same write the same. What was least recently used is removed first.
"""

from __future__ import annotations

import logging
import math
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from filelock import FileLock

from brainfit.contracts.trajectory import Trajectory
from brainfit.errors import IntegrityError
from brainfit.features.shards import PART, read_shard, write_shard
from brainfit.storage import cache_folder
from brainfit.storage.size_limit import size_limit
from brainfit.support.messages import reason

FOLDER = "features"
SUFFIX = ".shard"
STALE_S = 3600
"""A file that was begun and not touched for so long belongs to a process that was killed."""
GROUP = 16
"""Characters of a key that the batches of one layer share: of what the key says beside the images."""
_SLACK = 0.02  # of the limit
_HEADER = 256  # bytes that a file has for each block beside its features, at most
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shard:
    """A file of the store.

    Attributes
    ----------
    path
        Where it is.
    size
        In bytes.
    used
        When it was last written or read, in seconds since 1970.
    """

    path: Path
    size: int
    used: float


class FeatureStore:
    """Features in a folder.

    Parameters
    ----------
    folder
        It need not be there.
    limit
        The most that it may hold, in bytes.
    advice
        What a user can do where it cannot be written.
    durable
        Whether what was written must outlast a loss of power.
    """

    def __init__(self, folder: Path, limit: float, advice: str, *, durable: bool = True) -> None:
        self.folder = folder
        self.limit = limit
        self._advice = advice
        self._durable = durable
        self._used_here: set[str] = set()  # files that this object read or wrote: not removed for room
        self._spared: tuple[str, ...] = ()  # how keys of the layers at work begin: removed last
        self._left = 0.0  # bytes that may be written before the folder is looked through again

    def prepare(self, keys: Iterable[str] = ()) -> None:
        """Make sure, before any work, that the folder can be written, and clear what killed processes left.

        Parameters
        ----------
        keys
            What begins as one of these does, to `GROUP` characters, is removed only if nothing else is left.

        Raises
        ------
        IntegrityError
            If it cannot.
        """
        self._spared = tuple(key[:GROUP] for key in keys)
        with self._writing():
            self.folder.mkdir(parents=True, exist_ok=True)
            probe = self.folder / f".{uuid4().hex}{PART}"
            probe.write_bytes(b"brainfit")
            probe.unlink()
            for item in self.folder.glob(f".*{PART}"):
                with suppress(FileNotFoundError):
                    # Both ways: a clock may have been wrong.
                    if abs(time.time() - item.stat().st_mtime) > STALE_S:
                        item.unlink()

    def get(self, key: str) -> Trajectory | None:
        """Return what was kept under `key`; None where nothing is, or what is there is damaged."""
        path = self._path(key)
        try:
            found = read_shard(path, key)
        except FileNotFoundError:
            return None
        except OSError as error:
            why = str(error) if isinstance(error, IntegrityError) else reason(error)
            _log.warning("kept features are damaged, and are computed again: %s: %s", path, why)
            with suppress(OSError):
                path.unlink()
            return None
        with suppress(OSError):
            os.utime(path)
        self._used_here.add(path.name)
        return found

    def size_of(self, key: str) -> int | None:
        """Return the bytes that are kept under `key`; None where there is nothing."""
        try:
            return self._path(key).stat().st_size
        except OSError:
            return None

    def put(self, key: str, trajectory: Trajectory) -> None:
        """Keep a trajectory under `key`, unless what this object has used takes all of the limit.

        Raises
        ------
        IntegrityError
            If the disk is full, or fails.
        """
        path = self._path(key)
        self._used_here.add(path.name)
        size = sum(block.nbytes + _HEADER for block in trajectory.blocks) + _HEADER
        with self._writing():
            for last in (False, True):
                try:
                    if self._left >= size or self._trim(size):
                        self._left -= write_shard(path, key, trajectory, durable=self._durable)
                    return
                except FileNotFoundError:  # somebody has cleared the folder meanwhile
                    if last:
                        raise
                    self.folder.mkdir(parents=True, exist_ok=True)

    def room(self) -> float:
        """Return how many bytes a run may use, if all that is kept of others is removed for it."""
        with self._writing():
            free = shutil.disk_usage(self.folder).free
        return min(self.limit, free + sum(shard.size for shard in self.shards()))

    def close(self) -> None:
        """Keep to the limit: from now on, what was read or written here may be removed, too."""
        self._used_here.clear()
        with self._writing():
            self._trim(0)

    def _trim(self, wanted: int) -> bool:
        """Remove what was least recently used until `wanted` bytes are left of the limit and the disk.

        Where anything must go, a little more goes, so that it need not be looked for each time. What this
        object has used stays. Returns whether the limit, at least, leaves so much.
        """
        with FileLock(self.folder / ".lock"):
            shards = self.shards()
            within = self.limit - sum(shard.size for shard in shards)
            excess = wanted - min(within, shutil.disk_usage(self.folder).free)
            if excess > 0 and math.isfinite(self.limit):
                excess += self.limit * _SLACK
            others = [shard for shard in shards if shard.path.name not in self._used_here]
            for shard in sorted(others, key=lambda shard: shard.path.name.startswith(self._spared)):
                if excess <= 0:
                    break
                if shard.path.suffix == SUFFIX:
                    shard.path.unlink(missing_ok=True)
                    excess -= shard.size
                    within += shard.size
            self._left = min(within, shutil.disk_usage(self.folder).free)
        return within >= wanted

    def shards(self) -> list[Shard]:
        """Return what is kept, finished or not, least recently used first."""
        found = []
        with suppress(FileNotFoundError):
            for item in os.scandir(self.folder):
                if item.name.endswith((SUFFIX, PART)):
                    with suppress(FileNotFoundError):  # another process may remove it
                        facts = item.stat()
                        found.append(Shard(Path(item.path), facts.st_size, facts.st_mtime))
        return sorted(found, key=lambda shard: (shard.used, shard.path.name))

    def clear(self) -> int:
        """Remove all that is kept, and return how many bytes that were.

        Raises
        ------
        IntegrityError
            If something cannot be removed.
        """
        if not self.folder.is_dir():
            return 0
        with self._writing(), FileLock(self.folder / ".lock"):
            shards = self.shards()
            for shard in shards:
                shard.path.unlink(missing_ok=True)
        return sum(shard.size for shard in shards)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{SUFFIX}"

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, NotImplementedError) as error:  # the latter where files cannot be locked
            raise IntegrityError(
                f"cannot write features to {self.folder}: {reason(error)}; {self._advice}"
            ) from error


def open_store() -> FeatureStore:
    """Return the store in the cache; it may not be there yet."""
    advice = (
        f"free some space and ask again (it goes on where it ended), set {cache_folder.VARIABLE} to another folder, "
        "or keep nothing (--no-cache, cache=False)"
    )
    return FeatureStore(cache_folder.folder(FOLDER), size_limit(), advice)


@contextmanager
def temporary_store() -> Iterator[FeatureStore]:
    """Give a store of any size that is gone after the block.

    Raises
    ------
    IntegrityError
        If there is no temporary folder that can be written.
    """
    advice = "free some space, or set TMPDIR to another folder"
    try:
        folder = tempfile.TemporaryDirectory(prefix="brainfit-", ignore_cleanup_errors=True)
    except OSError as error:
        raise IntegrityError(f"cannot make a temporary folder: {reason(error)}; {advice}") from error
    with folder as name:
        yield FeatureStore(Path(name), math.inf, advice, durable=False)
