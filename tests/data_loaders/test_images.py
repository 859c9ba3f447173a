"""Stimuli in a table and a zip or folder are read lazily; invalid files are refused."""

import csv
import hashlib
import io
import itertools
import os
import pickle
import stat
import zipfile
from contextlib import suppress

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from brainfit.errors import BrainfitError, ContractError, IntegrityError
from data_loaders.images import pixels as image_pixels
from data_loaders.images.files import stays_inside
from data_loaders.images.pixels import open_pictures
from data_loaders.images.table import load_stimuli, write_stimuli

SIZE = 8
IDS = [f"{k:03d}" for k in (3, 1, 4, 0, 5)]  # names made of digits keep their leading zeros
FILES = [f"im_{name}.png" for name in IDS]


def png(image, **options):
    content = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(content, "PNG", **options)
    return content.getvalue()


def write_table(path, header=("stimulus_id", "filename"), rows=None, separator=",", encoding="utf-8"):
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerow(header)
        writer.writerows(zip(IDS, FILES, strict=True) if rows is None else rows)


def write_zip(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, (5, SIZE, SIZE, 3), np.uint8)


@pytest.fixture
def folder(tmp_path, pixels):
    """Write a table, with the same images in a zip and in a folder."""
    write_table(tmp_path / "table.csv")
    files = {name: png(image) for name, image in zip(FILES, pixels, strict=True)}
    write_zip(tmp_path / "images.zip", {"more.txt": b"not named, and so no matter", **files})
    (tmp_path / "images").mkdir()
    for name, content in files.items():
        (tmp_path / "images" / name).write_bytes(content)
    return tmp_path


@pytest.mark.parametrize("images", ["images.zip", "images"])
def test_pixels_are_in_the_order_of_the_table_or_of_the_ids(folder, pixels, images):
    stimuli = load_stimuli(folder / "table.csv", folder / images)
    assert stimuli.pixels.dims == ("image", "height", "width", "channel")
    assert stimuli.pixels.dtype == np.uint8
    assert stimuli.columns["image_id"].tolist() == IDS
    np.testing.assert_array_equal(stimuli.pixels.values, pixels)
    some = load_stimuli(folder / "table.csv", folder / images, ["004", "003", "005"])
    assert some.columns["image_id"].tolist() == ["004", "003", "005"]
    np.testing.assert_array_equal(some.pixels.values, pixels[[2, 0, 4]])
    part = some.pixels.isel(image=[2, 0], height=slice(1, 4), width=[5, 2], channel=2)
    np.testing.assert_array_equal(part.values, pixels[[4, 2], 1:4][:, :, [5, 2], 2])


@pytest.mark.parametrize("images", ["images.zip", "images"])
def test_only_selected_images_are_decoded_also_after_pickling(folder, pixels, images, monkeypatch):
    decoded = []
    decode = image_pixels._decoded
    monkeypatch.setattr(
        image_pixels, "_decoded", lambda place, name, file: decoded.append(name) or decode(place, name, file)
    )
    stimuli = load_stimuli(folder / "table.csv", folder / images)
    assert not decoded
    again = pickle.loads(pickle.dumps(stimuli))
    np.testing.assert_array_equal(again.pixels.isel(image=[3, 1]).values, pixels[[3, 1]])
    assert sorted(decoded) == sorted([FILES[3], FILES[1]])


@pytest.mark.parametrize("ids", ["stimulus_id", "image_id"])
@pytest.mark.parametrize("files", ["filename", "image_file_name", "image_file"])
@pytest.mark.parametrize(("separator", "encoding"), [(",", "utf-8"), (";", "utf-8-sig"), ("\t", "utf-8")])
def test_older_and_newer_column_names_and_csv_dialects_are_read(folder, ids, files, separator, encoding):
    rows = [
        (k, name, f'a "b"{separator} é\n{k}', file)
        for k, (name, file) in enumerate(zip(IDS, FILES, strict=True))
    ]
    write_table(folder / "t.csv", ("", ids, "object_name", files), rows, separator, encoding)
    columns = load_stimuli(folder / "t.csv", folder / "images.zip").columns
    assert set(columns) == {"image_id", "object_name"}
    assert columns["image_id"].tolist() == IDS
    assert columns["object_name"].tolist() == [row[2] for row in rows]


def test_spaces_after_separators_are_no_part_of_entries_if_the_header_has_them(folder):
    table = (folder / "table.csv").read_text()
    wanted = load_stimuli(folder / "table.csv", folder / "images")
    (folder / "table.csv").write_text(table.replace(",", ", "))
    got = load_stimuli(folder / "table.csv", folder / "images")
    assert {k: v.tolist() for k, v in got.columns.items()} == {
        k: v.tolist() for k, v in wanted.columns.items()
    }
    assert got.pixels.identical(wanted.pixels)


def test_a_column_is_numeric_if_all_entries_are(folder):
    columns = {
        "variation": (["0", "3", "6", "3", "0"], np.array([0, 3, 6, 3, 0])),
        "s": (["1.5", "-2", "1e-3", "", ".5"], np.array([1.5, -2, 1e-3, np.nan, 0.5])),
        "object_name": (["1", "2", "3", "4", "5"], np.array(["1", "2", "3", "4", "5"])),
        "background_id": (["1e999", "2", "3", "4", "5"], np.array(["1e999", "2", "3", "4", "5"])),
        "code": (["01", "2", "3", "4", "5"], None),
        "empty": ([""] * 5, np.array([""] * 5)),
    }
    rows = list(zip(IDS, FILES, *(texts for texts, _ in columns.values()), strict=True))
    write_table(folder / "t.csv", ("stimulus_id", "filename", *columns), rows)
    loaded = load_stimuli(folder / "t.csv", folder / "images").columns
    for name, (_, wanted) in columns.items():
        if wanted is not None:
            assert loaded[name].dtype.kind == wanted.dtype.kind, name
            np.testing.assert_array_equal(loaded[name], wanted)


@pytest.mark.parametrize(
    ("image", "rgb"),
    [
        (Image.fromarray(np.full((8, 8), 7, np.uint8)), 7),
        (Image.fromarray(np.full((8, 8), True)), 255),
        (Image.fromarray(np.full((8, 8, 4), 255, np.uint8)), 255),
        (Image.fromarray(np.full((8, 8), 9, np.uint8)).convert("P"), 9),
        (Image.merge("LA", [Image.new("L", (8, 8), 5), Image.new("L", (8, 8), 255)]), 5),
    ],
    ids=["gray", "black and white", "opaque alpha", "palette", "gray with opaque alpha"],
)
def test_other_image_modes_become_rgb(folder, image, rgb):
    write_zip(folder / "one.zip", {"a.png": png(image)})
    np.testing.assert_array_equal(
        open_pictures(folder / "one.zip", ["a.png"]).values, np.full((1, 8, 8, 3), rgb)
    )


TURNS = {
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: np.rot90(image),
}


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize(
    ("kind", "mode"),
    [*itertools.product(["png", "tif"], ["RGB", "L", "P", "RGBA"]), ("jpg", "RGB"), ("jpg", "L")],
)
@pytest.mark.parametrize("shape", [(16, 16), (16, 32)])
def test_the_orientation_of_images_is_applied(tmp_path, pixels, orientation, mode, kind, shape):
    whole = np.kron(pixels[0, :2, : shape[1] // 8], np.ones((8, 8, 1), np.uint8))
    exif = Image.Exif()
    exif[0x112] = orientation
    Image.fromarray(whole).convert(mode).save(tmp_path / f"a.{kind}", exif=exif)
    plain = Image.fromarray(whole).convert(mode)
    plain.save(tmp_path / f"plain.{kind}")
    with Image.open(tmp_path / f"plain.{kind}") as image:
        wanted = TURNS.get(orientation, np.asarray)(np.asarray(image.convert("RGB")))
    got = open_pictures(tmp_path, [f"a.{kind}"])
    assert got.shape == (1, *wanted.shape)
    np.testing.assert_array_equal(got.values[0], wanted)


@pytest.fixture
def annexed(folder):
    """Turn the folder of images into a DataLad data set: each image is a link to an object beside it."""
    objects = folder / ".git" / "annex" / "objects"
    objects.mkdir(parents=True)
    for name in FILES:
        (folder / "images" / name).rename(objects / f"SHA-{name}")
        (folder / "images" / name).symlink_to(f"../.git/annex/objects/SHA-{name}")
    return folder


def test_images_in_git_annex_are_read(annexed, pixels):
    stimuli = load_stimuli(annexed / "table.csv", annexed / "images")
    np.testing.assert_array_equal(stimuli.pixels.values, pixels)


def test_unfetched_images_of_git_annex_are_named_with_advice(annexed):
    (annexed / ".git" / "annex" / "objects" / f"SHA-{FILES[2]}").unlink()
    with pytest.raises(ContractError, match=f"'{FILES[2]}' .* fetch it with `datalad get`"):
        load_stimuli(annexed / "table.csv", annexed / "images")


@pytest.mark.parametrize("target", ["../../secret.png", "../.git/config.png", "/dev/zero"])
def test_other_links_out_of_the_folder_are_refused(annexed, target, tmp_path_factory):
    (annexed / ".git" / "config.png").write_bytes(png(np.zeros((8, 8), np.uint8)))
    (annexed / "images" / FILES[1]).unlink()
    (annexed / "images" / FILES[1]).symlink_to(target)
    with pytest.raises(ContractError, match="is a link to outside"):
        load_stimuli(annexed / "table.csv", annexed / "images")


def bits_16():
    """Write a 16-bit RGB image, which Pillow reads as 8 bits but cannot write."""
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = zlib.compress((b"\0" + b"\x12\x34" * 24) * 8)
    header = struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")


def frames():
    content = io.BytesIO()
    some = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    some[0].save(content, "PNG", save_all=True, append_images=some[1:])
    return content.getvalue()


def jpeg(mode):
    content = io.BytesIO()
    Image.new(mode, (8, 8)).save(content, "JPEG")
    return content.getvalue()


def gif():
    content = io.BytesIO()
    Image.new("L", (8, 8)).save(content, "GIF")
    return content.getvalue()


CLEAR = np.full((8, 8, 4), 255, np.uint8)
CLEAR[2, 3, 3] = 254


@pytest.mark.parametrize(
    ("content", "error", "says"),
    [
        (b"", IntegrityError, "as an image"),
        (b"not an image", IntegrityError, "as an image"),
        (png(np.zeros((8, 8), np.uint8))[:-30], IntegrityError, "as an image"),
        (gif(), IntegrityError, "as an image: it is none of PNG, JPEG, BMP, TIFF"),
        (png(np.zeros((8, 8), np.uint16)), ContractError, "more than 8 bits"),
        (bits_16(), ContractError, "more than 8 bits"),
        (frames(), ContractError, "several frames"),
        (jpeg("CMYK"), ContractError, "CMYK pixels"),
        (png(CLEAR), ContractError, "transparent in part"),
        (png(np.zeros((8, 8), np.uint8), transparency=0), ContractError, "transparent in part"),
        (png(Image.new("1", (9000, 9000))), ContractError, "9000 × 9000 pixels"),
        (png(Image.new("1", (16000, 8000))), IntegrityError, "decompression bomb"),
        (png(Image.new("1", (16000, 16000))), IntegrityError, "decompression bomb"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", ["one.zip", "one"])
def test_images_that_are_not_8_bit_gray_or_rgb_are_refused(tmp_path, content, error, says, place):
    if place == "one":
        (tmp_path / "one").mkdir()
        (tmp_path / "one" / "a.png").write_bytes(content)
    else:
        with zipfile.ZipFile(tmp_path / place, "w") as archive:
            archive.writestr("a.png", content)
    with pytest.raises(error, match=says) as caught:
        open_pictures(tmp_path / place, ["a.png"]).values  # noqa: B018
    assert "'a.png' in" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_different_image_sizes_are_refused(folder):
    for k in (1, 3):
        (folder / "images" / FILES[k]).write_bytes(png(np.zeros((4, 6), np.uint8)))
    with pytest.raises(
        ContractError, match=r"3 have 8 × 8 pixels .*, 2 have not, such as 'im_001.png' in .* 4 × 6"
    ):
        load_stimuli(folder / "table.csv", folder / "images")


def test_a_file_whose_size_changes_is_detected(folder):
    stimuli = load_stimuli(folder / "table.csv", folder / "images")
    (folder / "images" / FILES[0]).write_bytes(png(np.zeros((4, 4), np.uint8)))
    with pytest.raises(IntegrityError, match="another size than when it was loaded"):
        stimuli.pixels.values  # noqa: B018


@pytest.mark.parametrize(
    ("header", "rows", "says"),
    [
        (("id", "filename"), None, "has no column stimulus_id or image_id; it has id, filename"),
        (("stimulus_id", "file"), None, "has no column filename or image_file_name or image_file"),
        (("stimulus_id", "filename", "filename"), [("a", "b", "c")], "'filename' occurs twice"),
        (("stimulus_id", "filename"), [], "has no row below its header"),
        (("stimulus_id", "filename"), [("a", "im_003.png"), ("a", "im_001.png")], "'a' occurs 2 times"),
        (("stimulus_id", "filename"), [("a", "im_003.png"), ("b",)], "row 3 has 1 entries; wanted 2"),
        (("stimulus_id", "filename"), [("a", "")], "column 'filename' has an empty entry"),
        (("stimulus_id", "filename"), [("", "a.png")], "column 'stimulus_id' has an empty entry"),
        (("stimulus_id", "filename"), [("a", "none.png"), ("b", "im_001.png")], "lacks 1 of the 2"),
        *(
            (("stimulus_id", "filename"), [("a", name)], "does not stay inside")
            for name in ("../im_003.png", "/etc/passwd", "C:/a.png", "C:a.png", r"..\a.png", r"a\..\..\b",
                         r"\\host\share\a.png", "a/../../b.png", "a\tb.png")
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("images", ["images.zip", "images"])
def test_invalid_tables_are_refused(folder, images, header, rows, says):
    write_table(folder / "t.csv", header, rows)
    with pytest.raises(ContractError, match=says) as error:
        load_stimuli(folder / "t.csv", folder / images)
    assert "\n" not in str(error.value)


def test_ids_missing_from_the_table_are_named(folder):
    with pytest.raises(
        ContractError, match="lacks 2 of 3 images of the recording, such as 'x'; it has others"
    ):
        load_stimuli(folder / "table.csv", folder / "images", ["003", "x", "y"])


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", ContractError),
        (b"\n\n", ContractError),
        (b"\xff\xfe\x00a", ContractError),
        (b'stimulus_id,filename\n"a,b', ContractError),
        (b'stimulus_id,filename\n"a"b,c', ContractError),
        (b"stimulus_id,filename\na\0,im_003.png\n", None),
        (b"stimulus_id,filename\n" + b"a" * 200_000 + b",im_003.png\n", ContractError),
        (b"PK\x03\x04", ContractError),
        (None, IntegrityError),
    ],
)
def test_files_that_are_not_tables_are_refused(folder, content, error):
    path = folder / "t.csv"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    if error is None:
        with suppress(BrainfitError):
            load_stimuli(path, folder / "images")
        return
    with pytest.raises(error) as caught:
        load_stimuli(path, folder / "images")
    assert "t.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["../evil.png", "/evil.png", "C:/evil.png", r"..\evil.png", "a/../../b"])
def test_a_zip_entry_outside_its_folder_is_refused(folder, name):
    with zipfile.ZipFile(folder / "images.zip", "a") as archive:
        archive.writestr(name, b"")
    with pytest.raises(IntegrityError, match=r"has an entry .* which leaves the folder"):
        load_stimuli(folder / "table.csv", folder / "images.zip")


def test_symbolic_links_out_of_the_folder_are_refused(folder):
    entry = zipfile.ZipInfo("link.png")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(folder / "images.zip", "a") as archive:
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(IntegrityError, match=r"'link\.png' in .* is a link"):
        load_stimuli(folder / "table.csv", folder / "images.zip")
    outside = folder / "outside.png"
    (folder / "images" / FILES[0]).rename(outside)
    (folder / "images" / FILES[0]).symlink_to(outside)
    with pytest.raises(ContractError, match="is a link to outside"):
        load_stimuli(folder / "table.csv", folder / "images")
    (folder / "images" / FILES[0]).unlink()
    (folder / "images" / FILES[0]).symlink_to(FILES[1])  # the link stays inside the folder
    (folder / "images" / FILES[2]).unlink()
    (folder / "images" / FILES[2]).symlink_to(FILES[2])
    with pytest.raises(BrainfitError, match=FILES[2]):
        load_stimuli(folder / "table.csv", folder / "images")


def test_a_zip_bomb_is_refused(folder):
    with zipfile.ZipFile(folder / "images.zip", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.png", bytes(70 * 2**20))
    with pytest.raises(IntegrityError, match=r"'zeros\.png' in .* would unpack from \d+ to 73400320 bytes"):
        load_stimuli(folder / "table.csv", folder / "images.zip")
    with zipfile.ZipFile(folder / "other.zip", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("a.png", b"a")
    with pytest.raises(IntegrityError, match="neither stored nor deflated"):
        open_pictures(folder / "other.zip", ["a.png"])


def test_a_zip_that_declares_less_than_it_holds_is_refused(folder):
    """Only the declared size is unpacked, and the checksum of that part differs."""
    whole = png(np.zeros((8, 8, 3), np.uint8)) + bytes(2**20)
    write_zip(folder / "lies.zip", {"a.png": whole})
    content = (folder / "lies.zip").read_bytes()
    size, less = len(whole).to_bytes(4, "little"), (2000).to_bytes(4, "little")
    assert content.count(size) == 2
    (folder / "lies.zip").write_bytes(content.replace(size, less))
    with pytest.raises(IntegrityError, match=r"'a\.png' in"):
        open_pictures(folder / "lies.zip", ["a.png"]).values  # noqa: B018


def test_huge_files_and_wrong_places_are_refused(folder, monkeypatch):
    with pytest.raises(IntegrityError, match="cannot read"):
        load_stimuli(folder / "table.csv", folder / "none")
    with pytest.raises(IntegrityError, match="as a zip of images"):
        load_stimuli(folder / "table.csv", folder / "table.csv")
    with pytest.raises(ContractError, match="no image file"):
        open_pictures(folder / "images", [])
    os.truncate(folder / "images" / FILES[0], 65 * 2**20)
    with pytest.raises(IntegrityError, match="has 68157440 bytes; no image has"):
        load_stimuli(folder / "table.csv", folder / "images")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_with_a_repeated_name_is_refused(folder):
    with zipfile.ZipFile(folder / "images.zip", "a") as archive:
        archive.writestr(FILES[0], b"another")
    with pytest.raises(IntegrityError, match="occurs twice"):
        load_stimuli(folder / "table.csv", folder / "images.zip")


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(["..", ".", "a", "b.png", "C:", "", "~"]), min_size=1, max_size=5), st.booleans()
)
def test_accepted_names_stay_inside_the_folder(parts, backslash):
    name = ("\\" if backslash else "/").join(parts)
    if stays_inside(name):
        joined = os.path.normpath(os.path.join("/root/of/all", name))  # noqa: PTH118
        assert joined.startswith("/root/of/all")
        assert ".." not in parts


def test_written_stimuli_are_read_back_equal(tmp_path, pixels):
    columns = {
        "image_id": np.array(IDS),
        "object_name": np.array(["a,b", 'say "c"', "é", "x\ny", "z"]),
        "variation": np.array([0, 3, 6, 3, 0]),
        "s": np.array([0.1, 1 / 3, np.nan, 1e-17, 2.0]),
    }
    array = xr.DataArray(pixels, dims=("image", "height", "width", "channel"))
    table, archive = tmp_path / "t.csv", tmp_path / "t.zip"
    write_stimuli(array, columns, table, archive)
    stimuli = load_stimuli(table, archive)
    np.testing.assert_array_equal(stimuli.pixels.values, pixels)
    assert list(stimuli.columns) == list(columns)
    for name, values in columns.items():
        np.testing.assert_array_equal(stimuli.columns[name], values)
        assert stimuli.columns[name].dtype == values.dtype
    assert {path.name for path in tmp_path.iterdir()} == {"t.csv", "t.zip"}
    with zipfile.ZipFile(archive) as zipped:
        assert zipped.namelist() == [f"{name}.png" for name in IDS]
    first = archive.read_bytes()
    write_stimuli(array / np.float32(255), columns, table, archive)
    assert archive.read_bytes() == first


def test_ids_that_are_not_file_names_are_refused(tmp_path, pixels):
    array = xr.DataArray(pixels[:3], dims=("image", "height", "width", "channel"))
    ids = np.array(["../up", "a/b", "c"])
    write_stimuli(array, {"image_id": ids}, tmp_path / "t.csv", tmp_path / "t.zip")
    stimuli = load_stimuli(tmp_path / "t.csv", tmp_path / "t.zip", ["c", "../up"])
    np.testing.assert_array_equal(stimuli.pixels.values, pixels[[2, 0]])
    with pytest.raises(ContractError, match="lack 'image_id'"):
        write_stimuli(array, {"id": ids}, tmp_path / "t.csv", tmp_path / "t.zip")


def test_a_failed_write_leaves_no_files(tmp_path, pixels, monkeypatch):
    array = xr.DataArray(pixels, dims=("image", "height", "width", "channel"))
    columns = {"image_id": np.array(IDS)}
    with pytest.raises(IntegrityError, match=r"cannot write .*t\.csv: No such file"):
        write_stimuli(array, columns, tmp_path / "none" / "t.csv", tmp_path / "t.zip")
    (tmp_path / "t.zip").write_bytes(b"of before")

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(IntegrityError, match=r"cannot write .*t\.zip: No space left on device"):
        write_stimuli(array, columns, tmp_path / "t.csv", tmp_path / "t.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["t.zip"]
    assert (tmp_path / "t.zip").read_bytes() == b"of before"


@pytest.mark.parametrize("part", ["table.csv", "images.zip"])
def test_damaged_files_give_images_or_one_line_and_are_unchanged(folder, part, rng):
    path = folder / part
    whole = path.read_bytes()
    for k in range(400):
        damaged = bytearray(whole)
        for n in rng.integers(0, len(whole), rng.integers(1, 8)):
            damaged[n] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged if k % 4 else whole[: rng.integers(len(whole))])
        before = hashlib.sha256(path.read_bytes()).digest()
        with suppress(BrainfitError):
            stimuli = load_stimuli(folder / "table.csv", folder / "images.zip")
            assert stimuli.pixels.values.shape == stimuli.pixels.shape
        assert hashlib.sha256(path.read_bytes()).digest() == before


def test_damaged_images_give_pixels_or_one_line(folder, rng):
    path = folder / "images" / FILES[0]
    kinds = {"PNG": path.read_bytes(), "JPEG": jpeg("RGB")}
    for kind in ("BMP", "TIFF"):
        content = io.BytesIO()
        Image.new("RGB", (8, 8)).save(content, kind)
        kinds[kind] = content.getvalue()
    for whole in kinds.values():
        for _ in range(250):
            damaged = bytearray(whole)
            for n in rng.integers(0, min(len(whole), 400), rng.integers(1, 6)):
                damaged[n] = rng.integers(256)
            path.write_bytes(damaged)
            with suppress(BrainfitError):
                open_pictures(folder / "images", [FILES[0]]).values  # noqa: B018


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=80))
def test_any_bytes_are_a_table_or_one_line(folder, content):
    (folder / "t.csv").write_bytes(b"stimulus_id,filename\n" + content)
    with suppress(BrainfitError):
        load_stimuli(folder / "t.csv", folder / "images")
