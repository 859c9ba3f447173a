"""Call a function in a new process, because a C library may crash or hang on a damaged file."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from brainfit.errors import BrainfitError, ContractError, IntegrityError, ResourceError
from brainfit.support.messages import printable, reason
from brainfit.support.out_of_memory import out_of_memory

_SECONDS = 900
"""Longest time that a reader may take."""
_LEAST_SECONDS, _BYTES_PER_SECOND = 120.0, 5e6
"""Time that a reader may take for a small file, and the speed below which it is believed to hang."""
_HERE = "BRAINFIT_CHILD"
"""Environment variable that marks a process started here, which starts no other."""
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""A reader multiplies no matrices; threads would reserve memory, and OpenBLAS hangs where there is none."""
_HINT = "close other programs or raise the limit"
_MAIN = """
import os, pickle, sys
answer = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)  # what a library prints is no answer
sys.path[:] = pickle.load(sys.stdin.buffer)
from data_loaders.files.child import answer_of
pickle.dump(answer_of(sys.stdin.buffer), answer)
answer.close()
"""


def in_child(path: Path, function: Callable[..., Any], *arguments: Any) -> Any:
    """Return ``function(*arguments)``, called by a new Python process.

    `multiprocessing` would run a user's script once more where it has no guard. The new process imports
    nothing from the current folder.

    Parameters
    ----------
    path
        The file that is read, for messages.
    function, arguments
        Anything that can be pickled.

    Raises
    ------
    ContractError
        If an argument cannot be pickled.
    IntegrityError
        If the process crashes, or takes far longer than a file of that size needs.
    ResourceError
        If the process runs out of memory, or is killed, as systems do when memory runs out.
    BrainfitError
        Whatever `function` raises.
    """
    if _HERE in os.environ:
        return function(*arguments)
    size = path.stat().st_size if path.exists() else 0
    seconds = min(_SECONDS, _LEAST_SECONDS + size / _BYTES_PER_SECOND)
    try:
        call = pickle.dumps(_safe_path()) + pickle.dumps((function, arguments))
    except (TypeError, AttributeError, pickle.PicklingError) as error:
        raise ContractError(
            f"{printable(path, 300)}: an argument cannot be passed to the process that reads the file "
            f"({reason(error)}); give plain values"
        ) from error
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _MAIN],
            input=call,
            capture_output=True,
            timeout=seconds,
            check=False,
            env={**os.environ, **_ONE_THREAD, _HERE: "1"},
        )
    except subprocess.TimeoutExpired as error:
        raise IntegrityError(
            f"reading {printable(path, 300)} did not end within {seconds:.3g} s; the file may be damaged: "
            "get it anew"
        ) from error
    except OSError as error:
        raise out_of_memory(error) or IntegrityError(
            f"cannot start a Python process to read {printable(path, 300)}: {error}"
        ) from error
    if done.returncode:
        raise _failure(path, done.returncode, done.stderr.decode("utf-8", "replace"))
    answer = pickle.loads(done.stdout)
    if isinstance(answer, BrainfitError):
        raise answer
    return answer


def answer_of(call: Any) -> Any:
    """Return the result of the pickled call in a stream, or the `BrainfitError` that it raises."""
    function, arguments = pickle.load(call)
    try:
        return function(*arguments)
    except BrainfitError as error:
        return error
    except Exception as error:
        if ran_out := out_of_memory(error):
            return ran_out
        raise


def _safe_path() -> list[str]:
    """Return `sys.path` without the current folder, whose files must not replace libraries.

    The folder of this package comes last, in case the package itself lies in the current folder.
    """
    here = Path.cwd().resolve()
    safe = [entry for entry in sys.path if entry and Path(entry).resolve() != here]
    return [*safe, str(Path(__file__).resolve().parents[2])]


def _failure(path: Path, code: int, stderr: str) -> Exception:
    """Return the error for a process that ended without an answer."""
    words = RuntimeError(stderr)
    if out_of_memory(words):
        return ResourceError(f"memory ran out while reading {printable(path, 300)}; {_HINT}")
    if code == -signal.SIGKILL:
        return ResourceError(
            f"the process that read {printable(path, 300)} was killed (signal 9), probably because memory "
            f"ran out; {_HINT}"
        )
    if code < 0 and resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
        return ResourceError(
            f"the process that read {printable(path, 300)} crashed (signal {-code}) under a limit of memory "
            "(ulimit -v); raise the limit. If it still crashes, the file is damaged"
        )
    if code < 0:
        return IntegrityError(
            f"reading {printable(path, 300)} crashed the HDF5 library (signal {-code}): the file is "
            "damaged; get it anew"
        )
    return words  # a bug, or an incomplete installation, which its own words name
