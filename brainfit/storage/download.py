"""Download files: resumed, checked, and in place only when whole.

    name            the file, whole and checked
    name.part       the bytes received so far
    name.part.json  the version of the file on the server that they belong to
    name.sha256     hash of the first download, if no full hash is published; see `brainfit.storage.checksums`
    name.lock       lock held by the one process that downloads

Only that process writes, and only a whole and checked file gets the name.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from brainfit.errors import BrainfitError, ContractError, IntegrityError
from brainfit.storage.atomic_files import file_path, open_no_link, replaced
from brainfit.storage.checksums import (
    Digest,
    Published,
    check_file,
    is_full_hash,
    objection,
    published_hashes,
    record,
)
from brainfit.storage.http_ranges import Interrupted, Refused, Version, connect, pieces
from brainfit.support.messages import printable, reason
from brainfit.support.progress import progress_bar

RETRIES = 4
"""Number of further attempts in a row that bring no new bytes."""
WAIT_S = 1.0
"""Wait in seconds before the first further attempt; it doubles for each next one."""
LOCK_S = 300.0
"""Time in seconds to wait for another process that downloads the same file without receiving anything."""
_PAGE = re.compile(rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?<(!doctype )?html\b", re.IGNORECASE | re.DOTALL)
"""Beginning of a web page, which a server or a network's login page sends in place of a file."""
_MB = 1_000_000
_FULL = "free some space and ask again (it goes on where it ended)"
_TODO = {errno.ENOSPC: _FULL, errno.EDQUOT: _FULL, errno.ENAMETOOLONG: "choose a shorter name"}


@dataclass(frozen=True)
class _File:
    """A file to download, its address and its published hashes."""

    url: str
    path: Path
    published: Published

    @property
    def part(self) -> Path:
        return self.path.with_name(f"{self.path.name}.part")

    @property
    def version(self) -> Path:
        return self.path.with_name(f"{self.path.name}.part.json")

    def discard(self) -> None:
        self.part.unlink(missing_ok=True)
        self.version.unlink(missing_ok=True)

    def error(self, why: str) -> IntegrityError:
        name, url = printable(self.path.name), printable(self.url, 200)
        return IntegrityError(f"cannot download {name} from {url}: {why}, or put it at {self.path} by hand")


def download(
    url: str,
    path: str | os.PathLike[str],
    *,
    sha256: str | None = None,
    sha1: str | None = None,
    progress: bool = True,
) -> str:
    """Download the file at `url` to `path`; a file that is already there is checked instead.

    An interrupted download is continued, in the same call or the next, unless the file on the server has
    changed. If several processes ask for the same file, one downloads it and the others wait. Every wait is
    bounded: a server that sends almost nothing, and a process that holds the lock without receiving anything,
    end in an error.

    Parameters
    ----------
    url
        Address, http or https.
    path
        Path of the file; its folder is made if it does not exist.
    sha256, sha1
        Published hashes in hexadecimal digits; the first 8 or more digits of `sha256` suffice. Without a full
        hash, the sha256 of the first download is kept in ``<path>.sha256`` and must match from then on; a web
        page is then never taken for the file.
    progress
        True to show a progress bar on stderr.

    Returns
    -------
    str
        The sha256 of the file.

    Raises
    ------
    ContractError
        If the address, the path or a hash is malformed.
    IntegrityError
        If the file cannot be downloaded or written, or does not match its hash.
    """
    file = _File(url, file_path(path), published_hashes(sha256=sha256, sha1=sha1))
    if not _is_address(url):
        raise ContractError(
            f"cannot download from {printable(repr(url), 200)}; wanted an address in ASCII that begins with https://"
        )
    try:
        if not file.path.exists():
            file.path.parent.mkdir(parents=True, exist_ok=True)
            with _alone(file.path, progress):
                if not file.path.exists():
                    return _fetch(file, progress)
    except BrainfitError:
        raise
    except OSError as error:
        todo = _TODO.get(error.errno or 0, "choose another folder")
        raise file.error(f"cannot write to {file.path.parent}: {reason(error)}; {todo}") from error
    return check_file(path, sha256=sha256, sha1=sha1)


def _is_address(url: object) -> bool:
    try:
        address = urlsplit(url) if isinstance(url, str) and url.isascii() and url.isprintable() else None
        return bool(address and address.scheme in ("https", "http") and address.hostname)
    except ValueError:  # a malformed IPv6 address
        return False


@contextmanager
def _alone(path: Path, progress: bool) -> Iterator[None]:
    """Hold the lock of `path`, waiting for another process as long as that receives anything."""
    lock = FileLock(path.with_name(f"{path.name}.lock"))
    try:
        lock.acquire(timeout=1)
    except Timeout:
        with progress_bar(f"wait for another download of {path.name}", 1, shown=progress):
            _wait(lock, path.with_name(f"{path.name}.part"))
    try:
        yield
    finally:
        lock.release()


def _wait(lock: FileLock, part: Path) -> None:
    """Acquire a lock that another process holds; give up once its download has stood still for `LOCK_S`."""
    size, since = _size(part), time.monotonic()
    while True:
        try:
            lock.acquire(timeout=min(5, LOCK_S))
            return
        except Timeout as error:
            if (now := _size(part)) != size:
                size, since = now, time.monotonic()
            elif time.monotonic() - since >= LOCK_S:
                raise IntegrityError(
                    f"another process holds {lock.lock_file} and has received nothing for {LOCK_S:g} s; "
                    "end that process and ask again"
                ) from error


def _fetch(file: _File, progress: bool) -> str:
    """Download, trying again while that may help; put the file in its place and return its sha256."""
    for own in (file.part, file.version):
        if os.path.lexists(own) and not stat.S_ISREG(own.lstat().st_mode):
            raise IntegrityError(f"{own} is not an ordinary file; delete it and ask again")
    furthest, failures = _size(file.part), 0
    while True:
        try:
            digest = _receive(file, progress)
            break
        except Interrupted as error:
            reached = _size(file.part)
            failures = 1 if reached > furthest else failures + 1
            furthest = max(reached, furthest)
            if failures > RETRIES:
                raise file.error(f"{error}; ask again later (it goes on where it ended)") from error
            time.sleep(WAIT_S * 2 ** (failures - 1))
        except Refused as error:
            raise file.error(str(error)) from error
    if wrong := objection(file.path, digest, file.published):
        file.discard()
        raise file.error(f"{wrong}; the received file was removed, ask again")
    with open_no_link(file.part, "rb+") as part:
        if not is_full_hash(file.published) and _PAGE.match(part.read(1000)):
            file.discard()
            raise file.error(
                "the server sent a web page instead; log in to the network if it asks you to, and ask again"
            )
        os.fsync(part.fileno())
    record(file.path, digest, file.published)
    os.replace(file.part, file.path)
    file.discard()
    return digest.hexdigests()["sha256"]


def _receive(file: _File, progress: bool) -> Digest:
    """Download the missing bytes, and return the digest of the whole file."""
    digest = Digest(file.published)
    kept, have = _kept(file), _size(file.part)
    if kept:
        digest.update_from(file.part)
        if kept.length == have:
            return digest
    response, version, have = connect(file.url, have, kept)
    with response:
        if version.length is None and not response.chunked and not file.published:
            raise Refused("the server does not tell how long the file is; fetch it in another way")
        if not have:
            digest = Digest(file.published)
            file.discard()
            with replaced(file.version) as new:
                new.write_text(json.dumps(asdict(version)), encoding="utf-8")
        total = math.ceil((version.length or 0) / _MB)
        bar = progress_bar(f"download {file.path.name} (MB)", total, shown=progress and total > 0)
        with open_no_link(file.part, "ab") as part, bar as on_progress:
            on_progress(have // _MB)
            for piece in pieces(response, None if version.length is None else version.length - have):
                part.write(piece)
                digest.update(piece)
                on_progress((have + len(piece)) // _MB - have // _MB)
                have += len(piece)
            if version.length not in (None, have):
                raise Interrupted(f"the connection ended after {have} of {version.length} bytes")
    return digest


def _kept(file: _File) -> Version | None:
    """Return the version of the file that the part belongs to; None if there is no part or it is unknown."""
    try:
        kept = Version(**json.loads(file.version.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    return kept if kept.url == file.url and file.part.is_file() else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
