"""Memory, hashes and progress: what a run says of itself and of the machine."""

import numpy as np
import pytest
import torch

from brainfit.errors import ResourceError
from brainfit.support import memory
from brainfit.support.progress import progress_bar
from brainfit.support.provenance import ContentHash, environment, weights_sha256


def test_a_container_s_limit_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    free = memory.available_bytes()
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert memory.available_bytes() == pytest.approx(free, rel=0.2)
    (tmp_path / "memory.max").write_text("5000\n")
    assert memory.available_bytes() == 4000


def test_what_fits_passes_and_what_does_not_says_what_to_lower(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 3e9)
    memory.check_memory({"features": 2e9}, "lower it")
    with pytest.raises(
        ResourceError, match=r"about 4 GB \(features 2 GB, solver 2 GB\), and 3 GB are .*lower it"
    ):
        memory.check_memory({"features": 2e9, "solver": 2e9}, "lower it")


def test_the_peak_is_that_of_this_process():
    before = memory.peak_bytes()
    np.ones(2**28, np.uint8)
    assert 0 < before <= memory.peak_bytes() < before + 2**30


def test_a_hash_of_contents_does_not_depend_on_how_they_were_cut(rng):
    values, pixels = rng.normal(size=(10, 3)), rng.integers(0, 9, size=(10, 4))
    digests = set()
    for cut in (1, 3, 10):
        content = ContentHash()
        for start in range(0, 10, cut):
            content.update("pixels", pixels[start : start + cut])
            content.update("values", values[start : start + cut])
        digests.add(content.hexdigest())
    assert len(digests) == 1
    other = ContentHash()
    other.update("pixels", pixels)
    other.update("values", np.nextafter(values, 1))
    assert other.hexdigest() not in digests


def test_weights_are_hashed_by_name_and_value():
    net = torch.nn.Linear(3, 2)
    first = weights_sha256(net)
    assert weights_sha256(net) == first
    with torch.no_grad():
        net.bias.add_(1)
    assert weights_sha256(net) != first
    assert weights_sha256("no module") is None


def test_versions_are_those_that_ran():
    assert environment()["versions"]["torch"] == torch.__version__


@pytest.mark.parametrize("shown", [True, False])
def test_a_bar_goes_to_stderr_and_says_how_long_is_left(shown, capsys):
    with progress_bar("unroll", 4, shown=shown) as advance:
        advance(4)
    out, err = capsys.readouterr()
    assert out == ""
    assert ("unroll" in err and "4/4" in err and "left" in err) == shown
