"""Folders of images as a task: unusual files are read or skipped by name, invalid folders are refused."""

import numpy as np
import pytest
from PIL import Image

from brainfit.errors import ContractError, IntegrityError
from data_loaders.tasks.image_folder import image_folder


def readable(example):
    assert example is not None
    return example


@pytest.fixture
def folder(tmp_path, rng):
    for part, n in (("train", 6), ("val", 3)):
        for name in ("ant", "bee", "cat", "dog"):
            (tmp_path / part / name).mkdir(parents=True)
            for k in range(n):
                height, width = rng.integers(40, 90, size=2)
                pixels = rng.integers(0, 256, size=(height, width, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / part / name / f"{k}.JPEG")
    return tmp_path


def test_images_become_squares_and_labels_follow_sorted_names(folder):
    task = image_folder(folder, image_size=32)
    assert (task.classes, task.n_train, task.n_val) == (("ant", "bee", "cat", "dog"), 24, 12)
    for k in range(task.n_train):
        pixels, label = readable(task.train_example(0, k))
        assert (pixels.shape, pixels.dtype, label) == ((3, 32, 32), np.uint8, k // 6)
    assert [readable(task.val_example(k))[1] for k in range(12)] == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3


def test_crops_depend_on_seed_epoch_and_position_only(folder):
    task, again = image_folder(folder, 32), image_folder(folder, 32)
    np.testing.assert_array_equal(
        readable(task.train_example(2, 5))[0], readable(again.train_example(2, 5))[0]
    )
    assert (readable(task.train_example(2, 5))[0] != readable(task.train_example(3, 5))[0]).any()
    assert (
        readable(task.train_example(2, 5))[0]
        != readable(image_folder(folder, 32, seed=1).train_example(2, 5))[0]
    ).any()
    np.testing.assert_array_equal(
        readable(task.val_example(2))[0], readable(image_folder(folder, 32, seed=1).val_example(2))[0]
    )


def test_cmyk_gray_and_palette_images_are_read_in_their_orientation(folder):
    left = np.zeros((60, 60, 3), np.uint8)
    left[:, :30] = 255
    ant = folder / "val" / "ant"
    Image.fromarray(left).convert("CMYK").save(ant / "0.JPEG")
    Image.fromarray(left).convert("L").save(ant / "1.JPEG")
    exif = Image.Exif()
    exif[0x0112] = 3  # rotated by 180 degrees
    Image.fromarray(left).save(ant / "2.JPEG", exif=exif)
    task = image_folder(folder, 32)
    for k, bright in ((0, slice(0, 12)), (1, slice(0, 12)), (2, slice(20, 32))):
        pixels, _ = readable(task.val_example(k))
        assert pixels[:, :, bright].mean() > 200
        assert pixels.mean() < 160


def test_a_truncated_image_is_skipped_by_name(folder, caplog):
    path = folder / "train" / "bee" / "2.JPEG"
    path.write_bytes(path.read_bytes()[:200])
    assert image_folder(folder, 32).train_example(0, 8) is None
    assert "train/bee/2.JPEG cannot be read and is skipped" in caplog.text


def test_folders_that_are_not_a_task_are_refused(folder, tmp_path_factory):
    with pytest.raises(IntegrityError, match=r"cannot read .*train.*wanted a folder with train/<class>/"):
        image_folder(tmp_path_factory.mktemp("empty"))
    for path in (folder / "val" / "cat").iterdir():
        path.unlink()
    with pytest.raises(ContractError, match="1 classes have images in train but not in val: cat"):
        image_folder(folder, 32)
    one = tmp_path_factory.mktemp("one")
    for part in ("train", "val"):
        (one / part / "ant").mkdir(parents=True)
        Image.fromarray(np.zeros((40, 40), np.uint8)).save(one / part / "ant" / "1.png")
    with pytest.raises(ContractError, match="images of 1 class; wanted"):
        image_folder(one)


def test_images_that_are_smaller_than_the_crop_are_refused_unless_they_are_few(folder):
    with pytest.raises(
        ContractError, match=r"most images .*train are smaller than image_size=96: .*give --image-size"
    ):
        image_folder(folder, 96)
    Image.fromarray(np.zeros((10, 12), np.uint8)).save(folder / "train" / "ant" / "0.JPEG")
    pixels, _ = readable(image_folder(folder, 32).train_example(0, 0))
    assert pixels.shape == (3, 32, 32)


def test_files_that_are_no_images_are_refused(folder):
    for path in folder.glob("val/*/*"):
        path.write_text("none")
    with pytest.raises(ContractError, match=r"none of 12 images of .*val can be read"):
        image_folder(folder, 32)
