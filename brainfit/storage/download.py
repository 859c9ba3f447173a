"""Files from the web: resumed, checked, and never half there.

    name            the file, whole and checked
    name.part       what has come of it so far
    name.part.json  which version of the file on the server that is
    name.sha256     what came the first time, where no full hash is published: see `brainfit.storage.checksums`
    name.lock       held by the one process that downloads

Only that process writes, and only a whole and checked file gets the name.
"""

from __future__ import annotations

import errno
import json
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from brainfit.errors import BrainfitError, ContractError, IntegrityError
from brainfit.storage.atomic_files import file_path, regular_file
from brainfit.storage.checksums import Digest, Published, check_file, objection, published_hashes, record
from brainfit.storage.http_ranges import Interrupted, Refused, Version, connect, pieces
from brainfit.support.messages import printable, reason
from brainfit.support.progress import progress_bar

RETRIES = 4
"""How often in a row to try again without getting any further."""
WAIT_S = 1.0
"""Before the first try again; twice as long before each next."""
_MB = 1_000_000
_FULL = "free some space and ask again (it goes on where it ended)"
_TODO = {errno.ENOSPC: _FULL, errno.EDQUOT: _FULL, errno.ENAMETOOLONG: "choose a shorter name"}


@dataclass(frozen=True)
class _File:
    """What is wanted, and from where."""

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
    """Make sure that `path` holds what is published at `url`; what is there already is checked, not fetched.

    A download that was cut goes on where it ended, now or when it is next asked for, unless the file on the
    server has changed. Of several processes that ask for the same file one fetches it; the others wait.

    Parameters
    ----------
    url
        Where it is, by http or https.
    path
        Where it goes; the folder is made if it is not there.
    sha256, sha1
        As published, in hexadecimal digits; of `sha256` the first 8 or more will do. Without a full hash,
        the sha256 of the first download is kept in ``<path>.sha256``, and holds from then on.
    progress
        Whether to show a progress bar on stderr.

    Returns
    -------
    str
        The sha256 of what is there now.

    Raises
    ------
    ContractError
        If the address, the path or a hash is not of that form.
    IntegrityError
        If it cannot be fetched or written, or is not what its hash says.
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
    except ValueError:  # what is said to be an IPv6 address and is none
        return False


@contextmanager
def _alone(path: Path, progress: bool) -> Iterator[None]:
    """Hold the lock of `path`; while another process has it, show that we wait."""
    lock = FileLock(path.with_name(f"{path.name}.lock"))
    try:
        lock.acquire(timeout=1)
    except Timeout:
        with progress_bar(f"wait for another download of {path.name}", 1, shown=progress):
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _fetch(file: _File, progress: bool) -> str:
    """Download, trying again while that may help; put the file in its place and return its sha256."""
    for own in (file.part, file.version):
        if os.path.lexists(own):
            regular_file(own)
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
        raise file.error(f"{wrong}; what came was removed: ask again")
    with file.part.open("rb+") as part:
        os.fsync(part.fileno())
    record(file.path, digest, file.published)
    os.replace(file.part, file.path)
    file.discard()
    return digest.hexdigests()["sha256"]


def _receive(file: _File, progress: bool) -> Digest:
    """Fetch what is missing of the part, and return the digest of the whole."""
    digest = Digest(file.published)
    kept, have = _kept(file), _size(file.part)
    if kept:
        digest.update_from(file.part)
        if kept.length == have:
            return digest
    response, version, have = connect(file.url, have, kept)
    with response:
        if version.length is None and not response.chunked and not file.published:
            raise Refused("nothing tells where it ends; fetch it in another way")
        if not have:
            digest = Digest(file.published)
            file.discard()
            file.version.write_text(json.dumps(asdict(version)), encoding="utf-8")
        total = math.ceil((version.length or 0) / _MB)
        bar = progress_bar(f"download {file.path.name} (MB)", total, shown=progress and total > 0)
        with file.part.open("ab") as part, bar as advance:
            advance(have // _MB)
            for piece in pieces(response, None if version.length is None else version.length - have):
                part.write(piece)
                digest.update(piece)
                advance((have + len(piece)) // _MB - have // _MB)
                have += len(piece)
            if version.length not in (None, have):
                raise Interrupted(f"the connection ended after {have} of {version.length} bytes")
    return digest


def _kept(file: _File) -> Version | None:
    """Return of which version the part is; None where there is no part, or it is not known."""
    try:
        kept = Version(**json.loads(file.version.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    return kept if kept.url == file.url and file.part.is_file() else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
