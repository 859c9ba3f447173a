"""A file on a server, from any byte on: HTTP range requests, which go on only in the same version."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, InvalidURL
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from brainfit.support.messages import printable, reason

TIMEOUT_S = 30.0
"""How long to wait for a connection, and for each next byte."""
_PASSING = (408, 429, 500, 502, 503, 504)
_WHOLE, _PART, _NO_SUCH_PART = 200, 206, 416
_PIECE = 1 << 20
_SIZE = "[0-9]{1,18}"  # bytes, as digits


class Interrupted(Exception):
    """The connection failed in a way that may pass."""


class Refused(Exception):
    """Nothing is to be had, now or by trying again."""


@dataclass(frozen=True)
class Version:
    """What a server has at an address: by its ETag or date, and its length in bytes, as far as it tells."""

    url: str
    tag: str
    length: int | None


def connect(url: str, have: int, kept: Version | None) -> tuple[Any, Version, int]:
    """Ask for what comes after the first `have` bytes of the version `kept`.

    Returns
    -------
    tuple
        The response, to be closed; of which version it is; and where in that it begins: at `have`, or at 0
        where the server cannot do that, or has another version by now.

    Raises
    ------
    Interrupted, Refused
        If there is no file to be had.
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
    """Read so many bytes, or, where it is not known how many, all; fewer come if the connection just ends.

    Raises
    ------
    Interrupted
        If it fails.
    """
    left = math.inf if n_bytes is None else n_bytes
    while left:
        try:
            piece = response.read1(min(_PIECE, left))
        except (OSError, HTTPException) as error:
            raise _failed(error) from error
        if not piece:
            return
        left -= len(piece)
        yield piece


def _open(url: str, headers: dict[str, str]) -> Any:
    request = Request(url, headers={"User-Agent": "brainfit", **headers})
    try:
        return build_opener(_Redirects).open(request, timeout=TIMEOUT_S)
    except HTTPError as error:
        if error.code == _NO_SUCH_PART and headers:
            return error
        error.close()
        why = f"the server says {error.code} {printable(error.reason, 160)}"
        if error.code in _PASSING:
            raise Interrupted(why) from error
        raise Refused(f"{why}; see whether it has moved") from error
    except URLError as error:  # there was no connection at all
        host, why = printable(urlsplit(url).netloc), printable(error.reason, 160)
        raise Refused(f"cannot reach {host} ({why}); connect this machine to the web") from error
    except (InvalidURL, ValueError) as error:  # of the address, or of one that it refers to
        raise Refused(
            f"it is, or refers to, no address ({reason(error)}); see whether it has moved"
        ) from error
    except (OSError, HTTPException) as error:
        raise _failed(error) from error


def _failed(error: Exception) -> Interrupted:
    return Interrupted(f"the connection failed ({reason(error)})")


def _described(url: str, response: Any) -> tuple[Version, int]:
    """Return which version of a file a response is from, and at which byte of it it begins."""
    tag = response.headers.get("ETag", "")
    if not tag or tag.startswith("W/"):  # a weak one does not promise the same bytes
        tag = response.headers.get("Last-Modified", "")
    part = re.fullmatch(f"bytes ({_SIZE})-{_SIZE}/({_SIZE})", response.headers.get("Content-Range", ""))
    start, length = part.groups() if part else ("0", response.headers.get("Content-Length", ""))
    return Version(url, tag, int(length) if re.fullmatch(_SIZE, length) else None), int(start)


def _is_tag(tag: object) -> bool:
    """Whether it is some, and can be sent back in a header."""
    return isinstance(tag, str) and tag.isascii() and tag.isprintable() and bool(tag)


class _Redirects(HTTPRedirectHandler):
    """Follows redirects, but not from https to anything else, nor to what is no address."""

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
