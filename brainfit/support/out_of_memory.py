"""Recognise that memory ran out, whichever library says so."""

from __future__ import annotations

import re

from brainfit.errors import ResourceError
from brainfit.support.messages import printable, reason

# No library is imported here, because there may be no memory to import it.
_NO_MEMORY = re.compile(
    r"DefaultCPUAllocator|std::bad_alloc|(not enough|out of|cannot allocate) memory|_ALLOC_FAILED"
    r"|failed to map segment|can't start new thread|^MemoryError\b",
    re.IGNORECASE | re.MULTILINE,
)
_ON_GPU = re.compile("CUDA|CUBLAS|CUDNN|CUSOLVER|CUSPARSE")
_SIZE = re.compile(r"to allocate (\d+(?:\.\d+)?) ?([KMGT]?i?B|bytes)\b")


def out_of_memory(error: BaseException) -> ResourceError | None:
    """Return a one-line error if an error, or one that caused it, reports that memory ran out.

    Python, numpy, torch, the loader of shared libraries and the GPU's libraries each raise a different type.

    Parameters
    ----------
    error
        Error of any type.

    Returns
    -------
    ResourceError or None
        None for any other error. The returned error does not keep alive what `error` refers to.

    Examples
    --------
    >>> print(out_of_memory(RuntimeError("CUDA out of memory. Tried to allocate 3.20 GiB.")))
    the GPU's memory ran out: 3.20 GiB more could not be had; lower --batch-size, or use --device cpu
    >>> print(out_of_memory(ValueError("bad")))
    None
    """
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        text = str(at)
        if isinstance(at, MemoryError) or "OutOfMemory" in type(at).__name__ or _NO_MEMORY.search(text):
            return _ran_out(at, text)
        at = at.__cause__ or at.__context__
    return None


def _ran_out(error: BaseException, text: str) -> ResourceError:
    if isinstance(error, ResourceError):
        return ResourceError(text)
    why = reason(error) if text else "an allocation failed"
    if size := _SIZE.search(text):
        number, unit = size.groups()
        large = unit == "bytes" and len(number) > 5
        more = f"{float(number) / 2**20:.1f} MiB" if large else f"{number} {unit}"
        why = f"{more} more could not be had"
    notes = "".join(f"; {printable(note, 400)}" for note in getattr(error, "__notes__", ()))
    if _ON_GPU.search(text):
        return ResourceError(
            f"the GPU's memory ran out: {why}; lower --batch-size, or use --device cpu{notes}"
        )
    return ResourceError(
        f"memory ran out: {why}; lower --batch-size, --images or --image-size, use --project, "
        f"or close other programs{notes}"
    )
