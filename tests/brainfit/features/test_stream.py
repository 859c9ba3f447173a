"""Features have the same bits however they are requested and stored, and are computed once."""

import logging
import os
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from linear_recording import made_up
from lookup_model import Lookup
from lookup_model import made_up as made_up_layers
from tiny import TinyModel, tiny_recording

import brainfit
from brainfit.analyses.mapping_consistency import mapping_consistency
from brainfit.analyses.temporal_generalization import temporal_generalization
from brainfit.contracts.presentation import Presentation
from brainfit.errors import ContractError, IntegrityError
from brainfit.execution import Execution
from brainfit.features import content, store, stream
from brainfit.features.keys import layer_key
from brainfit.features.store import FeatureStore, open_store
from brainfit.features.stream import open_features
from brainfit.scoring.request import check_request
from brainfit.scoring.result import Score
from brainfit.scoring.score import score


@pytest.fixture(autouse=True)
def _old_files(monkeypatch):
    """Allow source files to be edited while tests run."""
    monkeypatch.setattr("brainfit.features.code_identity._started", lambda: float("inf"))


class Counting(TinyModel):
    """The tiny model, which records the number of images of each call."""

    region_layers = {"pIT": "small", "V4": "small"}  # noqa: RUF012

    def unroll(self, images, presentation, layers):
        SHOWN.append(len(images))
        return super().unroll(images, presentation, layers)


SHOWN: list[int] = []
UNCACHED = Execution(cache=False)


@pytest.fixture
def shown(monkeypatch):
    """Return the number of images of each call; source files are assumed not to change during the test."""
    SHOWN.clear()
    monkeypatch.setattr(content, "code_identity", lambda modules: [])
    return SHOWN


def asked(**options):
    given = {"region": "pIT", "layer": "small", "seed": 0}
    model, recording = options.pop("model", None), options.pop("recording", None)
    settings = {name: options.pop(name) for name in ("batch_size", "cache") if name in options}
    execution = Execution(**{"batch_size": 4, **settings})
    return check_request(
        model or Counting(), recording or tiny_recording(), execution=execution, **{**given, **options}
    )


def open_for(request, **options):
    return open_features(request.features, request.execution, **options)


def key(request, layer="small"):
    return layer_key(request.features, layer, request.execution)


def all_of(request, images=None, again=()):
    images = np.arange(request.recording.n_images) if images is None else images
    with open_for(request, used=images, again=np.array(again, int)) as found:
        return list(found.batches("small", images))


def bits(batches):
    return [
        (b.images.tolist(), b.trajectory.index, [x.numpy().tobytes() for x in b.trajectory.blocks])
        for b in batches
    ]


def test_computed_cached_and_uncached_features_have_equal_bits(shown):
    wanted = bits(all_of(asked(cache=False)))
    assert open_store().shards() == []
    assert bits(all_of(asked())) == wanted
    assert shown == [1, 4, 4, 4, 4] * 2
    assert bits(all_of(asked())) == wanted
    assert len(shown) == 10


@pytest.mark.parametrize("cache", [True, False])
def test_images_of_a_batch_are_rows_of_the_whole_batch(shown, cache):
    request = asked(cache=cache)
    whole = rows(all_of(request))
    for images in ([0], [3, 4], [1, 3, 5, 15], [15]):
        wanted = {image: whole[image] for image in images}
        assert rows(all_of(request, np.array(images))) == wanted
        assert rows(all_of(request, np.array(images), again=images)) == wanted


def rows(batches):
    """Return the bits of each image's steps by position."""
    dense = [(batch.images, batch.trajectory.dense(len(batch.images))) for batch in batches]
    return {
        int(k): row.numpy().tobytes() for images, steps in dense for k, row in zip(images, steps, strict=True)
    }


def test_batches_without_a_needed_image_are_not_computed(shown):
    all_of(asked(), np.array([5, 13]))
    assert shown == [1, 4, 4]


def test_images_needed_twice_are_computed_once_without_a_cache(shown):
    request, test = asked(cache=False), np.array([2, 3, 9])
    train = np.setdiff1d(np.arange(16), test)
    with open_for(request, used=np.arange(16), again=test) as found:
        first = bits(found.batches("small", train))
        assert len(shown) == 5
        whole = rows(all_of(asked(cache=False)))
        del shown[5:]
        for some in (test, test[1:], test[:1]):
            assert rows(found.batches("small", some)) == {image: whole[image] for image in some.tolist()}
        assert len(shown) == 5
        assert bits(found.batches("small", train)) == first
        assert len(shown) == 9


def test_without_disk_space_the_second_pass_computes_again(shown, monkeypatch):
    monkeypatch.setattr(FeatureStore, "room", lambda self: 0)
    request = asked(cache=False)
    with open_for(request, used=np.arange(16), again=np.array([3])) as found:
        wanted = bits(found.batches("small", np.array([3])))
        assert bits(found.batches("small", np.array([3]))) == wanted
    assert shown == [1, 4, 4]


@pytest.mark.parametrize("limit", ["0", "2kB"])
def test_features_beyond_the_limit_are_not_cached_with_a_warning(shown, monkeypatch, caplog, limit):
    wanted = bits(all_of(asked()))
    open_store().clear()
    monkeypatch.setenv("BRAINFIT_CACHE_LIMIT", limit)
    with caplog.at_level(logging.WARNING):
        assert bits(all_of(asked())) == wanted
    assert "features of small take about" in caplog.text
    assert "raise BRAINFIT_CACHE_LIMIT" in caplog.text
    assert open_store().shards() == []


def other_pixel(recording):
    pixels = recording.stimuli.copy(deep=True)
    pixels[7, 3, 3, 0] += 1
    return replace(recording, stimuli=pixels)


class Gray(Counting):
    def unroll(self, images, presentation, layers):
        return super().unroll(images.mean(1, keepdim=True).expand(-1, 3, -1, -1), presentation, layers)


class Two(Counting):
    layers = ("small", "other")


def test_every_setting_that_changes_features_changes_their_key():
    base = asked()
    others = {
        "presentation": asked(presentation=Presentation(on_ms=50)),
        "gray": asked(presentation=Presentation(background=0.25)),
        "image_size": asked(model=Counting(image_size=8)),
        "seed of the model": asked(model=Counting(seed=1)),
        "code": asked(model=Gray()),
        "layer": asked(model=Two(), layer="other"),
        "same layer of another model": asked(model=Two()),
        "precision": replace(base, execution=Execution(precision="bfloat16")),
    }
    keys = {name: key(request, request.layer) for name, request in {"base": base, **others}.items()}
    assert len(set(keys.values())) == len(keys), keys
    assert key(asked(region="V4")) == keys["base"]
    assert key(asked(seed=5, mapping="pls", control="per-bin")) == keys["base"]


def test_the_number_of_threads_changes_the_key():
    base, threads = key(asked()), torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        assert key(asked()) != base
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("variable", ["ONEDNN_DEFAULT_FPMATH_MODE", "MKL_CBWR", "CUBLAS_WORKSPACE_CONFIG"])
def test_settings_of_kernels_change_the_key(monkeypatch, variable):
    base = key(asked())
    monkeypatch.setenv(variable, "1")
    assert key(asked()) != base


def settings_of_torch():
    def default_dtype():
        torch.set_default_dtype(torch.float64)
        yield
        torch.set_default_dtype(torch.float32)

    def deterministic():
        torch.use_deterministic_algorithms(True)
        yield
        torch.use_deterministic_algorithms(False)

    def no_onednn():
        torch._C._set_mkldnn_enabled(False)
        yield
        torch._C._set_mkldnn_enabled(True)

    def precision():
        torch.set_float32_matmul_precision("medium")
        yield
        torch.set_float32_matmul_precision("highest")

    return [default_dtype, deterministic, no_onednn, precision]


@pytest.mark.parametrize("setting", settings_of_torch(), ids=lambda setting: setting.__name__)
def test_settings_of_torch_change_the_key(setting):
    base = key(asked())
    with contextmanager(setting)():
        assert key(asked()) != base
    assert key(asked()) == base


def test_features_of_a_changed_model_are_computed_again(shown):
    model = Counting()
    all_of(asked(model=model))
    model.seed = 7
    all_of(asked(model=model))
    assert shown == [1, 4, 4, 4, 4] * 2


def test_pixels_and_the_batch_size_change_the_key(shown):
    all_of(asked())
    before = len(shown)
    all_of(asked(recording=other_pixel(tiny_recording())))
    assert shown[before:].count(4) == 1  # only the batch of that image
    before = len(shown)
    all_of(asked(batch_size=8))
    assert shown[before:] == [1, 8, 8]


def test_only_a_damaged_batch_is_computed_again(shown, caplog):
    wanted = bits(all_of(asked()))
    path = open_store().shards()[1].path
    path.write_bytes(path.read_bytes()[:100])
    before = len(shown)
    assert bits(all_of(asked())) == wanted
    assert [n for n in shown[before:] if n == 4] == [4]
    assert [record.levelname for record in caplog.records].count("WARNING") == 1


class Fickle(Counting):
    def unroll(self, images, presentation, layers):
        return super().unroll(images - images.mean(dim=0), presentation, layers)


@pytest.mark.parametrize("used", [[0, 1, 5], [5]])
def test_a_model_that_depends_on_its_batch_is_refused(used):
    with pytest.raises(ContractError, match="depend on the other images of its batch"):
        all_of(asked(model=Fickle()), np.array(used))
    assert open_store().shards() == []


def test_a_model_without_a_hash_is_scored_without_a_cache(caplog):
    model: Any = Counting()
    model.extra = (k for k in "ab")
    with caplog.at_level(logging.INFO):
        request = asked(model=model)
    assert request.features.content is None
    assert (
        "features of model 'tiny' are not kept in the cache: it cannot be read by value: cannot pickle "
        "'generator' object" in caplog.text
    )
    all_of(request)
    assert open_store().shards() == []


def test_a_cache_that_cannot_be_written_is_refused_before_any_work(shown, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BRAINFIT_CACHE", str(tmp_path / "file"))
    with pytest.raises(IntegrityError, match=r"cannot write features to .*--no-cache, cache=False"):
        score(Counting(), tiny_recording(), region="pIT")
    assert shown == []
    score(Counting(), tiny_recording(), region="pIT", execution=Execution(cache=False))


def same_scores(a, b):
    assert a.data.identical(b.data)
    timed = ("seconds", "peak_memory_gb")
    plain = [{k: v for k, v in one.info.items() if k not in timed} for one in (a, b)]
    assert plain[0] == plain[1]


def test_scores_with_without_and_from_a_cache_are_equal(shown):
    def scored(**options: Any) -> Score:
        execution = Execution(batch_size=8, cache=options.pop("cache", True))
        return score(Counting(), tiny_recording(n_images=40), region="pIT", execution=execution, **options)

    without = scored(cache=False)
    n = len(shown)
    same_scores(scored(), without)
    assert len(shown) == 2 * n == 12
    same_scores(scored(), without)
    for options in ({"seed": 3}, {"mapping": "pls"}, {"control": "per-bin"}, {"mapping": "factorized"}):
        from_cache = scored(**options)
        assert len(shown) == 2 * n
        same_scores(from_cache, scored(cache=False, **options))
        del shown[2 * n :]
    score(Counting(), tiny_recording(n_images=40), region="V4", execution=Execution(batch_size=8))
    assert len(shown) == 2 * n


def test_the_hash_of_the_data_does_not_depend_on_the_split():
    recording, model = made_up(n_images=60)
    first, second = (
        score(model, recording, region="pIT", seed=seed, execution=Execution(batch_size=7 + seed))
        for seed in (0, 1)
    )
    assert first.info["provenance"]["recording"]["sha256"] == second.info["provenance"]["recording"]["sha256"]
    other = replace(recording, stimuli=recording.stimuli ^ 1)
    third = score(LinearLike(model), other, region="pIT")
    assert third.info["provenance"]["recording"]["sha256"] != first.info["provenance"]["recording"]["sha256"]


class LinearLike(TinyModel):
    def __init__(self, model):
        super().__init__(image_size=8)


class Layers(Lookup):
    """A model with given layers; its record of requests is not part of its content."""

    def unroll(self, images, presentation, layers):
        SHOWN.append(len(layers))
        return super().unroll(images, presentation, layers)


def layered(**options):
    recording, model = made_up_layers()
    arrays = {name: value.numpy() for name, value in model.features.items()}
    return Layers(recording, {"V4": "noise"}, **arrays), recording


@pytest.mark.parametrize("cache", [True, False])
def test_all_candidate_layers_come_from_one_pass(shown, cache):
    model, recording = layered()
    found = brainfit.assign_layers(model, recording, execution=Execution(cache=cache))
    assert shown == [3] * 6  # one image on its own, then five batches of 16
    wanted = brainfit.assign_layers(model, recording, execution=Execution(cache=False, batch_size=16))
    assert found.data.identical(wanted.data)


def test_layers_beyond_memory_are_read_one_by_one(shown, monkeypatch):
    model, recording = layered()
    wanted = brainfit.assign_layers(model, recording, execution=UNCACHED)
    del shown[:]
    monkeypatch.setattr(stream, "available_bytes", lambda: 1000)
    assert brainfit.assign_layers(model, recording, execution=UNCACHED).data.identical(wanted.data)
    assert shown == [3] + [1] * 18
    monkeypatch.undo()
    monkeypatch.setattr(content, "code_identity", lambda modules: [])
    monkeypatch.setenv("BRAINFIT_CACHE_LIMIT", "100kB")
    assert brainfit.assign_layers(model, recording).data.identical(wanted.data)
    assert sum(shard.size for shard in open_store().shards()) <= 100_000


def test_the_choice_of_a_layer_and_the_score_share_features(shown):
    model, recording = layered()
    found = score(model, recording, region="pIT", layer="auto")
    assert found.info["layer"] == "second"
    assert shown == [3] * 6
    same = score(model, recording, region="pIT", layer="auto", execution=UNCACHED)
    same_scores(found, same)


def test_other_analyses_use_the_same_features(shown):
    recording = tiny_recording(n_images=24, n_trials=4)
    score(Counting(), recording, region="pIT")
    n = len(shown)
    found = temporal_generalization(Counting(), recording, region="pIT")
    consistency = mapping_consistency(Counting(), recording, region="pIT", n_halvings=2)
    assert len(shown) == n
    anew = temporal_generalization(Counting(), recording, region="pIT", execution=UNCACHED)
    assert found.data.identical(anew.data)
    again = mapping_consistency(Counting(), recording, region="pIT", n_halvings=2, execution=UNCACHED)
    assert consistency.data.identical(again.data)


def test_a_full_disk_stops_a_score_in_one_line_and_the_next_resumes(shown, monkeypatch):
    wanted = score(Counting(), tiny_recording(), region="pIT", execution=Execution(batch_size=4, cache=False))
    del shown[:]
    write, written = store.write_shard, []

    def until_full(*arguments, **options):
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        written.append(1)
        return write(*arguments, **options)

    monkeypatch.setattr(store, "write_shard", until_full)
    with pytest.raises(IntegrityError, match="No space left on device; free some space and ask again"):
        score(Counting(), tiny_recording(), region="pIT", execution=Execution(batch_size=4))
    assert shown == [1, 4, 4, 4]
    monkeypatch.setattr(store, "write_shard", write)
    same_scores(score(Counting(), tiny_recording(), region="pIT", execution=Execution(batch_size=4)), wanted)
    assert shown == [1, 4, 4, 4, 4, 4]


class Lazy(TinyModel):
    """A model that reads its weights at the first call."""

    region_layers = {"pIT": "small"}  # noqa: RUF012
    gain: float | None = None

    def unroll(self, images, presentation, layers):
        if self.gain is None:
            self.gain = float(os.environ["GAIN"])
        return super().unroll(images * self.gain, presentation, layers)


class Token(Lazy):
    """A model with a cache token."""

    def cache_token(self):
        return os.environ["GAIN"]


@pytest.mark.parametrize(("kind", "n_kept"), [(Lazy, 0), (Token, 4)])
def test_features_of_weights_that_are_read_late_never_go_stale(monkeypatch, caplog, kind, n_kept):
    found = {}
    for gain in ("1", "0.5", "1"):
        monkeypatch.setenv("GAIN", gain)
        found[gain] = bits(all_of(asked(model=kind())))
        assert found[gain] == bits(all_of(asked(model=kind(), cache=False)))
    assert found["1"] != found["0.5"]
    assert len(open_store().shards()) == 2 * n_kept
    assert ("has changed since the score began" in caplog.text) == (not n_kept)


def test_a_model_changed_after_planning_is_computed_again():
    model = Counting()
    wanted = bits(all_of(asked(model=Counting(seed=7))))
    all_of(asked(model=model))
    request = asked(model=model)
    model.seed = 7
    assert bits(all_of(request)) == wanted


@settings(max_examples=6, deadline=None)
@given(
    st.integers(2, 4).flatmap(lambda size: st.tuples(st.just(size), st.permutations(range(size)))),
    st.sets(st.integers(0, 11), min_size=1, max_size=8),
)
@example((2, [0, 1]), {0, 3})
def test_repeated_pictures_have_equal_bits_with_and_without_a_cache(batch, again):
    batch_size, pictures = batch[0], [*batch[1]] * (12 // batch[0])  # every batch has the same pictures
    base = tiny_recording()
    images = np.arange(len(pictures))
    stimuli = base.stimuli.isel(image=pictures)
    recording = replace(base.select_images(images), stimuli=stimuli)
    test = np.array(sorted(again & set(images.tolist())), int)
    train = np.setdiff1d(images, test)

    def passes(cache):
        request = asked(recording=recording, cache=cache, batch_size=batch_size)
        with open_for(request, used=images, again=test) as found:
            return [bits(found.batches("small", some)) for some in (train, test, test[1:], images)]

    with pytest.MonkeyPatch.context() as patch:
        with tempfile.TemporaryDirectory() as folder:
            patch.setenv("BRAINFIT_CACHE", folder)
            spooled, cached = passes(cache=False), passes(cache=True)
            assert passes(cache=True) == cached
        patch.setattr(FeatureStore, "room", lambda self: 0)
        assert passes(cache=False) == spooled == cached
