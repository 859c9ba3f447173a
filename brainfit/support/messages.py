"""Text from elsewhere, errors and sizes, formatted for a one-line message."""

from __future__ import annotations


def one_line(text: object) -> str:
    r"""Return text on one line, with every character escaped that a terminal would act on or cannot write.

    >>> one_line("second\n\x1b[31mline")
    'second \\x1b[31mline'
    """
    line = " ".join(str(text).split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def printable(text: object, longest: int = 80) -> str:
    r"""Make untrusted text safe to print on one line.

    Parameters
    ----------
    text
        A name, a path or an error's words; anything else is converted with `str`.
    longest
        Length at which the text is cut.

    Examples
    --------
    >>> print(printable("conv\x1b[2J, of\na file"), printable("x" * 1000, longest=5))
    conv\x1b[2J, of a file xxxx…
    """
    safe = one_line(" ".join(str(text).split())[: longest + 1])
    return safe if len(safe) <= longest else f"{safe[: longest - 1]}…"


def reason(error: BaseException) -> str:
    """Return an error's text, preferring the operating system's own words.

    >>> reason(FileNotFoundError(2, "No such file", "/a")), reason(TimeoutError())
    ('No such file', 'TimeoutError')
    """
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return printable(words, longest=160).rstrip(".")


def format_bytes(size: float) -> str:
    """Return a number of bytes in the decimal unit that suits it.

    >>> format_bytes(20e9), format_bytes(1_234_567), format_bytes(12)
    ('20 GB', '1.2 MB', '12 B')
    """
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{size / unit:.1f}".removesuffix(".0") + f" {name}"
    return f"{size:.0f} B"
