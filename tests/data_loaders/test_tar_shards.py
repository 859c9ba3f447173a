"""Shards of WebDataset as a task: the same examples as the same images in folders, and odd shards refused."""

import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from brainfit.errors import ContractError, IntegrityError
from data_loaders.tasks.image_folder import image_folder
from data_loaders.tasks.tar_shards import tar_shards


def image(rng):
    height, width = rng.integers(40, 90, size=2)
    data = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, size=(height, width, 3), dtype=np.uint8)).save(data, "JPEG")
    return data.getvalue()


def shard(path, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


@pytest.fixture
def images(rng):
    return {(part, label, k): image(rng) for part in ("train", "val") for label in range(3) for k in range(4)}


@pytest.fixture
def folder(tmp_path, images):
    """Two shards a part, each sample with the JSON file that many data sets have."""
    for part in ("train", "val"):
        for number, labels in enumerate(((0, 1), (2,))):
            files = {}
            for (its_part, label, k), data in images.items():
                if its_part == part and label in labels:
                    files |= {
                        f"s{label}-{k}.jpg": data,
                        f"s{label}-{k}.cls": str(9 + label).encode(),
                        f"s{label}-{k}.json": json.dumps({"k": k}).encode(),
                    }
            shard(tmp_path / "tar" / part / f"{number:04}.tar", files)
    return tmp_path / "tar"


def test_examples_are_those_of_the_same_images_in_folders(folder, images, tmp_path):
    for (part, label, k), data in images.items():
        path = tmp_path / "folders" / part / str(label) / f"{k}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    mine, theirs = tar_shards(folder, 32), image_folder(tmp_path / "folders", 32)
    assert mine.classes == ("9", "10", "11")  # by value, not as text
    assert (mine.n_train, mine.n_val) == (theirs.n_train, theirs.n_val) == (12, 12)
    for k in range(12):
        for a, b in (
            (mine.train_example(3, k), theirs.train_example(3, k)),
            (mine.val_example(k), theirs.val_example(k)),
        ):
            assert a is not None
            assert b is not None
            np.testing.assert_array_equal(a[0], b[0])
            assert a[1] == b[1]


def test_a_shard_is_indexed_once_and_again_when_it_changes(folder, monkeypatch):
    first = tar_shards(folder, 32)
    with monkeypatch.context() as patch:
        patch.setattr("data_loaders.tasks.tar_shards._index", lambda _: pytest.fail("indexed again"))
        assert tar_shards(folder, 32).content == first.content
    path = folder / "val" / "0001.tar"
    with tarfile.open(path) as tar:
        opened = {member.name: tar.extractfile(member) for member in tar}
        files = {name: file.read() for name, file in opened.items() if file is not None}
    files["more.jpg"], files["more.cls"] = files["s2-0.jpg"], b"11"
    shard(path, files)
    again = tar_shards(folder, 32)
    assert again.n_val == first.n_val + 1
    assert again.content != first.content


def test_a_shard_that_goes_away_during_training_skips_its_images_by_name(folder, caplog):
    task = tar_shards(folder, 32)
    (folder / "train" / "0001.tar").unlink()
    assert task.train_example(0, 11) is None
    assert "s2-3.jpg of train/0001.tar cannot be read and is skipped" in caplog.text


def test_shards_that_are_no_task_are_refused(folder, tmp_path, images):
    with pytest.raises(IntegrityError, match=r"cannot read .*wanted a folder with train/\*.tar"):
        tar_shards(tmp_path / "nowhere")
    with pytest.raises(
        ContractError, match=r"most images .* smaller than image_size=128: .*give --image-size"
    ):
        tar_shards(folder)
    data = images["val", 0, 0]
    shard(folder / "val" / "9.tar", {"a/b.jpg": data})
    with pytest.raises(ContractError, match=r"1 images of .* have no class, the first is a/b.jpg; .*a/b.cls"):
        tar_shards(folder, 32)
    shard(folder / "val" / "9.tar", {"a/b.jpg": data, "a/b.cls": b"12"})
    with pytest.raises(ContractError, match="1 classes have images in only one of train and val: 12"):
        tar_shards(folder, 32)
    (folder / "val" / "9.tar").write_bytes(b"no tar file" * 100)
    with pytest.raises(IntegrityError, match=r"cannot read the shard .*: .*not compressed"):
        tar_shards(folder, 32)
    for path in (folder / "val").iterdir():
        path.unlink()
    with pytest.raises(ContractError, match=r"has no .tar file; wanted shards"):
        tar_shards(folder, 32)
