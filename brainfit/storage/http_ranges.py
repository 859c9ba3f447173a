"""Read a file on a server from any byte on, by HTTP range requests that hold for one version of the file."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, InvalidURL
from queue import Empty, SimpleQueue
from threading import Thread
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from brainfit.support.messages import printable, reason

TIMEOUT_S = 30.0
"""Time in seconds to wait for a connection, and for each next byte."""
OPEN_S = 120.0
"""Time in seconds to wait until a server has sent the head of its answer."""
SLOW_S = 120.0
SLOWEST = 100_000
"""Number of bytes that must arrive in each `SLOW_S` seconds, unless the file is finished."""
_PASSING = (408, 429, 500, 502, 503, 504)
_WHOLE, _PART, _NO_SUCH_PART = 200, 206, 416
_PIECE = 1 << 20
_SIZE = "[0-9]{1,18}"  # digits of a number of bytes


class Interrupted(Exception):
    """The connection failed in a way that may pass."""


class Refused(Exception):
    """The server does not send the file, and trying again at once would not help."""


@dataclass(frozen=True)
class Version:
    """A version of the file at an address: its ETag or date, and its length in bytes if known."""

    url: str
    tag: str
    length: int | None


def connect(url: str, have: int, kept: Version | None) -> tuple[Any, Version, int]:
    """Request the bytes after the first `have` bytes of the version `kept`.

    Returns
    -------
    tuple
        The response, to be closed; its version; and its first byte, `have`, or 0 if the server cannot resume
        or has another version by now.

    Raises
    ------
    Interrupted, Refused
        If the server does not send the file.
    """
    if kept and have and _is_tag(kept.tag):
        response = _open(url, {"Range": f"bytes={have}-", "If-Range": kept.tag})
        version, start = _described(url, response)
        if response.status == _WHOLE or (response.status == _PART and (version, start) == (kept, have)):
            return response, version, start
        response.close()
    response = _open(url, {})
    if response.status == _WHOLE:
        return response, *_described(url, response)
    response.close()
    raise Refused(f"the server says {response.status}, wanted {_WHOLE}; see whether it has moved")


def pieces(response: Any, n_bytes: int | None) -> Iterator[bytes]:
    """Yield the next `n_bytes` bytes, or all if it is None; fewer if the connection just ends.

    Raises
    ------
    Interrupted
        If the connection fails.
    Refused
        If fewer than `SLOWEST` bytes arrive in `SLOW_S` seconds.
    """
    left = math.inf if n_bytes is None else n_bytes
    arrived, since = 0, time.monotonic()
    while left:
        if (took := time.monotonic() - since) >= SLOW_S:
            if arrived < SLOWEST:
                raise Refused(
                    f"the server sent {arrived} bytes in {took:.0f} s; ask again later (it goes on where it "
                    "ended)"
                )
            arrived, since = 0, time.monotonic()
        try:
            piece = response.read1(min(_PIECE, left))
        except (OSError, HTTPException) as error:
            raise _failed(error) from error
        if not piece:
            return
        left -= len(piece)
        arrived += len(piece)
        yield piece


def _open(url: str, headers: dict[str, str]) -> Any:
    request = Request(url, headers={"User-Agent": "brainfit", **headers})
    try:
        return _answer(request)
    except HTTPError as error:
        if error.code == _NO_SUCH_PART and headers:
            return error
        error.close()
        why = f"the server says {error.code} {printable(error.reason, 160)}"
        if error.code in _PASSING:
            raise Interrupted(why) from error
        raise Refused(f"{why}; see whether it has moved") from error
    except URLError as error:  # no connection at all
        host, why = printable(urlsplit(url).netloc), printable(error.reason, 160)
        raise Refused(f"cannot reach {host} ({why}); connect this machine to the web") from error
    except (InvalidURL, ValueError) as error:  # malformed address, here or in a redirect
        raise Refused(
            f"it is, or refers to, no address ({reason(error)}); see whether it has moved"
        ) from error
    except (OSError, HTTPException) as error:
        raise _failed(error) from error


def _answer(request: Request) -> Any:
    """Open a request; a server that does not finish the head of its answer in `OPEN_S` is given up."""
    answers: SimpleQueue[Any] = SimpleQueue()

    def ask() -> None:
        try:
            answers.put(build_opener(_Redirects).open(request, timeout=TIMEOUT_S))
        except (OSError, HTTPException, ValueError) as error:  # raised again in the thread that waits
            answers.put(error)

    # A daemon: urllib cannot be stopped while a server sends a header byte by byte.
    Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=OPEN_S)
    except Empty as error:
        raise TimeoutError(f"no answer in {OPEN_S:g} s") from error
    if isinstance(answer, Exception):
        raise answer
    return answer


def _failed(error: Exception) -> Interrupted:
    return Interrupted(f"the connection failed ({reason(error)})")


def _described(url: str, response: Any) -> tuple[Version, int]:
    """Return the version of the file that a response is from, and the byte at which it begins."""
    tag = response.headers.get("ETag", "")
    if not tag or tag.startswith("W/"):  # a weak ETag does not promise the same bytes
        tag = response.headers.get("Last-Modified", "")
    part = re.fullmatch(f"bytes ({_SIZE})-{_SIZE}/({_SIZE})", response.headers.get("Content-Range", ""))
    start, length = part.groups() if part else ("0", response.headers.get("Content-Length", ""))
    return Version(url, tag, int(length) if re.fullmatch(_SIZE, length) else None), int(start)


def _is_tag(tag: object) -> bool:
    """Return True if a tag is not empty and can be sent back in a header."""
    return isinstance(tag, str) and tag.isascii() and tag.isprintable() and bool(tag)


class _Redirects(HTTPRedirectHandler):
    """Follows redirects, but not from https to anything else, nor to a malformed address."""

    def http_error_302(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage
    ) -> IO[bytes] | None:
        try:
            return super().http_error_302(req, fp, code, msg, headers)
        except ValueError as error:
            raise HTTPError(req.full_url, code, "and refers to no address", headers, fp) from error

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        if req.type == "https" and urlsplit(newurl).scheme != "https":
            raise HTTPError(
                req.full_url, code, f"and refers to {printable(newurl)}, which is not https", headers, fp
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)
