"""Weight files that would hang, exhaust memory, mislead or write to the terminal are refused in one line."""

import io
import json
import os
import re
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import tf_bundle as tf
import torch
from torch import nn

import brainfit
from brainfit.errors import BrainfitError, ContractError, IntegrityError, ResourceError
from model_zoo.adapters import from_module
from model_zoo.engine.graph import GraphModel
from model_zoo.weights import file
from model_zoo.weights.convert import convert
from model_zoo.weights.file import read_info, read_tensors, save_weights
from model_zoo.weights.tensors import load_tensors
from model_zoo.weights.tf_checkpoint import read_checkpoint

CKPT = Path(__file__).parents[2] / "golden" / "ckpt" / "rgc_intermediate"
FACTS = {"model": "net", "image_size": 8, "source": "here", "source_sha256": {}}
KERNEL = "tnn_model/conv1/pre_0/weights_basenet"


@pytest.fixture
def model():
    return from_module(nn.Sequential(nn.Conv2d(3, 2, 3)), ["0"], 8, name="net")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out.safetensors"


def small():
    graph = brainfit.load_model("rgc_intermediate", n_classes=50, channel_divisor=16)
    assert isinstance(graph, GraphModel)
    return graph


def refused(error, says, action):
    with pytest.raises(error) as caught:
        action()
    said = str(caught.value)
    assert isinstance(caught.value, BrainfitError)
    assert re.search(says, said), said
    assert said.isprintable()
    assert len(said) < 1200


def header(tensors, body=b""):
    text = json.dumps(tensors).encode()
    return struct.pack("<Q", len(text)) + text + body


@pytest.mark.parametrize("name", ["f.safetensors", "f.pth"])
def test_a_pipe_is_refused_without_waiting(tmp_path, model, out, name):
    os.mkfifo(tmp_path / name)
    refused(IntegrityError, "it is a pipe", lambda: convert(tmp_path / name, model, out))
    refused(IntegrityError, "it is a pipe", lambda: read_info(tmp_path / name))


@pytest.mark.parametrize("name", ["f.safetensors", "f.pth"])
def test_files_larger_than_memory_are_refused(tmp_path, model, out, name):
    with (tmp_path / name).open("wb") as file:
        file.truncate(1 << 42)
    refused(ResourceError, "this needs about 8796.1 GB", lambda: convert(tmp_path / name, model, out))


@pytest.mark.parametrize("name", ["f" * 300, "f" * 300 + ".pth", "f" * 300 + ".index", "a\0b"])
def test_impossible_file_names_are_refused(tmp_path, model, out, name):
    graph = small()
    refused(IntegrityError, "; wanted|there is no", lambda: convert(tmp_path / name, graph, out))


class TestTorch:
    def test_compressed_members_are_refused(self, tmp_path, model, out):
        stored, path = io.BytesIO(), tmp_path / "bomb.pth"
        torch.save(model.network.state_dict(), stored)
        with zipfile.ZipFile(stored) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
            for member in old.namelist():
                new.writestr(member, old.read(member))
        refused(IntegrityError, "it is compressed", lambda: convert(path, model, out))

    def test_every_flipped_bit_is_detected(self, tmp_path, model, out):
        path = tmp_path / "w.pth"
        state = {name: value.clone() for name, value in model.network.state_dict().items()}
        torch.save(state, path)
        whole = path.read_bytes()
        at = whole.find(next(iter(state.values())).numpy().tobytes())
        assert at > 0
        for offset in range(4):
            damaged = bytearray(whole)
            damaged[at + offset] ^= 0x40
            path.write_bytes(damaged)
            with pytest.raises(IntegrityError, match="is damaged, by its CRC-32"):
                convert(path, model, out)
        assert not out.exists()

    def test_overlapping_members_are_refused(self, tmp_path, model, out):
        path = tmp_path / "bomb.pth"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a/data.pkl", bytes(1000))
            archive.filelist *= 100
        refused(IntegrityError, "it is compressed", lambda: convert(path, model, out))

    def test_a_second_table_of_contents_does_not_hide_compression(self, tmp_path, model, out):
        """Zip files are read from the end, and two readers may find different tables of contents."""
        stored, packed = io.BytesIO(), io.BytesIO()
        torch.save({"a": torch.zeros(1000)}, stored)
        with zipfile.ZipFile(stored) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
            for member in old.namelist():
                new.writestr(member, old.read(member))
        whole = packed.getvalue()
        size, offset = struct.unpack("<II", whole[-10:-2])
        table = bytearray(whole[offset : offset + size])
        for at in [found.start() for found in re.finditer(b"PK\1\2", table)]:
            struct.pack_into("<H", table, at + 10, zipfile.ZIP_STORED)
            struct.pack_into("<II", table, at + 20, 1, 1)
        path = tmp_path / "bomb.pth"
        path.write_bytes(whole[:-22] + bytes(table) + whole[-22:])
        assert torch.load(path, weights_only=True)["a"].shape == (1000,)
        refused(IntegrityError, "several in one", lambda: convert(path, model, out))

    def test_nested_tensors_are_refused(self, tmp_path, model, out, recwarn):
        with torch.no_grad():
            nested = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])
        torch.save({"a": nested}, tmp_path / "f.pth")
        refused(
            ContractError, "plain tensors by their names", lambda: convert(tmp_path / "f.pth", model, out)
        )

    def test_a_pickle_that_could_run_code_names_the_function(self, tmp_path, model, out):
        (tmp_path / "f.pth").write_bytes(
            b"\x80\x02cos\nsystem\nq\x00X\x02\x00\x00\x00hiq\x01\x85q\x02Rq\x03."
        )
        refused(IntegrityError, r"holds os\.system", lambda: convert(tmp_path / "f.pth", model, out))

    def test_names_in_messages_are_short_and_printable(self, tmp_path, model, out):
        names = [f"{k}\x1b[2J\u202e\n" + "x" * 300_000 for k in range(5)]
        torch.save({name: torch.ones(1) for name in names} | model.network.state_dict(), tmp_path / "f.pth")
        refused(ContractError, r"0\\x1b\[2J\\u202e x", lambda: convert(tmp_path / "f.pth", model, out))
        named = nn.Module()
        named.register_buffer(names[0], torch.ones(2))
        tensors = {names[0]: torch.ones(1)}
        refused(ContractError, "instead of", lambda: load_tensors(named, tensors, "f"))


class TestSafetensors:
    @pytest.mark.parametrize(
        ("content", "says"),
        [
            (header({"a": {"dtype": "F32", "shape": [0, 2**62, 8], "data_offsets": [0, 0]}}), "overflow"),
            (header({"a": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}}, b"0"), "of the type 'F4'"),
            (
                header({"a": {"dtype": "F6_E2M3", "shape": [4], "data_offsets": [0, 3]}}, b"000"),
                "of the type 'F6_E2M3'",
            ),
            (
                header({"a\x1b" * 9999: {"dtype": "F32", "shape": [1], "data_offsets": [0, 8]}}, b"0" * 8),
                "read",
            ),
        ],
    )
    def test_impossible_shapes_types_and_names_are_refused(self, tmp_path, content, says):
        (tmp_path / "f.safetensors").write_bytes(content)
        refused(IntegrityError, says, lambda: read_tensors(tmp_path / "f.safetensors"))

    @pytest.mark.parametrize(
        "said",
        [
            '{"decoder": {"beta": NaN}}',
            '{"decoder": {"beta": 1e999}}',
            '{"decoder": {"beta": -1e999}}',
            f'{{"decoder": {{"beta": 1{"0" * 400}}}}}',
            '{"decoder": {"beta": "1"}}',
            '{"decoder": {"beta": true}}',
            '{"source_sha256": {"a": NaN}}',
            '{"source_sha256": {"a": []}}',
            '{"image_size": 0}',
            '{"image_size": 65537}',
            '{"image_size": 224.0}',
            '{"parameters": 1e999}',
            f'{{"parameters": 1{"0" * 400}}}',
            f'{{"{"x" * 10_000}": 1}}',
        ],
    )
    def test_an_invalid_header_is_refused(self, tmp_path, said):
        path = tmp_path / "f.safetensors"
        safetensors.torch.save_file({"a": torch.ones(1)}, path, {"brainfit": said})
        refused(IntegrityError, "what its header says", lambda: read_info(path))

    def test_decoder_settings_may_be_integers(self, tmp_path):
        path = tmp_path / "f.safetensors"
        safetensors.torch.save_file({"a": torch.ones(1)}, path, {"brainfit": '{"decoder": {"beta": 1}}'})
        assert read_info(path).decoder == {"beta": 1}


class TestTensorFlow:
    @pytest.mark.parametrize(
        ("change", "says"),
        [
            (
                lambda kernel: np.where(kernel < kernel.max(), kernel.astype(np.float64), 1e300),
                "not finite in",
            ),
            (lambda kernel: kernel > 0, "other than real numbers in"),
            (lambda kernel: kernel.astype(np.int64), "other than real numbers in"),
        ],
    )
    def test_kernels_that_are_not_finite_float32_are_refused(self, tmp_path, out, change, says):
        graph = small()
        before = {name: values.clone() for name, values in graph.state_dict().items()}
        variables = read_checkpoint(CKPT)
        tf.write(tmp_path / "m", variables | {KERNEL: change(variables[KERNEL])})
        refused(ContractError, f"{says} variable {KERNEL};", lambda: convert(tmp_path / "m", graph, out))
        assert all(torch.equal(values, before[name]) for name, values in graph.state_dict().items())
        assert not out.exists()

    def test_other_float_types_are_cast(self, tmp_path, out):
        graph = small()
        variables = read_checkpoint(CKPT)
        tf.write(tmp_path / "m", variables | {KERNEL: variables[KERNEL].astype(np.float64)})
        convert(tmp_path / "m", graph, out)
        wanted = torch.from_numpy(variables[KERNEL].copy()).permute(3, 2, 0, 1)
        assert any(torch.equal(values, wanted) for values in read_tensors(out)[0].values())


class TestTarget:
    @pytest.mark.parametrize("to", ["nowhere", "out.safetensors"])
    def test_a_symbolic_link_is_not_replaced(self, out, to):
        out.symlink_to(to)
        refused(ContractError, "is there already", lambda: save_weights(nn.Linear(1, 1), out, **FACTS))
        assert out.is_symlink()

    @pytest.mark.parametrize("name", ["a\udce4.safetensors", "\udce4/a.safetensors", "a\0.safetensors"])
    def test_file_names_that_are_not_utf_8_are_refused_before_work(self, tmp_path, model, name):
        source = tmp_path / "none.pth"
        refused(ContractError, "UTF-8", lambda: convert(source, model, tmp_path / name))

    @pytest.mark.parametrize("links", [True, False])
    def test_only_one_of_two_simultaneous_writers_succeeds(self, out, links, monkeypatch):
        if not links:
            monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(PermissionError(1, "no links")))
        checked = file.check_target
        turns = iter([lambda path: (checked(path), save_weights(nn.Linear(2, 2), path, **FACTS))])
        monkeypatch.setattr(file, "check_target", lambda path: next(turns, checked)(path))
        refused(ContractError, "is there already", lambda: save_weights(nn.Linear(1, 1), out, **FACTS))
        assert read_info(out).parameters == 6
        assert [item.name for item in out.parent.iterdir()] == [out.name]

    def test_a_too_long_file_name_is_refused(self, tmp_path):
        path = tmp_path / ("x" * 300 + ".safetensors")
        refused(IntegrityError, "choose another name", lambda: save_weights(nn.Linear(1, 1), path, **FACTS))

    def test_the_returned_information_is_that_of_the_written_file(self, out):
        assert save_weights(nn.Linear(1, 1), out, **FACTS, decoder={"beta": 1.5}) == read_info(out)
