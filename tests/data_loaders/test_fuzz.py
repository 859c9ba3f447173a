"""Damaged files of every layout give a recording or one line, and never hang, crash or exhaust memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "perf" / "fuzz_readers.py"


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["npz", "own", "netcdf4", "netcdf3", "hdf5", "brainio", "hvm", "nwb"])
def test_damaged_files_give_a_recording_or_one_line(layout):
    """Test a sample; ``perf/fuzz_readers.py`` runs any number of examples."""
    command = [sys.executable, str(SCRIPT), "--layouts", layout, "--files", "100"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = json.loads(done.stdout.splitlines()[0])
    assert counts["recording"]
    assert counts["one line"]
