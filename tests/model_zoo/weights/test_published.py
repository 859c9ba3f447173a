import hashlib
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from web import serving

from brainfit.errors import ContractError, IntegrityError, UnknownNameError
from brainfit.registry import lookup
from model_zoo.catalog import CATALOG
from model_zoo.networks.median_convrnn import median_convrnn
from model_zoo.weights.file import save_weights
from model_zoo.weights.load import set_weights
from model_zoo.weights.published import PUBLISHED, PublishedWeights, fetch, stored
from model_zoo.weights.tf_checkpoint import read_checkpoint
from model_zoo.weights.tf_names import load_variables

CHECKPOINT = Path(__file__).parents[2] / "golden" / "ckpt" / "rgc_intermediate"
FILES = ("model.ckpt.index", "model.ckpt.data-00000-of-00001")
NAME = "rgc_for_tests"
# The list in the authors' own download script.
AUTHORS = [
    "rgc_intermediate",
    "rgc_intermediate_tmaxconf",
    "rgc_intermediate_t22_tmaxconf",
    "rgc_intermediate_dthresh",
    "ugrnn_intermediate",
    "intersectionrnn_intermediate",
    "lstm_intermediate",
    "gru_intermediate",
    "simplernn_intermediate",
    "timedecay_intermediate",
    "ugrnn_intermediate_t30",
    "ugrnn_intermediate_t30_tmaxconf",
    "ugrnn_intermediate_t30_dthresh",
    "ugrnn_shallow",
    "rgc_shallow",
    "intersectionrnn_shallow",
    "lstm_shallow",
    "gru_shallow",
    "simplernn_shallow",
    "timedecay_shallow",
]


def small(image_size=None, n_classes=50):
    return median_convrnn(image_size, channel_divisor=16, n_classes=n_classes, name="small")


@pytest.fixture
def web():
    with serving() as server:
        for file in FILES:
            server.serve(f"/{file}", (CHECKPOINT / file).read_bytes())
        yield server


@pytest.fixture(autouse=True)
def folder(web, monkeypatch, tmp_path):
    """Return the cache folder of weights that the test server publishes for a registered model."""
    monkeypatch.setenv("BRAINFIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(lookup._REGISTERED["model"], "small", small)
    files = tuple((web.url(f"/{file}"), None) for file in FILES)
    monkeypatch.setitem(PUBLISHED, NAME, PublishedWeights("small", files))
    return tmp_path / "cache" / "weights" / NAME


def fetched():
    return fetch(NAME, progress=False)


def names(folder):
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"}


# The table


def test_all_weights_of_the_authors_are_listed():
    assert set(PUBLISHED) == {*AUTHORS, "resnet18", "resnet34", NAME}
    for name in AUTHORS:
        base = f"https://convrnnckpts.s3-us-west-1.amazonaws.com/{name}"
        assert PUBLISHED[name].files == tuple((f"{base}/{file}", None) for file in FILES)


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_published_weights_belong_to_models_of_the_catalogue(name):
    row = PUBLISHED[name]
    assert row.model == re.sub("_(tmaxconf|dthresh)$", "", name)
    assert row.image_size in CATALOG[row.model].image_sizes
    assert row.source


@pytest.mark.parametrize("name", ["resnet18", "resnet34"])
def test_files_of_torchvision_are_named_by_their_hash(name):
    ((url, digits),) = PUBLISHED[name].files
    assert url == f"https://download.pytorch.org/models/{name}-{digits}.pth"
    assert len(digits or "") == 8


def test_the_table_is_read_without_heavy_imports():
    heavy = "{'torch', 'numpy', 'urllib.request'}"
    code = f"import sys, model_zoo.weights.published; print(*{heavy} & {{*sys.modules}})"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == []


# Fetching


def test_weights_are_fetched_converted_and_kept(web, folder):
    assert stored(NAME) is None
    assert not folder.exists()
    path = fetched()
    assert path == stored(NAME) == folder / f"{NAME}.safetensors"
    assert names(folder) == {path.name, f"{path.name}.sha256", *(f"{file}.sha256" for file in FILES)}
    model = small(224)
    load_variables(model, read_checkpoint(CHECKPOINT))
    expected, got = model.state_dict(), load_file(path)
    assert got.keys() == expected.keys()
    assert all(torch.equal(got[name], expected[name]) for name in got)


def test_a_second_fetch_requests_nothing_and_verifies(web, folder):
    path = fetched()
    assert fetched() == path
    assert sorted(web.asked) == sorted((f"/{file}", 0) for file in FILES)
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    with pytest.raises(
        IntegrityError, match=rf"{path.name} is not what it should be: got sha256 .* delete it"
    ):
        fetched()


def test_a_file_that_does_not_hold_these_weights_is_refused(folder):
    folder.mkdir(parents=True)
    path = folder / f"{NAME}.safetensors"
    path.write_bytes(b"junk")
    with pytest.raises(IntegrityError, match="cannot read the weights in"):
        fetched()
    path.unlink()
    facts = {"image_size": 224, "source": "", "source_sha256": {}}
    save_weights(torch.nn.Linear(1, 1), path, model="other", **facts)
    with pytest.raises(IntegrityError, match="has weights of model 'other', wanted 'small'; delete it"):
        fetched()
    assert names(folder) == {path.name}


def test_a_repeated_download_must_equal_the_first(web, folder):
    path = fetched()
    path.unlink()
    (folder / f"{path.name}.sha256").write_text(f"{'0' * 64}  of an earlier version\n")
    assert fetched() == path
    path.unlink()
    data = web.pages[f"/{FILES[1]}"].content
    web.serve(f"/{FILES[1]}", data[::-1])
    with pytest.raises(IntegrityError, match=f"wanted {hashlib.sha256(data).hexdigest()} as first seen"):
        fetched()
    assert stored(NAME) is None


def test_a_published_hash_is_verified(web, monkeypatch):
    url, got = web.url(f"/{FILES[0]}"), hashlib.sha256(web.pages[f"/{FILES[0]}"].content).hexdigest()
    monkeypatch.setitem(PUBLISHED, NAME, PublishedWeights("small", ((url, "0" * 8),)))
    with pytest.raises(IntegrityError, match=f"got sha256 {got}, wanted 00000000 as published"):
        fetched()


def test_a_failed_conversion_keeps_the_download(web, folder, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(lookup._REGISTERED["model"], "small", lambda image_size: small(image_size, 7))
        with pytest.raises(ContractError, match="imnetds"):
            fetched()
    assert {*FILES} <= names(folder)
    assert stored(NAME) is None
    fetched()
    assert len(web.asked) == len(FILES)


@pytest.mark.parametrize("wrong", [[0], [1], [0, 1]])
def test_a_web_page_in_place_of_weights_is_refused(web, folder, wrong):
    for k in wrong:
        web.serve(f"/{FILES[k]}", b"please log in")
    with pytest.raises(IntegrityError, match=r"did not send weights: .*; fetch them again when"):
        fetched()
    assert names(folder) == set()
    for file in FILES:
        web.serve(f"/{file}", (CHECKPOINT / file).read_bytes())
    fetched()
    assert stored(NAME)


def test_cached_weights_are_verified_when_loaded(web, folder):
    path = fetched()
    assert set_weights(small(224), NAME, 0).startswith("sha256:")
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match=r"is not what it should be: got sha256 .* delete it"):
        set_weights(small(224), NAME, 0)


def test_files_placed_by_hand_are_used(web, folder):
    folder.mkdir(parents=True)
    for file in FILES:
        (folder / file).write_bytes((CHECKPOINT / file).read_bytes())
    assert fetched() == stored(NAME)
    assert not web.asked


def test_weights_are_converted_at_the_image_size_of_their_training(web, monkeypatch):
    sizes = []
    monkeypatch.setitem(
        lookup._REGISTERED["model"],
        "small",
        lambda image_size: sizes.append(image_size) or small(image_size),
    )
    fetched()
    assert sizes == [224]


def test_only_one_of_two_simultaneous_fetches_downloads(web, folder):
    web.pages[f"/{FILES[0]}"].pause = 1000
    with ThreadPoolExecutor(2) as threads:
        both = [threads.submit(fetched) for _ in range(2)]
        assert web.came.wait(60)
        time.sleep(0.2)  # time for the other to wait, or to send a second request
        web.go_on.set()
        assert {one.result(60) for one in both} == {stored(NAME)}
    assert len(web.asked) == len(FILES)


@pytest.mark.parametrize("call", [fetch, stored])
def test_unknown_weights_suggest_a_name(call, folder):
    with pytest.raises(
        UnknownNameError, match=r"unknown published weights 'resnet81'; did you mean 'resnet18'"
    ):
        call("resnet81")
    assert not folder.parent.exists()


def test_an_unwritable_cache_is_named_in_the_error(web, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("BRAINFIT_CACHE", str(tmp_path / "file"))
    with pytest.raises(IntegrityError, match="set BRAINFIT_CACHE to a folder that can be written"):
        fetched()
    assert not web.asked
