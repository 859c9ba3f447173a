"""Facts about the machine and the run: memory, hashes, versions and progress."""

import numpy as np
import pytest
import torch

from brainfit.errors import ResourceError
from brainfit.support import memory
from brainfit.support.progress import progress_bar
from brainfit.support.provenance import ContentHash, environment, weights_sha256


def test_available_memory_respects_the_limit_of_a_container(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    free = memory.available_bytes()
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert memory.available_bytes() == pytest.approx(free, rel=0.2)
    (tmp_path / "memory.max").write_text("5000\n")
    assert memory.available_bytes() == 4000


def test_a_need_beyond_memory_is_refused_with_advice(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 3e9)
    memory.check_memory({"features": 2e9}, "lower it")
    with pytest.raises(
        ResourceError, match=r"about 4 GB \(features 2 GB, solver 2 GB\), and 3 GB are .*lower it"
    ):
        memory.check_memory({"features": 2e9, "solver": 2e9}, "lower it")


def test_the_memory_peak_is_that_of_this_process():
    before = memory.peak_bytes()
    np.ones(2**28, np.uint8)
    assert 0 < before <= memory.peak_bytes() < before + 2**30


def test_a_content_hash_does_not_depend_on_chunks(rng):
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


def test_the_hash_of_weights_depends_on_names_and_values():
    net = torch.nn.Linear(3, 2)
    first = weights_sha256(net)
    assert weights_sha256(net) == first
    with torch.no_grad():
        net.bias.add_(1)
    assert weights_sha256(net) != first
    assert weights_sha256("no module") is None


def test_versions_are_those_of_the_imported_packages():
    assert environment()["versions"]["torch"] == torch.__version__


@pytest.mark.parametrize("shown", [True, False])
def test_progress_goes_to_stderr_with_the_remaining_time(shown, capsys):
    with progress_bar("unroll", 4, shown=shown) as on_progress:
        on_progress(4)
    out, err = capsys.readouterr()
    assert out == ""
    assert ("unroll" in err and "4/4" in err and "left" in err) == shown
