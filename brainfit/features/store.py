"""A folder of cached features: one file for each layer and batch, found by content, up to a size limit.

    <key>.shard            features of one layer for a batch of images; see `brainfit.features.shards`
    .<random letters>.part a file that is being written, or whose writer was killed
    .lock                  lock held by the process that removes files

Every writer uses a random name and renames the file when it is whole, so any number of processes can read and
write at once; two that compute the same features write the same bytes. The least recently used files are
removed first. Several users can share a folder: a file that one of them cannot read is left alone.
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
"""Age in seconds from which an unfinished file is taken for that of a killed process."""
LOCK_S = 300
"""Time in seconds to wait for a process that removes files."""
GROUP = 16
"""Length of the start of a key that all batches of one layer share."""
_SLACK = 0.02  # share of the limit that is freed beyond what is needed
_HEADER = 256  # upper bound on the bytes of a file for each block beside its features
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shard:
    """A file of the store.

    Attributes
    ----------
    path
        Path of the file.
    size
        Size in bytes.
    used
        Time of the last writing or reading, in seconds since 1970.
    """

    path: Path
    size: int
    used: float


class FeatureStore:
    """Features in a folder.

    Parameters
    ----------
    folder
        Path of the folder; it is made when needed.
    limit
        Upper limit of its size, in bytes.
    advice
        Advice to the user if it cannot be written.
    durable
        True if written files must survive a loss of power.
    """

    def __init__(self, folder: Path, limit: float, advice: str, *, durable: bool = True) -> None:
        self.folder = folder
        self.limit = limit
        self._advice = advice
        self._durable = durable
        self._used_here: set[str] = set()  # files that this object read or wrote, not removed for room
        self._unreadable: set[str] = set()  # files that could not be read, neither removed nor replaced
        self._spared: tuple[str, ...] = ()  # starts of the keys of the current layers, removed last
        self._left = 0.0  # bytes that may be written before the folder is listed again

    def prepare(self, keys: Iterable[str] = ()) -> None:
        """Check, before any work, that the folder can be written, and remove files of killed processes.

        Parameters
        ----------
        keys
            Keys of the current layers; files whose first `GROUP` characters are theirs are removed last.

        Raises
        ------
        IntegrityError
            If the folder cannot be written.
        """
        self._spared = tuple(key[:GROUP] for key in keys)
        with self._writing():
            self.folder.mkdir(parents=True, exist_ok=True)
            probe = self.folder / f".{uuid4().hex}{PART}"
            probe.write_bytes(b"brainfit")
            probe.unlink()
            for item in self.folder.glob(f".*{PART}"):
                with suppress(FileNotFoundError):
                    # A clock that was wrong may have given a time in the future.
                    if abs(time.time() - item.stat().st_mtime) > STALE_S:
                        item.unlink()

    def get(self, key: str) -> Trajectory | None:
        """Return the trajectory kept under `key`; None if there is none, it is damaged or cannot be read.

        A damaged file is removed. A file that cannot be read now, because of a failing disk or another user's
        permissions, may well be whole: it stays.
        """
        path = self._path(key)
        try:
            found = read_shard(path, key)
        except FileNotFoundError:
            return None
        except IntegrityError as error:
            _log.warning("cached features are damaged, and are computed again: %s: %s", path, error)
            with suppress(OSError):
                path.unlink()
            return None
        except OSError as error:
            if not self._unreadable:  # one line for all files
                _log.warning("cached features cannot be read, and are computed: %s: %s", path, reason(error))
            self._unreadable.add(path.name)
            return None
        with suppress(OSError):
            os.utime(path)
        self._used_here.add(path.name)
        return found

    def size_of(self, key: str) -> int | None:
        """Return the size in bytes of the file kept under `key`; None if there is none."""
        try:
            return self._path(key).stat().st_size
        except OSError:
            return None

    def put(self, key: str, trajectory: Trajectory) -> None:
        """Keep a trajectory under `key`, unless the files that this object uses reach the limit.

        Raises
        ------
        IntegrityError
            If the disk is full or fails.
        """
        path = self._path(key)
        if path.name in self._unreadable:
            return
        self._used_here.add(path.name)
        size = sum(block.nbytes + _HEADER for block in trajectory.blocks) + _HEADER
        with self._writing():
            for last in (False, True):
                try:
                    if self._left >= size or self._trim(size):
                        self._left -= write_shard(path, key, trajectory, durable=self._durable)
                    return
                except FileNotFoundError:  # another process has cleared the folder
                    if last:
                        raise
                    self.folder.mkdir(parents=True, exist_ok=True)

    def room(self) -> float:
        """Return the number of bytes that a run may use if all other features are removed for it."""
        with self._writing():
            free = shutil.disk_usage(self.folder).free
        return min(self.limit, free + sum(shard.size for shard in self.shards()))

    def close(self) -> None:
        """Remove files beyond the limit; files read or written by this object may now be removed, too."""
        self._used_here.clear()
        with self._writing():
            self._trim(0)

    def _trim(self, wanted: int) -> bool:
        """Remove the least recently used files until `wanted` bytes are left of the limit and the disk.

        A little more than needed is removed, so that the folder is not listed each time. Files that this
        object has used stay. Returns True if the limit leaves `wanted` bytes.
        """
        with FileLock(self.folder / ".lock", timeout=LOCK_S):
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
        """Return the files, finished or not, least recently used first."""
        found = []
        with suppress(FileNotFoundError):
            for item in os.scandir(self.folder):
                if item.name.endswith((SUFFIX, PART)):
                    with suppress(FileNotFoundError):  # another process may remove it
                        facts = item.stat()
                        found.append(Shard(Path(item.path), facts.st_size, facts.st_mtime))
        return sorted(found, key=lambda shard: (shard.used, shard.path.name))

    def clear(self) -> int:
        """Remove all files, and return their size in bytes.

        Raises
        ------
        IntegrityError
            If a file cannot be removed.
        """
        if not self.folder.is_dir():
            return 0
        with self._writing(), FileLock(self.folder / ".lock", timeout=LOCK_S):
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
        except (OSError, NotImplementedError) as error:  # the latter if the file system has no locks
            raise IntegrityError(
                f"cannot write features to {self.folder}: {reason(error)}; {self._advice}"
            ) from error


def open_store() -> FeatureStore:
    """Return the store in the cache folder, which need not exist yet."""
    advice = (
        "free some space and ask again (it goes on where it ended), "
        f"set {cache_folder.VARIABLE} to another folder, or keep nothing (--no-cache, cache=False)"
    )
    return FeatureStore(cache_folder.folder(FOLDER), size_limit(), advice)


def prepare_cache() -> bool:
    """Check before any work that features can be cached; log why, and return False, if that is not safe.

    Raises
    ------
    IntegrityError
        If the cache cannot be written.
    """
    store = open_store()
    store.prepare()
    if (why := cache_folder.distrust(FOLDER)) is None:
        return True
    _log.warning("features are not cached: %s; %s", why, cache_folder.REMEDY)
    return False


@contextmanager
def temporary_store() -> Iterator[FeatureStore]:
    """Open a store without a limit that is removed after the block.

    Raises
    ------
    IntegrityError
        If no temporary folder can be written.
    """
    advice = "free some space, or set TMPDIR to another folder"
    try:
        folder = tempfile.TemporaryDirectory(prefix="brainfit-", ignore_cleanup_errors=True)
    except OSError as error:
        raise IntegrityError(f"cannot make a temporary folder: {reason(error)}; {advice}") from error
    with folder as name:
        yield FeatureStore(Path(name), math.inf, advice, durable=False)
