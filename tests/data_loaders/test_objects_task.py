"""The embedded task: images depend on their address only, and epochs never repeat."""

import numpy as np
import pytest

from brainfit.errors import ContractError
from data_loaders.simulated.objects import object_names
from data_loaders.tasks.objects import Objects


@pytest.fixture(scope="module")
def sprites(tmp_path_factory):
    return str(tmp_path_factory.mktemp("sprites"))


@pytest.fixture
def task(sprites, monkeypatch):
    monkeypatch.setenv("BRAINFIT_CACHE", sprites)
    return Objects(image_size=32, sprites=8, n_train=64, n_val=32)


def test_an_image_depends_on_its_address_only(task):
    first = [task.train_example(1, k) for k in range(8)]
    for k in reversed(range(8)):
        pixels, label = task.train_example(1, k)
        np.testing.assert_array_equal(pixels, first[k][0])
        assert label == first[k][1]
    again = Objects(image_size=32, sprites=8, n_train=64, n_val=32)
    np.testing.assert_array_equal(again.train_example(1, 5)[0], first[5][0])


def test_epochs_and_validation_share_no_images(task):
    seen = {
        pixels.tobytes()
        for epoch in range(3)
        for pixels, _ in (task.train_example(epoch, k) for k in range(64))
    }
    assert len(seen) == 192
    assert not seen & {task.val_example(k)[0].tobytes() for k in range(32)}
    train, val = ({pose.tobytes() for sprites in pool for pose in sprites} for pool in task._pool)
    assert not train & val


def test_every_class_occurs(task):
    labels = [task.train_example(epoch, k)[1] for epoch in range(20) for k in range(64)]
    assert set(labels) == set(range(64))
    assert task.classes[0] == object_names()[0][0]
    categories = Objects(image_size=32, sprites=8, label="category")
    assert len(categories.classes) == 8
    assert categories.train_example(0, 3)[1] == Objects(image_size=32, sprites=8).train_example(0, 3)[1] % 8


@pytest.mark.parametrize("harder", [{"clutter": 3}, {"occlusion": 1.0}, {"noise": 0.1}])
def test_difficulty_changes_the_image_but_not_the_class(task, harder):
    other = Objects(image_size=32, sprites=8, n_train=64, n_val=32, **harder)
    changed = 0
    for k in range(16):
        (pixels, label), (plain, same) = other.train_example(0, k), task.train_example(0, k)
        assert label == same
        changed += (pixels != plain).any()
    assert changed >= 15
    assert other.content != task.content


def test_rendered_sprites_are_reused(task, monkeypatch):
    task.prepare()
    monkeypatch.setattr("data_loaders.tasks.objects._render", lambda *_: pytest.fail("rendered again"))
    Objects(image_size=32, sprites=8).prepare()


def test_a_damaged_sprite_is_rendered_again(task):
    from brainfit.storage import cache_folder

    task.prepare()
    path = sorted(cache_folder.folder("tasks").glob("*/7.npy"))[0]
    whole = path.read_bytes()
    path.write_bytes(whole[:200])
    Objects(image_size=32, sprites=8).prepare()
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("wrong", "says"),
    [({"image_size": 200}, "from 16 to 128"), ({"label": "thing"}, "label is"),
     ({"occlusion": 2}, "occlusion is"),
     ({"sprites": 0}, "sprites is")],
)  # fmt: skip
def test_values_out_of_range_are_refused(wrong, says):
    with pytest.raises(ContractError, match=says):
        Objects(**wrong)
