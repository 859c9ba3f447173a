"""Files cannot read other files or claim memory beyond their size, and unreadable files are named."""

# h5py types a member of a file as a group, data set or type.
# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false, reportArgumentType=false
# pyright: reportOptionalSubscript=false

import math
import pickle
import resource
import subprocess
import sys
import zlib
from pathlib import Path

import h5py
import netCDF4
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from layout_files import write_brainio, write_hvm_file, write_nwb_file, write_own, write_plain
from scipy.io import savemat
from typer.testing import CliRunner

from brainfit.cli.app import app
from brainfit.errors import BrainfitError, ContractError, IntegrityError, ResourceError
from data_loaders import layouts
from data_loaders.files.hdf5 import MOST_SQUEEZED, Hdf5File, declared_bytes, labels, read_values, select
from data_loaders.files.variables import VariableFile
from data_loaders.layouts import read

SECRET = b"a secret of this machine" * 1000


WRITERS = [write_plain, write_own, write_brainio, write_hvm_file, write_nwb_file]


def put_external_storage(file, name, shape, secret):
    file.create_dataset(name, shape, "u1", external=[(str(secret), 0, math.prod(shape))])


def put_external_link(file, name, shape, secret):
    with h5py.File(secret.with_suffix(".h5"), "w") as other:
        other["secret"] = np.zeros(shape, "u1")
    file[name] = h5py.ExternalLink(str(secret.with_suffix(".h5")), "/secret")


def put_soft_link_to_external_link(file, name, shape, secret):
    put_external_link(file, "elsewhere", shape, secret)
    file[name] = h5py.SoftLink("/elsewhere")


def put_link_into_external_group(file, name, shape, secret):
    with h5py.File(secret.with_suffix(".h5"), "w") as other:
        other["deep/secret"] = np.zeros(shape, "u1")
    file["group"] = h5py.ExternalLink(str(secret.with_suffix(".h5")), "/deep")
    file[name] = h5py.SoftLink("/group/secret")


def put_virtual(file, name, shape, secret):
    put_external_link(file, "unused", shape, secret)
    del file["unused"]
    layout = h5py.VirtualLayout(shape, "u1")
    layout[...] = h5py.VirtualSource(str(secret.with_suffix(".h5")), "secret", shape)
    file.create_virtual_dataset(name, layout)


WAYS_OUT = [
    put_external_storage,
    put_external_link,
    put_soft_link_to_external_link,
    put_link_into_external_group,
    put_virtual,
]


@pytest.mark.parametrize("elsewhere", [False, True], ids=["used", "unused"])
@pytest.mark.parametrize("put", WAYS_OUT)
@pytest.mark.parametrize("write", WRITERS)
def test_no_reader_reads_another_file(tmp_path, write, put, elsewhere):
    """This holds even if the reader does not need the values stored elsewhere."""
    path, secret = tmp_path / "mine.nc", tmp_path / "secret"
    secret.write_bytes(SECRET)
    facts = write(path)
    with h5py.File(path, "a") as file:
        name = "unrelated/deep" if elsewhere else facts["used"]
        if not elsewhere:
            del file[name]
        put(file, name, facts["shape"], secret)
    with pytest.raises(ContractError, match=r"mine\.nc: .* (link to|values in) another file") as caught:
        read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("put", WAYS_OUT)
def test_a_converted_file_holds_no_data_of_other_files(tmp_path, put):
    path, secret = tmp_path / "mine.nc", tmp_path / "secret"
    secret.write_bytes(SECRET)
    facts = write_plain(path)
    with h5py.File(path, "a") as file:
        del file["images"]
        put(file, "images", (facts["shape"][0], 8, 8, 3), secret)
    result = CliRunner().invoke(app, ["data", "convert", str(path), str(tmp_path / "new.nc")])
    assert result.exit_code == 1
    assert "another file" in result.stderr
    assert not (tmp_path / "new.nc").exists()


@pytest.mark.parametrize("write", WRITERS)
def test_links_within_a_file_are_followed(tmp_path, write):
    path = tmp_path / "mine.nc"
    facts = write(path)
    with h5py.File(path, "a") as file:
        file["kept/here"] = file[facts["used"]]  # a hard link
        file["kept/back"] = file["kept"]  # in a circle
        file["dangling"] = h5py.SoftLink("/nowhere")
    declared_bytes(Hdf5File.at(path))
    if write not in (
        write_plain,
        write_own,
        write_nwb_file,
    ):  # whose readers refuse names that they do not know
        read(path)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_claimed_length_is_bounded_by_the_file_size(tmp_path, data):
    """The bound is exact, even if the product of lengths exceeds 64 bits."""
    path = tmp_path / "mine.h5"
    path.unlink(missing_ok=True)
    shape = tuple(data.draw(st.lists(st.integers(0, 2**40), min_size=1, max_size=5)))
    dtype = data.draw(st.sampled_from(["u1", "i2", "f8"]))
    size = np.dtype(dtype).itemsize
    chunked = data.draw(st.booleans())
    with h5py.File(path, "w") as file:
        made = h5p.create(h5p.DATASET_CREATE)
        if chunked:
            made.set_chunk(tuple(min(n or 1, 4) for n in shape))
        try:
            h5d.create(file.id, b"x", h5t.py_create(np.dtype(dtype)), h5s.create_simple(shape), made)
        except (ValueError, RuntimeError):  # HDF5 itself refuses to write such a file
            return
    claimed = math.prod(shape) * size
    if claimed <= MOST_SQUEEZED * path.stat().st_size:
        declared_bytes(Hdf5File.at(path))
    else:
        with pytest.raises(IntegrityError, match="cannot hold what it says it holds: x of shape"):
            declared_bytes(Hdf5File.at(path))


def small_file_of_many(path, n, compression):
    """Write a data set of `n` zero bytes, which compresses well."""
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (n,), "u1", compression=compression, chunks=(min(n, 2**20),))
        file["x"][...] = 0


def test_well_compressed_zeros_are_accepted(tmp_path):
    small_file_of_many(tmp_path / "x.h5", 10**8, "gzip")
    assert (tmp_path / "x.h5").stat().st_size < 150_000
    with Hdf5File.at(tmp_path / "x.h5").opened() as file:
        assert not read_values(file["x"]).any()


def test_a_repeated_long_text_does_not_exhaust_memory(tmp_path):
    """Text entries are pointers that may all lead to one text, and that compress well."""
    path, n = tmp_path / "mine.h5", 200_000
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (n,), h5py.string_dtype(), compression="gzip")
        file["x"][0] = "y" * 60_000
        file.flush()
        _, raw = file["x"].id.read_direct_chunk((0,))
        chunk = file["x"].chunks
        pointer = zlib.decompress(raw)[:16]
        packed = zlib.compress(pointer * chunk[0])
        for start in range(0, n, chunk[0]):
            file["x"].id.write_direct_chunk((start,), packed)
    assert path.stat().st_size < 150_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with (
        Hdf5File.at(path).opened() as file,
        pytest.raises(IntegrityError, match="text is longer than the file"),
    ):
        labels(file, "x", n)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 600_000  # KiB: one block of texts


@pytest.mark.parametrize("write", WRITERS[:4])
def test_a_small_file_that_claims_to_be_huge_allocates_no_memory(tmp_path, write):
    path = tmp_path / "mine.nc"
    facts = write(path)
    huge = tuple(2**31 if k in (1, 2) else 16 for k in range(len(facts["shape"])))
    with h5py.File(path, "a") as file:
        del file[facts["used"]]
        file.create_dataset(facts["used"], huge, "u1", chunks=(1,) * len(huge))
    limit = 2 * 2**30
    code = (
        "import sys; from data_loaders.files.child import answer_of; print(repr(answer_of(sys.stdin.buffer)))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        input=pickle.dumps((layouts.read, (path,))),
        capture_output=True,
        timeout=60,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    assert b"IntegrityError" in done.stdout, done.stdout
    assert b"cannot hold what it says it holds" in done.stdout


# What cannot be read is named


def opened(path):
    with VariableFile.at(path).opened() as data:
        return {name: variable.read() for name, variable in data.variables.items()}


def test_types_and_filters_that_netcdf_cannot_read_are_read(tmp_path):
    path = tmp_path / "mine.h5"
    values = {
        "half": np.linspace(0, 1, 6).astype("f2"),
        "big": np.arange(6, dtype=">i4"),
        "truth": np.array([True, False] * 3),
        "text": np.array(["ä", "b"] * 3, object),
    }
    with h5py.File(path, "w") as file:
        for name, array in values.items():
            file[name] = array
        file.create_dataset("lzf", data=np.arange(6.0), compression="lzf")
    got = opened(path)
    for name, array in values.items():
        assert got[name].tolist() == array.tolist()
    assert got["lzf"].tolist() == [0, 1, 2, 3, 4, 5]


def put_unknown_filter(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=np.zeros(1000), compression="lzf", chunks=(1000,))
    path.write_bytes(
        path.read_bytes().replace(b"\x00\x7d", b"\x7f\x7d")
    )  # 32000 is lzf, and no filter is 32127


def put_unknown_type(path):
    with h5py.File(path, "w") as file:
        h5d.create(file.id, b"x", h5t.UNIX_D32LE, h5s.create_simple((3,)))


def put_lists(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (3,), h5py.vlen_dtype(np.int32))


def put_latin1(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (1,), h5py.string_dtype())[0] = b"caf\xe9"


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (put_unknown_filter, r"filter 32127.*not installed"),
        (put_unknown_type, "of a type that h5py cannot read"),
        (put_lists, "lists of varying lengths"),
        (put_latin1, "not in UTF-8"),
    ],
)
def test_unsupported_values_are_named_and_not_called_damaged(tmp_path, write, says):
    write(tmp_path / "mine.h5")
    with pytest.raises(ContractError, match=rf"mine\.h5:/x .*{says}") as caught:
        opened(tmp_path / "mine.h5")
    assert "damaged" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError("Can't read data (memory allocation failed for chunk)"),
        OSError(12, "Cannot allocate memory"),
    ],
)
def test_lack_of_memory_is_not_reported_as_damage(tmp_path, monkeypatch, error):
    def fail(*_):
        raise error

    with h5py.File(tmp_path / "mine.h5", "w") as file:
        file["x"] = np.arange(3)
    monkeypatch.setattr(h5py.Dataset, "__getitem__", fail)
    with pytest.raises(ResourceError, match=r"memory ran out while reading .*mine\.h5"):
        opened(tmp_path / "mine.h5")


def test_matlab_files_are_refused_by_readers_of_other_layouts(tmp_path):
    savemat(tmp_path / "five.mat", {"responses": np.zeros((2, 3))})
    with pytest.raises(ContractError, match=r"MATLAB 5 file; read it with data_loaders\.from_mat"):
        opened(tmp_path / "five.mat")
    path = tmp_path / "seven.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["responses"] = np.zeros((2, 3))
    path.write_bytes(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512) + path.read_bytes()[512:])
    with pytest.raises(ContractError, match=r"axes of every array are reversed.*from_mat"):
        opened(path)


# netCDF's own conventions


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_variables_equal_those_of_the_netcdf_library(tmp_path, data):
    """Compare names of dimensions, lengths, attributes and values for every kind of file."""
    path = tmp_path / "mine.nc"
    path.unlink(missing_ok=True)
    kind = data.draw(st.sampled_from(["NETCDF4", "NETCDF4_CLASSIC", "NETCDF3_CLASSIC", "NETCDF3_64BIT_DATA"]))
    sizes = data.draw(st.dictionaries(st.sampled_from("abcd"), st.integers(1, 4), min_size=1))
    names = st.sampled_from([*"abcdxy", "a longer name"])
    dims = st.lists(st.sampled_from(sorted(sizes)), max_size=3, unique=True)
    with netCDF4.Dataset(path, "w", format=kind) as file:
        for name, size in sizes.items():
            file.createDimension(name, size)
        file.setncattr("title", "mine")
        for name, of in data.draw(st.dictionaries(names, dims, min_size=1)).items():
            variable = file.createVariable(name, data.draw(st.sampled_from(["f4", "i2", "S1", "f8"])), of)
            variable.setncattr("units", "Hz")
            if variable.dtype != "S1":
                variable[...] = np.arange(math.prod(variable.shape)).reshape(variable.shape)
    with netCDF4.Dataset(path) as file, VariableFile.at(path).opened() as got:
        file.set_auto_mask(False)
        file.set_auto_chartostring(False)
        assert {**got.sizes} == {name: len(dim) for name, dim in file.dimensions.items()}
        assert got.attributes == {"title": "mine"}
        assert set(got.variables) == set(file.variables)
        for name, variable in file.variables.items():
            found = got.variables[name]
            assert (found.dims, found.shape, found.attributes) == (
                variable.dimensions,
                variable.shape,
                {"units": "Hz"},
            )
            np.testing.assert_array_equal(found.read(), variable[...])


def test_dimensions_without_names_are_distinguished_by_their_lengths(tmp_path):
    with h5py.File(tmp_path / "mine.h5", "w") as file:
        file["a"], file["b"], file["c"] = np.zeros((4, 3, 3)), np.zeros((3, 4)), np.zeros(5)
    with VariableFile.at(tmp_path / "mine.h5").opened() as data:
        a, b, c = (data.variables[name].dims for name in "abc")
        assert len({*a}) == 3
        assert b == (a[1], a[0])
        assert c[0] not in a
        assert [data.sizes[dim] for dim in a] == [4, 3, 3]


@pytest.mark.parametrize("write", WRITERS)
def test_any_selection_equals_that_of_the_whole(tmp_path, rng, write):
    path = tmp_path / "mine.nc"
    facts = write(path)
    with Hdf5File.at(path).opened() as file:
        data = file[facts["used"]]
        whole = data[...]
        for _ in range(10):
            at = [rng.integers(0, size, rng.integers(0, size + 1)) for size in whole.shape]
            np.testing.assert_array_equal(select(data, at), whole[np.ix_(*at)])


def test_errors_are_brainfit_errors_and_name_the_file(tmp_path):
    for content in (b"", b"text", b"\x89HDF\r\n\x1a\n", b"CDF\x05" + b"\xff" * 90):
        path = Path(tmp_path, "mine.nc")
        path.write_bytes(content)
        with pytest.raises(BrainfitError, match=r"mine\.nc"):
            opened(path)
