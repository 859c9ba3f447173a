"""Words that came from elsewhere, as they can stand in a line of ours."""

from __future__ import annotations


def shown(text: object, longest: int = 80) -> str:
    r"""Return a name or a reason on one line, in characters that can be seen, cut where it has no end.

    Examples
    --------
    >>> print(shown("conv\x1b[2J, of\na file"), shown("x" * 1000, longest=5))
    conv\x1b[2J, of a file xxxx…
    """
    line = " ".join(str(text).split())
    seen = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line[: longest + 1])
    return seen if len(seen) <= longest else f"{seen[: longest - 1]}…"


def reason(error: BaseException) -> str:
    """Return what an error says: the system's own words, where it has some.

    >>> reason(FileNotFoundError(2, "No such file", "/a")), reason(TimeoutError())
    ('No such file', 'TimeoutError')
    """
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return shown(words, longest=160).rstrip(".")
