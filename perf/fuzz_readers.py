"""Damage small recordings in every layout at random, and count what their readers make of them.

A reader may return a recording or raise one line (`BrainfitError`). A traceback, a hang, a crash while values
are read, or memory beyond the limit is a failure; it is printed with the numbers that make the file again. A
crash or hang while a file is *loaded* is counted apart for HDF5 and netCDF: readers load these in a process
of their own, which turns it into one line.

    nice python perf/fuzz_readers.py --files 10000 --log fuzz.jsonl           # resumes what the log lacks
    nice python perf/fuzz_readers.py --layouts npz --first 1234 --files 1     # repeats one failure
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import psutil
import xarray as xr
from PIL import Image
from scipy.io import savemat

from brainfit.contracts.recording import Recording, check_recording
from brainfit.errors import BrainfitError
from data_loaders.arrays import from_arrays
from data_loaders.brainio.write import to_brainio
from data_loaders.layouts import read
from data_loaders.netcdf import to_netcdf
from data_loaders.tables import from_table

CPU_SECONDS = 3.0
"""Processor time of one file after which its reader hangs; a healthy one takes a few hundredths."""
LIMIT = 1.1 * 2**30
"""Bytes by which reading a file of some KB may raise the resident memory: the limit of `files.isolation`."""
BLOCK = 250
"""Files between two lines of the log."""
N_IMAGES, N_TRIALS, N_UNITS, N_BINS, SIZE = 6, 2, 3, 4, 4


def arrays(rng: np.random.Generator) -> dict[str, Any]:
    """Return the arguments of a small recording."""
    return {
        "responses": rng.normal(size=(N_IMAGES, N_TRIALS, N_UNITS, N_BINS)).astype("f4"),
        "images": rng.integers(0, 256, (N_IMAGES, SIZE, SIZE, 3), np.uint8),
        "region": ["V4", "pIT", "IT"],
        "animal": ["a", "a", "b"],
        "object_name": ["cat", "dog", "car"] * 2,
        "time_bin_start": np.arange(N_BINS) * 10.0,
        "time_bin_end": np.arange(N_BINS) * 10.0 + 10,
    }


def dataset(rng: np.random.Generator) -> xr.Dataset:
    """Return the same as xarray has it."""
    given = arrays(rng)
    dims = {"region": "unit", "animal": "unit", "object_name": "image"}
    dims |= {"time_bin_start": "time_bin", "time_bin_end": "time_bin"}
    return xr.Dataset(
        {
            "responses": (("image", "trial", "unit", "time_bin"), given.pop("responses")),
            "images": (("image", "height", "width", "channel"), given.pop("images") / 255),
            **{name: (dims[name], values) for name, values in given.items()},
        }
    )


def write_npz(folder: Path, rng: np.random.Generator) -> Path:
    """Write a ``.npz`` file."""
    np.savez_compressed(folder / "f.npz", **arrays(rng))
    return folder / "f.npz"


def write_own(folder: Path, rng: np.random.Generator) -> Path:
    """Write a file of `to_netcdf`."""
    return to_netcdf(from_arrays(**arrays(rng)), folder / "f.nc")


def write_netcdf4(folder: Path, rng: np.random.Generator) -> Path:
    """Write packed netCDF-4 with xarray."""
    encoding = {"responses": {"dtype": "i2", "scale_factor": 0.01, "_FillValue": -999, "zlib": True}}
    dataset(rng).to_netcdf(folder / "f.nc", encoding=encoding)
    return folder / "f.nc"


def write_netcdf3(folder: Path, rng: np.random.Generator) -> Path:
    """Write classic netCDF with xarray."""
    dataset(rng).to_netcdf(folder / "f.nc", format="NETCDF3_64BIT", engine="netcdf4")
    return folder / "f.nc"


def write_hdf5(folder: Path, rng: np.random.Generator) -> Path:
    """Write HDF5 with h5py, without names of dims."""
    with h5py.File(folder / "f.h5", "w") as file:
        for name, values in arrays(rng).items():
            file[name] = np.array(values, object) if isinstance(values, list) else values
    return folder / "f.h5"


def write_mat(folder: Path, rng: np.random.Generator) -> Path:
    """Write a MAT-file of MATLAB 5, which is refused with advice."""
    savemat(folder / "f.mat", {k: v for k, v in arrays(rng).items() if isinstance(v, np.ndarray)})
    return folder / "f.mat"


def write_brainio(folder: Path, rng: np.random.Generator) -> Path:
    """Write an assembly of BrainIO, with its stimuli."""
    return to_brainio(from_arrays(**arrays(rng)), folder / "brainio", identifier="lab.Fuzz")


def write_hvm(folder: Path, rng: np.random.Generator) -> Path:
    """Write a file in the layout of HvM."""
    from hvm_file import hvm_arrays, write_hvm

    path = folder / "f.h5"
    write_hvm(path, hvm_arrays(rng, (2, 2, 2), 12))
    return path


def write_nwb_file(folder: Path, rng: np.random.Generator) -> Path:
    """Write an NWB file with spikes."""
    from nwb_file import write_nwb

    onsets = np.arange(12) * 0.5 + 0.2
    spikes = [np.sort(rng.uniform(0, 7, 60)) for _ in range(5)]
    names = [f"i{k % 4}" for k in range(12)]
    pixels = {f"i{k}": rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8) for k in range(4)}
    write_nwb(folder / "f.nwb", spikes=spikes, onsets=onsets, images=names, pixels=pixels)
    return folder / "f.nwb"


def write_images(kind: str) -> Callable[[Path, np.random.Generator], Path]:
    """Return the writer of one image file, or a zip or table of some."""

    def write(folder: Path, rng: np.random.Generator) -> Path:
        for k, image in enumerate(arrays(rng)["images"]):
            Image.fromarray(image).save(folder / f"{k}.{kind if kind in ('jpg', 'tif', 'bmp') else 'png'}")
        if kind == "csv":
            rows = [f"{k},{k}.png,cat,{k}" for k in range(N_IMAGES)]
            (folder / "f.csv").write_text("\n".join(["image_id,image_file,object_name,variation", *rows]))
            return folder / "f.csv"
        if kind == "zip":
            archive = shutil.make_archive(str(folder / "f"), "zip", folder)
            return Path(archive)
        return folder / f"0.{kind}"

    return write


def read_recording(path: Path) -> Any:
    """Read a recording's file as the command line does."""
    return read(path)


def read_images(path: Path) -> Any:
    """Read a recording in memory whose images are files."""
    given = arrays(np.random.default_rng(0))
    if path.suffix == ".csv":
        return from_arrays(**{**given, "images": path})
    names = [f"{k}{path.suffix if path.suffix != '.zip' else '.png'}" for k in range(N_IMAGES)]
    return from_arrays(
        **{**given, "images": path if path.suffix == ".zip" else path.parent}, image_file=names
    )


def write_matlab(version: int) -> Callable[[Path, np.random.Generator], Path]:
    """Return the writer of a MATLAB file of version 5, or 7.3 for 7."""

    def write(folder: Path, rng: np.random.Generator) -> Path:
        from matlab_files import write_v73
        from scipy.io import savemat

        path, given = folder / "f.mat", arrays(rng)
        if version == 7:
            write_v73(path, **given)
        else:
            savemat(path, {k: np.array(v, object) if isinstance(v, list) else v for k, v in given.items()})
        return path

    return write


def write_table(ending: str) -> Callable[[Path, np.random.Generator], Path]:
    """Return the writer of a table of responses as CSV or Parquet."""

    def write(folder: Path, rng: np.random.Generator) -> Path:
        labels = ("region", "animal", "object_name", "image_id", "unit_id", "time_bin_start", "time_bin_end")
        frame = from_arrays(**arrays(rng)).responses.rename("response").to_dataframe().reset_index()
        frame = frame[["trial", "response", *labels]]
        path = folder / f"f.{ending}"
        frame.to_csv(path, index=False) if ending == "csv" else frame.to_parquet(path)
        return path

    return write


def read_table(path: Path) -> Any:
    """Read a table of responses with its images in memory."""
    ids = [f"image_{k:04d}" for k in range(N_IMAGES)]
    pixels = arrays(np.random.default_rng(0))["images"]
    return from_table(path, pixels, image_id=ids, time_unit="ms")


LAYOUTS: dict[str, tuple[Callable[[Path, np.random.Generator], Path], Callable[[Path], Any]]] = {
    "npz": (write_npz, read_recording),
    "own": (write_own, read_recording),
    "netcdf4": (write_netcdf4, read_recording),
    "netcdf3": (write_netcdf3, read_recording),
    "hdf5": (write_hdf5, read_recording),
    "mat": (write_mat, read_recording),
    "brainio": (write_brainio, read_recording),
    "hvm": (write_hvm, read_recording),
    "nwb": (write_nwb_file, read_recording),
    "matlab5": (write_matlab(5), read_recording),
    "matlab7.3": (write_matlab(7), read_recording),
    "table-csv": (write_table("csv"), read_table),
    "table-parquet": (write_table("parquet"), read_table),
    **{kind: (write_images(kind), read_images) for kind in ("png", "jpg", "tif", "bmp", "zip", "csv")},
}
CHILD = {
    "own", "netcdf3", "netcdf4", "hdf5", "brainio", "hvm", "nwb",
    "matlab5", "matlab7.3", "table-csv", "table-parquet",
}  # fmt: skip
"""Layouts that are loaded in a process of their own."""


def damaged(whole: bytes, rng: np.random.Generator) -> bytes:
    """Return the content of a file with damage of one kind."""
    content, n = bytearray(whole), len(whole)
    at = int(rng.integers(n))
    match rng.integers(8):
        case 0 | 1 | 2:
            content[at] ^= 1 << int(rng.integers(8))
        case 3:
            for place in rng.integers(0, n, int(rng.integers(2, 30))):
                content[place] = int(rng.integers(256))
        case 4:
            del content[at:]
        case 5:
            odd = [0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1, 2**40]
            width = int(rng.choice([2, 4, 8]))
            value = int(rng.choice(np.array(odd, np.uint64))) % 256**width
            content[at : at + width] = value.to_bytes(width, str(rng.choice(["little", "big"])))  # pyright: ignore[reportArgumentType]
        case 6:
            stop = at + int(rng.integers(1, 200))
            content[at:stop] = bytes(len(content[at:stop]))
        case _:
            other, length = int(rng.integers(n)), int(rng.integers(1, 100))
            content[at : at + length] = content[other : other + length]
    return bytes(content)


def resident() -> tuple[int, int]:
    """Return the resident memory in bytes, and its peak since `forget_peak`."""
    facts = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return 1024 * int(facts["VmRSS"].split()[0]), 1024 * int(facts["VmHWM"].split()[0])


def forget_peak() -> None:
    """Let the peak of the resident memory begin anew."""
    Path("/proc/self/clear_refs").write_text("5")


def one(
    path: Path, load: Callable[[Path], Any], stage: Callable[[str], None], whole: Recording | None = None
) -> str:
    """Return what a reader makes of a file: ``recording``, ``one line``, or a failure in words.

    If `whole` is given, any other recording is a failure.
    """
    forget_peak()
    before, _ = resident()
    try:
        stage("load")
        recording = load(path)
        check_recording(recording)
        stage("values")
        responses, stimuli = recording.responses.load(), recording.stimuli.load()
        result = "recording"
        if whole and not (responses.identical(whole.responses) and stimuli.identical(whole.stimuli)):
            result = "another recording than the file was written with"
    except BrainfitError as error:
        result = "one line" if "\n" not in str(error) and str(error) else f"several lines: {error}"
    except BaseException:  # noqa: BLE001 - whatever it is, it is a failure to report
        result = f"traceback: {traceback.format_exc().strip()}"
    if (rise := resident()[1] - before) > LIMIT:
        result = f"memory: {rise / 2**20:.0f} MiB; {result}"
    return result


def tell(sender: Any, number: int, stage: str) -> None:
    """Send the stage that a file is in."""
    sender.send((number, stage, None))


def work(sender: Any, layout: str, numbers: range) -> None:
    """Send the stage and the result of each file, in this process."""
    warnings.simplefilter("ignore")
    write, load = LAYOUTS[layout]
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # HDF5 prints
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), np.random.default_rng(0))
        whole = path.read_bytes()
        written = from_arrays(**arrays(np.random.default_rng(0))) if layout == "own" else None
        for number in numbers:
            path.write_bytes(damaged(whole, np.random.default_rng([number, *layout.encode()])))
            result = one(path, load, partial(tell, sender, number), written)
            sender.send((number, "done", result))


def has_answer(receiver: Any, process: Any, limit: float) -> bool:
    """Wait for an answer; return False once the process has used `limit` more seconds of its processor."""
    cpu = psutil.Process(process.pid).cpu_times
    start = sum(cpu()[:2])
    while not receiver.poll(0.5):
        if sum(cpu()[:2]) - start > limit:
            return False
    return True


def fuzz(layout: str, numbers: range) -> tuple[Counter[str], list[str]]:
    """Return how often each result occurred, and the failures."""
    counts: Counter[str] = Counter()
    failures: list[str] = []
    context = multiprocessing.get_context("fork")
    while numbers:
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=work, args=(sender, layout, numbers))
        process.start()
        sender.close()
        number, stage, result = numbers[0], "start", None
        try:
            while has_answer(receiver, process, CPU_SECONDS if stage != "start" else 10 * CPU_SECONDS):
                number, stage, result = receiver.recv()
                if stage == "done":
                    counts[result if result in ("recording", "one line") else "failure"] += 1
                    if result not in ("recording", "one line"):
                        failures.append(f"{layout} {number}: {result}")
            ended = "hang"
            process.kill()
        except EOFError:
            ended = "crash"
        process.join()
        if stage == "done" and number == numbers[-1]:
            break
        caught = stage == "load" and layout in CHILD
        counts[f"{ended} while loading, caught" if caught else "failure"] += 1
        if not caught:
            failures.append(f"{layout} {number}: {ended} at {stage} ({process.exitcode})")
        numbers = range(number + 1, numbers.stop)
    return counts, failures


def logged(log: Path | None) -> list[dict[str, Any]]:
    """Return the blocks that a log holds; a line that was cut short is left out."""
    lines = log.read_text().splitlines() if log and log.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def run(layout: str, numbers: range) -> dict[str, Any]:
    """Return the line of the log for a block of files of one layout."""
    start = time.perf_counter()
    counts, failures = fuzz(layout, numbers)
    seconds = round(time.perf_counter() - start, 1)
    block = {"layout": layout, "first": numbers.start, "files": len(numbers)}
    return {**block, "counts": dict(counts), "failures": failures, "seconds": seconds}


def main() -> int:
    """Fuzz the layouts that the command line names; return 1 if a reader failed."""
    os.environ["BRAINFIT_CHILD"] = "1"  # load in the processes started here: they are expendable
    sys.path.append(str(Path(__file__).parents[1] / "tests" / "helpers"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--layouts", nargs="+", choices=list(LAYOUTS), default=list(LAYOUTS))
    parser.add_argument("--files", type=int, default=1000, help="damaged files of each layout")
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument(
        "--log", type=Path, help="file of results, one line a block; its blocks are not repeated"
    )
    options = parser.parse_args()
    done = logged(options.log)
    known = {(block["layout"], block["first"], block["files"]) for block in done}
    stop = options.first + options.files
    for first in range(options.first, stop, BLOCK):
        numbers = range(first, min(first + BLOCK, stop))
        for layout in options.layouts:
            if (layout, first, len(numbers)) in known:
                continue
            block = run(layout, numbers)
            done.append(block)
            if options.log:
                with options.log.open("a") as log:
                    log.write(json.dumps(block) + "\n")
            if block["failures"]:
                print("\n".join(block["failures"]), flush=True)
    for layout in options.layouts:
        counts = sum((Counter(block["counts"]) for block in done if block["layout"] == layout), Counter())
        print(json.dumps({"layout": layout, **counts}))
    print(json.dumps({"layout": "all", **sum((Counter(block["counts"]) for block in done), Counter())}))
    return 1 if any(block["failures"] for block in done) else 0


if __name__ == "__main__":
    sys.exit(main())
