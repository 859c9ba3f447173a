"""A function called in a process of its own: a library in C may crash or hang on a file that is damaged."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from brainfit.errors import BrainfitError, IntegrityError, ResourceError
from brainfit.support.messages import printable
from brainfit.support.out_of_memory import out_of_memory

_SECONDS = 900
_HERE = "BRAINFIT_CHILD"
"""Set in the environment of a Python that was started here, which starts no other."""
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
    """Return ``function(*arguments)``, called by a new Python; the function and all else can be pickled.

    It is no `multiprocessing`, which would run a user's script once more where that has no guard.

    Raises
    ------
    IntegrityError
        If that Python crashes, or does not answer in a quarter of an hour; names the file `path`.
    ResourceError
        If it runs out of memory, or is killed, as the system does with what takes too much.
    BrainfitError
        What the function raises.
    """
    if _HERE in os.environ:
        return function(*arguments)
    call = pickle.dumps(sys.path) + pickle.dumps((function, arguments))
    try:
        done = subprocess.run(
            [sys.executable, "-c", _MAIN],
            input=call,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
            env={**os.environ, _HERE: "1"},
        )
    except subprocess.TimeoutExpired as error:
        raise IntegrityError(
            f"reading {printable(path, 300)} came to no end in {_SECONDS} s; it may be damaged: get it anew"
        ) from error
    except OSError as error:
        raise IntegrityError(f"cannot start a Python to read {printable(path, 300)}: {error}") from error
    if done.returncode == -signal.SIGKILL:
        raise ResourceError(
            f"the process that read {printable(path, 300)} was killed (signal 9), probably because memory ran "
            "out; close other programs, or raise the limit of this container or batch job"
        )
    if done.returncode < 0:
        raise IntegrityError(
            f"reading {printable(path, 300)} crashed the HDF5 library (signal {-done.returncode}): it is "
            "damaged; get it anew"
        )
    if done.returncode:  # a bug, or an installation that is not whole: its own words say which
        said = RuntimeError(done.stderr.decode("utf-8", "replace"))
        raise out_of_memory(said) or said
    answer = pickle.loads(done.stdout)
    if isinstance(answer, BrainfitError):
        raise answer
    return answer


def answer_of(call: Any) -> Any:
    """Return what the pickled call in a stream returns, or the `BrainfitError` that it raises."""
    function, arguments = pickle.load(call)
    try:
        return function(*arguments)
    except BrainfitError as error:
        return error
    except Exception as error:
        if told := out_of_memory(error):
            return told
        raise
