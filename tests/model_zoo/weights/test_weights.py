import functools
import hashlib
import json
import os
import pickle
import re
import struct
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import tf_bundle as tf
import torch
from tiny import TinyModel
from torch import nn

import brainfit
from brainfit.contracts.presentation import Presentation
from brainfit.errors import BrainfitError, ContractError, IntegrityError, UnknownNameError
from model_zoo.adapters import from_module
from model_zoo.engine.graph import GraphModel
from model_zoo.weights import published
from model_zoo.weights.convert import convert
from model_zoo.weights.file import WeightsInfo, read_info, save_weights
from model_zoo.weights.load import choose_image_size, find_weights, set_weights
from model_zoo.weights.tf_checkpoint import read_checkpoint
from model_zoo.weights.tf_names import their_layer

GOLDEN = Path(__file__).parents[2] / "golden"
CKPT = GOLDEN / "ckpt" / "rgc_intermediate"
SMALL = {"n_classes": 50, "channel_divisor": 16}
FACTS = {"model": "net", "image_size": 32, "source": "here", "source_sha256": {"a.pth": "00"}}
ONE_LINE = re.compile(r"[^\n]{1,600}")


def network(seed=0):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.LazyLinear(2))
    net(torch.rand(2, 3, 8, 8))
    return net.eval()


def state(net):
    return {name: values.clone() for name, values in net.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def golden(**options) -> GraphModel:
    model = brainfit.load_model("rgc_intermediate", **SMALL, **options)
    assert isinstance(model, GraphModel)
    return model


def refused(error, says, action):
    with pytest.raises(error) as caught:
        action()
    assert isinstance(caught.value, BrainfitError)
    assert ONE_LINE.fullmatch(str(caught.value))
    assert says in str(caught.value)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "net.safetensors"
    save_weights(network(), path, **FACTS)
    return path


@pytest.fixture
def store(monkeypatch, tmp_path):
    monkeypatch.setenv("BRAINFIT_CACHE", str(tmp_path / "cache"))


class TestSetWeights:
    def test_random_weights_are_drawn_from_the_seed(self):
        asked = []
        assert set_weights(network(), "random", 3, lambda net, seed: asked.append(seed)) == "random:3"
        assert asked == [3]

    @pytest.mark.parametrize("kind", [str, Path])
    def test_weights_of_a_file_are_named_by_its_sha256_for_any_seed(self, file, kind):
        wanted = state(network())
        for seed in (1, 2):
            net = network(seed)
            assert not same(state(net), wanted)
            called = set_weights(net, kind(file), seed, lambda *_: pytest.fail("drew some"))
            assert called == f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
            assert same(state(net), wanted)

    def test_numbers_are_cast_and_batch_counters_may_be_missing(self, tmp_path):
        wanted = state(network())
        for dtype in (torch.float16, torch.bfloat16, torch.float64):
            tensors = {n: v.to(dtype) for n, v in wanted.items() if not n.endswith("num_batches_tracked")}
            safetensors.torch.save_file(tensors, tmp_path / "half.safetensors")
            net = network(1)
            set_weights(net, str(tmp_path / "half.safetensors"), 0)
            assert {v.dtype for n, v in state(net).items()} == {torch.float32, torch.int64}
            assert same(state(net), {**wanted, **{n: v.float() for n, v in tensors.items()}})

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"0.bias": None}, "lacks 0.bias;"),
            (
                {"0.bias": None, "0.weight": None, "3.bias": None, "3.weight": None, "1.bias": None},
                "and 1 more",
            ),
            ({"other": torch.ones(2)}, "has unknown other;"),
            ({"0.bias": torch.ones(5)}, "has misshapen 0.bias (5,) instead of (4,); wanted"),
            ({"0.bias": torch.ones(4, 1)}, "has misshapen 0.bias (4, 1) instead of (4,); wanted"),
            (
                {"0.bias": torch.ones(5), "1.bias": torch.ones(3)},
                "0.bias (5,) instead of (4,), 1.bias (3,) instead of (4,); wanted",
            ),
            ({"0.bias": torch.ones(4, dtype=torch.int64)}, "whole ones where others are wanted, in 0.bias"),
            ({"0.bias": torch.ones(4, dtype=torch.complex64)}, "no real numbers"),
            ({"1.num_batches_tracked": torch.tensor(1.5)}, "in 1.num_batches_tracked"),
            ({"3.bias": torch.tensor([1, torch.nan])}, "not finite in 3.bias"),
            ({"3.bias": torch.tensor([1, 1e300], dtype=torch.float64)}, "not finite in 3.bias"),
        ],
    )
    def test_a_mismatch_is_named_and_the_model_is_unchanged(self, tmp_path, change, says):
        net = network()
        before = state(net)
        tensors = {n: v for n, v in (state(network(1)) | change).items() if v is not None}
        safetensors.torch.save_file(tensors, tmp_path / "w.safetensors")
        refused(ContractError, says, lambda: set_weights(net, str(tmp_path / "w.safetensors"), 0))
        assert same(state(net), before)

    def test_a_file_for_another_model_names_that_model(self, file):
        refused(ContractError, "(of model net) does not fit", lambda: golden(weights=file))

    def test_weights_for_one_image_size_name_that_size(self, tmp_path):
        """The peepholes of this network have the size of its maps."""
        sized = functools.partial(brainfit.load_model, "lstm_shallow", n_classes=10, channel_divisor=16)
        path = tmp_path / "w.safetensors"
        trained = sized(image_size=96)
        assert isinstance(trained, GraphModel)
        save_weights(trained, path, **FACTS | {"model": "lstm_shallow", "image_size": 96})
        assert same(state(sized(weights=path)), state(trained))
        refused(
            ContractError, "the same options; use image_size=96", lambda: sized(weights=path, image_size=65)
        )
        # At their own image size the mismatch has another cause.
        with pytest.raises(ContractError, match=r"built with the same options$"):
            sized(weights=path, image_size=96, n_classes=11)


class TestFindWeights:
    @pytest.mark.parametrize(
        "name", ["w.pth", "w.pt", "pytorch_model.bin", "model.ckpt", "a/model.ckpt.index"]
    )
    def test_files_of_other_formats_name_the_convert_command(self, name):
        refused(ContractError, f"brainfit weights convert {name} --model", lambda: find_weights(name))

    def test_files_of_unknown_formats_name_the_convert_command(self, tmp_path):
        (tmp_path / "weights.bin").write_bytes(b"x")
        refused(
            ContractError, "brainfit weights convert", lambda: find_weights(str(tmp_path / "weights.bin"))
        )

    def test_a_folder_of_a_training_run_gives_its_weights(self, tmp_path):
        with pytest.raises(IntegrityError, match=r"there is no file of weights .*weights\.safetensors"):
            find_weights(str(tmp_path))
        (tmp_path / "weights.safetensors").write_bytes(b"x")
        assert find_weights(str(tmp_path)) == tmp_path / "weights.safetensors"

    @pytest.mark.parametrize("name", ["none.safetensors", "a\0b.safetensors", "x" * 5000 + ".safetensors"])
    def test_a_missing_file_is_named(self, name):
        with pytest.raises(IntegrityError, match="there is no file"):
            find_weights(name)

    def test_unknown_and_unfetched_weights_give_advice(self, store):
        refused(UnknownNameError, "mean 'rgc_intermediate'", lambda: find_weights("rgc_intermediat"))
        refused(UnknownNameError, "known: random", lambda: find_weights("zzz"))
        refused(IntegrityError, "brainfit weights fetch gru_shallow", lambda: find_weights("gru_shallow"))

    def test_fetched_weights_are_found_by_name(self, store, monkeypatch, file):
        monkeypatch.setattr(published, "stored", {"gru_shallow": file}.get)
        assert find_weights("gru_shallow") == file


class TestImageSize:
    def test_image_size_is_the_requested_or_the_trained_or_128(self, file, tmp_path):
        assert choose_image_size(64, "random", 32) == 64
        assert choose_image_size(64, str(file), 32) == 64
        assert choose_image_size(None, "random", 32) == 128
        assert choose_image_size(None, str(file), 32) == 32
        safetensors.torch.save_file({"a": torch.ones(1)}, tmp_path / "other.safetensors")
        assert choose_image_size(None, str(tmp_path / "other.safetensors"), 32) == 128

    def test_a_too_small_image_size_is_refused(self, file):
        refused(ContractError, "from 65 up, got 32", lambda: choose_image_size(None, str(file), 65))
        refused(ContractError, "from 65 up, got 64", lambda: choose_image_size(64, str(file), 65))


class TestFiles:
    def test_a_file_records_what_it_holds(self, tmp_path):
        path = tmp_path / "w.safetensors"
        save_weights(network(), path, **FACTS, decoder={"beta": 1.5})
        facts = {"parameters": sum(p.numel() for p in network().parameters()), "decoder": {"beta": 1.5}}
        assert read_info(path) == WeightsInfo(**FACTS, **facts)

    def test_equal_weights_give_equal_files(self, tmp_path):
        """safetensors itself writes the keys of a header in arbitrary order."""
        paths = [tmp_path / f"{k}.safetensors" for k in range(5)]
        (info,) = {repr(save_weights(network(), path, **FACTS)) for path in paths}
        assert info == repr(read_info(paths[0]))
        assert len({path.read_bytes() for path in paths}) == 1

    def test_files_of_others_carry_no_information(self, tmp_path):
        safetensors.torch.save_file({"a": torch.ones(1)}, tmp_path / "w.safetensors", {"format": "pt"})
        assert read_info(tmp_path / "w.safetensors") == WeightsInfo()

    def test_files_are_not_overwritten_and_never_partial(self, file, tmp_path, monkeypatch):
        before = file.read_bytes()
        refused(ContractError, "is there already", lambda: save_weights(network(1), file, **FACTS))
        folder = tmp_path / "folder.safetensors"
        folder.mkdir()
        refused(ContractError, "is there already", lambda: save_weights(network(1), folder, **FACTS))
        refused(ContractError, "ends on", lambda: save_weights(network(1), tmp_path / "w.pt", **FACTS))
        nowhere = tmp_path / "none" / "w.safetensors"
        refused(IntegrityError, "No such file", lambda: save_weights(network(1), nowhere, **FACTS))
        monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left")))
        other = tmp_path / "other.safetensors"
        refused(IntegrityError, "No space left", lambda: save_weights(network(1), other, **FACTS))
        assert {path.name for path in tmp_path.iterdir()} == {file.name, folder.name}
        assert file.read_bytes() == before

    def test_shared_parameters_are_written_twice(self, tmp_path):
        net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        net[1].weight = net[0].weight
        save_weights(net, tmp_path / "w.safetensors", **FACTS)
        other = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        set_weights(other, str(tmp_path / "w.safetensors"), 0)
        assert same(state(other), state(net))

    @pytest.mark.parametrize(
        "text",
        [
            "{",
            "[]",
            '{"other": 1}',
            '{"image_size": "224"}',
            '{"image_size": true}',
            '{"image_size": -1}',
            '{"model": 3}',
            '{"decoder": []}',
            "[" * 100_000,
        ],
    )
    def test_invalid_headers_are_refused(self, tmp_path, text):
        path = tmp_path / "w.safetensors"
        safetensors.torch.save_file({"a": torch.ones(1)}, path, {"brainfit": text})
        refused(IntegrityError, "what its header says", lambda: read_info(path))

    def test_damaged_files_are_refused(self, file, tmp_path, rng):
        """safetensors has no checksum, so damage is detected in the header only."""
        whole = file.read_bytes()
        header = 8 + struct.unpack("<Q", whole[:8])[0]
        cut = [whole[:size] for size in (0, 4, 8, 100, header, len(whole) - 1)]
        random = [bytes(rng.bytes(n)) for n in (8, 100)]
        for content in [*cut, *random, whole + b"0", struct.pack("<Q", 2**62) + whole[8:]]:
            file.write_bytes(content)
            refused(IntegrityError, "cannot read the weights", lambda: set_weights(network(), str(file), 0))
        for at in rng.integers(header, size=200):
            file.write_bytes(whole[:at] + bytes([whole[at] ^ int(rng.integers(1, 128))]) + whole[at + 1 :])
            try:
                set_weights(network(), str(file), 0)
            except BrainfitError as error:
                message = str(error)
                assert "\n" not in message, message
        refused(IntegrityError, "cannot read", lambda: read_info(tmp_path))

    def test_types_unknown_to_torch_are_refused(self, file):
        header = json.dumps({"a": {"dtype": "F8_E8M0", "shape": [1], "data_offsets": [0, 1]}}).encode()
        file.write_bytes(struct.pack("<Q", len(header)) + header + b"\0")
        refused(BrainfitError, str(file), lambda: set_weights(network(), str(file), 0))


def converted(path, out):
    """Return the information about converted weights, and a model that holds them."""
    return convert(path, golden(image_size=224, seed=5), out), golden(weights=out, seed=7)


class TestTensorFlow:
    def test_converted_weights_give_the_authors_activities(self, tmp_path):
        info, model = converted(CKPT, tmp_path / "w.safetensors")
        assert (info.model, info.image_size, info.source) == ("rgc_intermediate", 224, "rgc_intermediate")
        assert info.parameters == sum(p.numel() for p in model.parameters())
        assert sorted(info.source_sha256) == ["model.ckpt.data-00000-of-00001", "model.ckpt.index"]
        index = (CKPT / "model.ckpt.index").read_bytes()
        assert info.source_sha256["model.ckpt.index"] == hashlib.sha256(index).hexdigest()
        assert model.image_size == 224
        assert re.fullmatch("sha256:[0-9a-f]{64}", model.weights)

        with np.load(GOLDEN / "rgc_intermediate_224.npz") as fixture:
            data = dict(fixture)
        meta = json.loads(str(data["meta"]))
        images = torch.from_numpy(data["images_uint8"]).permute(0, 3, 1, 2).float() / 255
        shown = Presentation(10 * meta["image_off"], 10 * (meta["T"] - meta["image_off"]))
        seen = model.unroll(images, shown, model.layers)
        for ours, layer in zip(model.layers, map(their_layer, model.layers), strict=True):
            every = meta["every"].get(f"full/{layer}", 1)
            for step, theirs in zip(data[f"full_t/{layer}"], data[f"full/{layer}"], strict=True):
                block = seen[ours].blocks[seen[ours].index[step]]
                values = (block[:, :, ::every, ::every] if block.ndim == 4 else block).movedim(1, -1)
                error = np.abs(values[: len(theirs)].expand(theirs.shape).numpy() - theirs).max()
                assert error <= 1e-4 * data[f"full/{layer}"].std(), (layer, step)

    def test_optimiser_slots_are_dropped_and_decoder_settings_kept(self, tmp_path):
        variables = read_checkpoint(CKPT)
        slots = {f"{name}/Momentum": -values for name, values in variables.items()}
        decoder = {
            "tnn_model/normalize/softmax_beta": np.float32(1.5),
            "tnn_model/decoder_threshold": np.float32(0.25),
            "tnn_model/probs/softmax_beta": np.float32(1),
        }
        steps = {"global_step": np.array(10**12)}
        prefix = tmp_path / "model.ckpt-1000"
        tf.write(prefix, variables | slots | decoder | steps, n_shards=3, per_block=20, interval=16)
        info, model = converted(prefix, tmp_path / "w.safetensors")
        assert info.decoder == {"beta": 1.5, "threshold": 0.25}
        assert len(info.source_sha256) == 4
        _, plain = converted(CKPT, tmp_path / "plain.safetensors")
        assert same(state(model), state(plain))

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"tnn_model/conv1/pre_0/bias": None}, "without variable tnn_model/conv1/pre_0/bias"),
            (
                {"tnn_model/conv1/other": np.ones(1, np.float32)},
                "with unknown variable tnn_model/conv1/other",
            ),
            ({"tnn_model/conv1/pre_0/bias": np.ones(3, np.float32)}, "misshapen"),
            ({"tnn_model/decoder_threshold": np.float32(np.nan)}, "no finite number for the decoder's"),
            ({"tnn_model/decoder_threshold": np.ones(2, np.float32)}, "not one number"),
        ],
    )
    def test_variables_that_do_not_fit_are_refused(self, tmp_path, change, says):
        variables = read_checkpoint(CKPT) | change
        tf.write(tmp_path / "m", {name: values for name, values in variables.items() if values is not None})
        out = tmp_path / "w.safetensors"
        refused(ContractError, says, lambda: convert(tmp_path / "m", golden(), out))
        assert not out.exists()

    def test_variables_of_another_model_are_refused(self, tmp_path):
        out = tmp_path / "w.safetensors"
        other = brainfit.load_model("gru_shallow", **SMALL)
        refused(ContractError, "without variable tnn_model/conv", lambda: convert(CKPT, other, out))
        foreign = from_module(network(), ["0"], 8, name="mine")
        refused(ContractError, "'mine' only torch files", lambda: convert(CKPT, foreign, out))


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


class TestTorch:
    @pytest.fixture
    def mine(self):
        return from_module(network(1), ["0", "3"], 8, name="mine")

    @pytest.mark.parametrize("wrap", ["state_dict", "model", None])
    @pytest.mark.parametrize("prefix", ["", "module."])
    @pytest.mark.parametrize("kind", ["zip", "old", "safetensors"])
    def test_state_dicts_of_every_layout_are_converted(self, tmp_path, mine, wrap, prefix, kind, caplog):
        caplog.set_level("INFO", "model_zoo")
        wanted = state(network(2))
        tensors = {prefix + name: values for name, values in wanted.items()}
        path = tmp_path / f"theirs.{kind}"
        if kind == "safetensors":
            safetensors.torch.save_file(tensors, path)
        else:
            content = {"epoch": 3, wrap: tensors, "best": torch.tensor(1.0)} if wrap else tensors
            torch.save(content, path, _use_new_zipfile_serialization=kind == "zip")
        out = tmp_path / "w.safetensors"
        info = convert(path, mine, out, origin="https://there", image_size=8)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        taken_off = [f"the key {wrap!r}"] * bool(wrap and kind != "safetensors")
        taken_off = " and ".join(taken_off + ["'module.' before every name"] * bool(prefix))
        source = f"https://there, without {taken_off}" if taken_off else "https://there"
        assert (info.model, info.image_size, info.source) == ("mine", 8, source)
        assert caplog.messages == ([f"{path}: took off {taken_off}"] if taken_off else [])
        assert info.source_sha256 == {path.name: sha256}
        net = network(3)
        set_weights(net, str(out), 0)
        assert same(state(net), wanted)

    def test_a_prefix_shared_by_all_names_is_kept_if_the_network_has_it(self, tmp_path):
        net = nn.ModuleDict({"module": network(2)})
        torch.save(net.state_dict(), tmp_path / "w.pth")
        model = from_module(nn.ModuleDict({"module": network()}), ["module.0"], 8)
        convert(tmp_path / "w.pth", model, tmp_path / "w.safetensors")
        assert same(state(model.network), state(net))

    def test_the_state_dict_of_a_graph_is_converted(self, tmp_path):
        torch.save(golden(seed=1).state_dict(), tmp_path / "w.pt")
        _, model = converted(tmp_path / "w.pt", tmp_path / "w.safetensors")
        assert same(state(model), state(golden(seed=1)))

    @pytest.mark.parametrize("old", [True, False])
    def test_code_in_a_pickle_is_not_executed(self, tmp_path, mine, old):
        path, trace = tmp_path / "evil.pth", tmp_path / "was here"
        content = {"state_dict": state(network()), "args": Evil(trace)}
        torch.save(content, path, _use_new_zipfile_serialization=not old)
        out = tmp_path / "w.safetensors"
        refused(IntegrityError, "nothing is unpickled but", lambda: convert(path, mine, out))
        path.write_bytes(pickle.dumps(Evil(trace)))
        refused(IntegrityError, "nothing is unpickled but", lambda: convert(path, mine, out))
        assert {item.name for item in tmp_path.iterdir()} == {"evil.pth"}
        pickle.loads(pickle.dumps(Evil(trace)))
        assert trace.exists()

    @pytest.mark.parametrize(
        "content",
        [
            3,
            [torch.ones(3)],
            {"weight": [1.0]},
            {"state_dict": {"a": 1}},
            {"state_dict": {"0.weight": torch.ones(3)}, "model": {"0.weight": torch.ones(3)}},
            {"model": {"state_dict": {"0.weight": torch.ones(3)}}},
            {1: torch.ones(3)},
            {"a": torch.eye(3).to_sparse()},
            {"a": torch.empty(3, device="meta")},
        ],
    )
    def test_objects_that_are_not_state_dicts_are_refused(self, tmp_path, mine, content):
        torch.save(content, tmp_path / "w.pth")
        out = tmp_path / "w.safetensors"
        refused(ContractError, "plain tensors by their names", lambda: convert(tmp_path / "w.pth", mine, out))

    def test_a_refused_file_says_what_it_holds(self, tmp_path, mine):
        torch.save({"epoch": 3, "net": {"a": torch.ones(3)}}, tmp_path / "w.pth")
        out = tmp_path / "w.safetensors"
        refused(
            ContractError,
            "holds 'epoch' (int), 'net' (dict); wanted plain tensors by their names",
            lambda: convert(tmp_path / "w.pth", mine, out),
        )

    def test_a_safetensors_file_of_a_parallel_network_is_loaded_as_it_is(self, tmp_path, caplog):
        caplog.set_level("INFO", "model_zoo")
        wanted, net = state(network(2)), network(3)
        safetensors.torch.save_file(
            {f"module.{n}": values for n, values in wanted.items()}, tmp_path / "w.safetensors"
        )
        set_weights(net, str(tmp_path / "w.safetensors"), 0)
        assert same(state(net), wanted)
        assert "took off 'module.' before every name" in caplog.text

    def test_damaged_files_are_refused(self, tmp_path, mine, rng):
        path, out = tmp_path / "w.pth", tmp_path / "w.safetensors"
        for new in (True, False):
            torch.save(state(network()), path, _use_new_zipfile_serialization=new)
            whole = path.read_bytes()
            random = [rng.bytes(int(n)) for n in rng.integers(300, size=50)]
            cut = [whole[:size] for size in rng.integers(len(whole), size=50)]
            out.unlink(missing_ok=True)
            for content in [b"", *random, *cut]:
                path.write_bytes(content)
                refused(IntegrityError, "cannot read", lambda: convert(path, mine, out))
            for at in rng.integers(min(len(whole), 1500), size=300):
                path.write_bytes(whole[:at] + rng.bytes(1) + whole[at + 1 :])
                out.unlink(missing_ok=True)
                try:
                    convert(path, mine, out)
                except BrainfitError as error:
                    message = str(error)
                    assert "\n" not in message, message

    def test_a_missing_source_and_an_existing_target_are_refused(self, tmp_path, mine, file):
        out = tmp_path / "w.safetensors"
        refused(IntegrityError, "No such file", lambda: convert(tmp_path / "none.pth", mine, out))
        refused(ContractError, "is there already", lambda: convert(tmp_path / "none.pth", mine, file))

    def test_a_model_without_a_torch_module_is_refused(self, tmp_path, file):
        refused(
            ContractError,
            "'tiny' has no torch module",
            lambda: convert(file, TinyModel(), tmp_path / "w.safetensors"),
        )
