"""Errors, random streams, manifests and files of arrays."""

import hashlib
import io
import json
import tracemalloc
import zipfile

import jax
import numpy as np
import pytest

from kshot.core import errors
from kshot.core.arrays_file import NotArraysError, read_arrays
from kshot.core.limits import UNSUSPICIOUS, TooLargeError, allowed_bytes, read_at_most
from kshot.core.manifest import Manifest, code_versions, sha256
from kshot.core.rng import named_key
from kshot.core.seeds import named_generator


def test_input_errors_say_three_things():
    error = errors.TaskError("two shots", "none", "Give some.")
    assert str(error) == "expected two shots; got none. Give some."
    assert (error.expected, error.got, error.todo) == ("two shots", "none", "Give some.")


def test_the_tree_of_errors_is_as_its_docstring_draws_it():
    raised = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, Exception)
    ]
    for kind in raised:
        assert issubclass(kind, errors.KshotError)
        assert kind.__name__ in errors.__doc__
        assert kind.__doc__
    builtin = {"InputError": ValueError, "UnknownNameError": KeyError}
    builtin |= {"MissingExtraError": ImportError, "ContractError": AssertionError}
    for name, parent in builtin.items():
        assert issubclass(getattr(errors, name), parent)


def test_streams_depend_on_name_and_step_and_on_nothing_else():
    draws = {
        (seed, name, step): float(jax.random.normal(named_key(seed, name, step)))
        for seed in (0, 1)
        for name in ("tasks", "noise")
        for step in (0, 1)
    }
    assert len(set(draws.values())) == len(draws)
    again = float(jax.random.normal(named_key(1, "noise", 1)))
    assert again == draws[1, "noise", 1]
    assert float(jax.random.normal(named_key(jax.random.key(1), "noise", 1))) == again


def test_streams_on_the_host():
    draws = [named_generator(0, name, step).normal() for name in "ab" for step in (0, 1)]
    assert len(set(draws)) == 4
    assert named_generator(0, "a", 1).normal() == draws[1]


def test_streams_are_the_same_in_every_version():
    # a resumed run must draw what the run before it drew: these numbers never change.
    assert named_generator(7, "tasks", 3).integers(1000, size=3).tolist() == [199, 368, 92]


def test_manifest_is_one_line_of_json_with_all_there_is(tmp_path):
    (tmp_path / "parent").write_bytes(b"abc")
    parent = sha256(tmp_path / "parent")
    assert parent == hashlib.sha256(b"abc").hexdigest()
    manifest = Manifest("metrics", {"steps": 3}, seed=1, parents={"data": parent})
    line = manifest.to_json()
    assert "\n" not in line
    record = json.loads(line)
    assert record["kind"] == "metrics"
    assert record["config"] == {"steps": 3}
    assert record["parents"] == {"data": parent}
    assert record["schema"] == 1
    assert {"python", "kshot", "jax"} <= set(record["versions"])
    assert Manifest("metrics", {"steps": 3}, seed=1, parents={"data": parent}).to_json() == line


def test_versions_of_what_is_not_there():
    assert code_versions(("no-such-distribution",))["no-such-distribution"] == "not installed"
    assert code_versions(("numpy",))["numpy"] == np.__version__
    with pytest.raises(TypeError):
        Manifest()


# --- files of arrays -----------------------------------------------------------------------------


def test_arrays_come_back(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.arange(3), y=np.eye(2))
    found = read_arrays(tmp_path / "a.npz")
    assert set(found) == {"x", "y"}
    np.testing.assert_array_equal(found["x"], [0, 1, 2])


def test_a_file_of_arrays_that_is_none(tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(FileNotFoundError):
        read_arrays(path)
    path.write_text("no archive")
    with pytest.raises(NotArraysError, match="zip"):
        read_arrays(path)
    np.savez(path, x=np.arange(1000))
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(NotArraysError):
        read_arrays(path)


def test_objects_in_a_file_of_arrays_are_not_opened(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.array([{}], dtype=object))
    with pytest.raises(NotArraysError, match="pickle"):
        read_arrays(tmp_path / "a.npz")


def zipped(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def header(text: str) -> bytes:
    padded = text.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded.encode()


def peak_of_refusal(path, match: str) -> int:
    tracemalloc.start()
    try:
        with pytest.raises(NotArraysError, match=match):
            read_arrays(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_small_file_that_asks_for_much_is_refused_before_memory_is_taken(tmp_path):
    size = 80_000_000  # deflates by a thousand
    head = header(f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({size},), }}")
    path = zipped(tmp_path / "bomb.npz", {"x.npy": head + bytes(size)})
    assert path.stat().st_size < 100_000
    assert peak_of_refusal(path, "80000128 bytes, more than") < 1_000_000


@pytest.mark.parametrize("shape", ["(1000000000,)", "(4294967296, 4294967296)", "(2,)", "()"])
def test_a_header_that_announces_another_size_is_refused(tmp_path, shape):
    head = header(f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}")
    path = zipped(tmp_path / "liar.npz", {"x.npy": head + bytes(24)})
    assert peak_of_refusal(path, "another size") < 1_000_000


def test_a_limit_of_its_kind(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros(100))
    with pytest.raises(NotArraysError, match="more than 500"):
        read_arrays(tmp_path / "a.npz", 500)


def test_arrays_of_every_plain_kind_come_back(tmp_path):
    arrays = {
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "text": np.array("words"),
        "empty": np.zeros((0, 3), np.float32),
        "truth": np.array([True, False]),
        "large": np.arange(400_000),
    }
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    found = read_arrays(tmp_path / "a.npz")
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    found["large"][0] = 1  # they may be written to


def test_what_decompresses_to_too_much_is_read_no_further():
    assert read_at_most(io.BytesIO(b"abc"), 3) == b"abc"
    stream = io.BytesIO(b"abcdef")
    with pytest.raises(TooLargeError, match="more than 3"):
        read_at_most(stream, 3)
    assert stream.tell() == 4
    assert allowed_bytes(10) == UNSUSPICIOUS
    assert allowed_bytes(6_000_000) == 600_000_000
    assert allowed_bytes(6_000_000, 1000) == 1000
