"""Files of PyTorch read without it: right numbers, and nothing that a file says is ever run.

The small file is what torch 2.13 wrote of a `Sequential` with buffers of several types.
"""

import io
import os
import pickle
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from kshot.core.errors import KshotError, ModelFileError
from kshot.core.torch_file import Module, module, read_torch
from kshot.core.torch_pickle import Name, Record, unpickled

SMALL = Path(__file__).parent / "data" / "torch_small.model"
COUNTS = pytest.mark.parametrize("count", [60, pytest.param(1000, marks=pytest.mark.slow)])


@contextmanager
def bounded(seconds: float, megabytes: float) -> Iterator[None]:
    """Fail if the block takes longer, or more memory at once."""
    begin = time.process_time()
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < megabytes * 1e6
    assert time.process_time() - begin < seconds


def plain(pickled: bytes) -> object:
    """Return what a pickle without tensors holds."""
    return unpickled(pickled, call=lambda record: record, persistent=lambda identity: identity)


def written(path: Path, pickled: bytes, members: dict[str, bytes] | None = None, **options) -> Path:
    with zipfile.ZipFile(path, "w", **options) as archive:
        archive.writestr("small/data.pkl", pickled)
        for name, data in (members or {}).items():
            archive.writestr(f"small/{name}", data)
    return path


def tensor_pickle(count: object, offset: object, shape: object, strides: object) -> bytes:
    """Return a pickle of one tensor of floats; each part is any pickled value."""

    def value(part: object) -> bytes:
        return pickle.dumps(part, protocol=2)[2:-1]

    storage = b"(" + value("storage") + b"ctorch\nFloatStorage\n" + value("0") + value("cpu")
    view = value(offset) + value(shape) + value(strides)
    rebuild = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n("
    return rebuild + storage + value(count) + b"tQ" + view + b"\x89NtR."


def same(one: Module, other: Module) -> bool:
    ours, theirs = one.state(), other.state()
    return ours.keys() == theirs.keys() and all(
        ours[name].dtype == theirs[name].dtype and np.array_equal(ours[name], theirs[name])
        for name in ours
    )


def test_tensors_and_attributes_are_those_that_were_saved():
    saved = module(read_torch(SMALL))
    state = saved.state()
    assert saved.kind == Name("torch.nn.modules.container", "Sequential")
    assert saved.children["linear"].kind.name == "Linear"
    np.testing.assert_array_equal(state["linear.weight"], np.arange(6).reshape(2, 3) / 4)
    np.testing.assert_array_equal(state["turned"], [[1, 4], [2, 5]])
    np.testing.assert_array_equal(state["mask"], [True, False])
    kinds = {name: str(tensor.dtype) for name, tensor in state.items()}
    assert kinds["linear.weight"] == "float64"
    assert kinds["norm.num_batches_tracked"] == "int64"
    assert (kinds["short"], float(state["short"])) == ("float16", 0.5)
    assert (kinds["empty"], state["empty"].shape) == ("int32", (0, 3))
    given = {name: saved.attributes[name] for name in ("cutoff", "words", "sizes")}
    assert given == {"cutoff": 4.5, "words": "Å", "sizes": [1, -2, 3**30]}


def test_arrays_cannot_be_written_to():
    for tensor in module(read_torch(SMALL)).state().values():
        assert not tensor.flags.writeable or not tensor.size


def corrupted(whole: bytes, rng: np.random.Generator) -> bytes:
    place, length = int(rng.integers(len(whole))), int(rng.integers(1, 9))
    noise = rng.bytes(length)
    match int(rng.integers(4)):
        case 0:
            return whole[:place] + noise[:1] + whole[place + 1 :]
        case 1:
            return whole[:place] + noise + whole[place + length :]
        case 2:
            return whole[:place] + noise + whole[place:]
        case _:
            return whole[:place] + whole[place + length :]


@COUNTS
def test_a_corrupted_file_gives_the_same_or_an_error(tmp_path, count):
    right, whole = module(read_torch(SMALL)), SMALL.read_bytes()
    rng, path, refused = np.random.default_rng(0), tmp_path / "broken.model", 0
    for _ in range(count):
        path.write_bytes(corrupted(whole, rng))
        with bounded(seconds=2, megabytes=5):
            try:
                assert same(module(read_torch(path)), right)
            except KshotError:
                refused += 1
    assert refused > count / 2


@COUNTS
def test_a_corrupted_pickle_never_leaves_by_another_error(count):
    """Past the checksums of the zip: what the reader itself makes of damaged pickles."""
    with zipfile.ZipFile(SMALL) as archive:
        whole = archive.read("torch_small/data.pkl")
    rng, errors = np.random.default_rng(1), 0
    for _ in range(count):
        try:
            plain(corrupted(whole, rng))
        except ModelFileError:
            errors += 1
    assert errors > count / 4


class Trap:
    """Unpickling it would make a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_calls_are_recorded_and_not_made(tmp_path, protocol):
    record = plain(pickle.dumps(Trap(tmp_path / "made"), protocol))
    assert isinstance(record, Record)
    assert record.kind.name == "mkdir"
    assert record.args == (str(tmp_path / "made"),)
    assert not list(tmp_path.iterdir())


def test_a_trap_among_weights_stays_shut(tmp_path):
    file = written(tmp_path / "trap.model", pickle.dumps({"weights": Trap(tmp_path / "made")}, 2))
    with pytest.raises(ModelFileError, match="a model of PyTorch; got dict"):
        module(read_torch(file))
    assert not (tmp_path / "made").exists()


DEEP = 3_000  # beyond what Python lets recurse
LAUGHS = b"]q\x00" + b"(" + b"h\x00" * 100 + b"e"  # a list that holds itself a hundred times
HARMLESS = {
    "nested lists": b"]" * DEEP + b"a" * (DEEP - 1) + b".",
    "nested tuples": b")" + b"\x85" * DEEP + b".",
    "itself a hundred times": LAUGHS + b".",
    "a memo far away": b"Nr\xff\xff\xff\xff.",
    "nested calls": b"cos\nsystem\n" * 1000 + b")R" + b"\x85R" * 999 + b".",
}
REFUSED = {
    "nothing": b"",
    "bytes that are not there": b"B\xff\xff\xff\x7fabc.",
    "more bytes than there are in the world": b"\x8e" + b"\xff" * 7 + b"\x7f.",
    "text that is not there": b"X\xff\xff\xff\xffabc.",
    "an integer that is not there": b"\x8b\xff\xff\xff\x7f1.",
    "a large integer": b"\x8b\x00\x01\x00\x00" + b"\x01" * 256 + b".",
    "digits without an end": b"I" + b"9" * 10_000 + b"\n.",
    "no end": b"N",
    "nothing on the stack": b"R.",
    "a mark that is not there": b"Nt.",
    "an unknown memo": b"h\x07.",
    "a call of a call": b"cos\nsystem\n)R)R.",
    "a call of text": b"X\x01\x00\x00\x00a)R.",
    "two values": b"NN.",
    "an instance, the old way": b"(ios\nsystem\n.",
    "an object, the old way": b"(cos\nsystem\no.",
    "an extension": b"\x82\x01.",
    "a key of nested tuples": b"})" + b"\x85" * DEEP + b"Ns.",
    "colliding keys": b"}\x8a\x09" + (k := (1 << 61) - 1).to_bytes(9, "little") + b"Ns.",
    "an odd number of items": b"}(NNNu.",
    "items for a tuple": b")(NNu.",
    "more for a dict": b"}Na.",
}


@pytest.mark.parametrize("name", HARMLESS)
def test_shapes_that_break_readers_are_read(name):
    with bounded(seconds=20, megabytes=100):
        plain(HARMLESS[name])


@pytest.mark.parametrize("name", REFUSED)
def test_hostile_pickles_are_refused(name):
    with bounded(seconds=20, megabytes=100), pytest.raises(ModelFileError):
        plain(REFUSED[name])


def test_a_pickle_of_too_many_steps_is_refused(monkeypatch):
    assert plain(b"(" + b"N" * 100 + b"t.") == (None,) * 100
    monkeypatch.setattr("kshot.core.torch_pickle.MOST_STEPS", 100)
    with pytest.raises(ModelFileError, match="at most 100 steps"):
        plain(b"(" + b"N" * 100 + b"t.")


FLOATS = {"data/0": np.arange(6, dtype="<f4").tobytes()}


def test_views_of_one_storage(tmp_path):
    file = written(tmp_path / "view.model", tensor_pickle(6, 1, (2, 2), (3, 1)), FLOATS)
    np.testing.assert_array_equal(read_torch(file), [[1, 2], [4, 5]])
    big = FLOATS | {"data/0": np.arange(6, dtype=">f4").tobytes(), "byteorder": b"big"}
    file = written(tmp_path / "big.model", tensor_pickle(6, 1, (2, 2), (3, 1)), big)
    np.testing.assert_array_equal(read_torch(file), [[1, 2], [4, 5]])


@pytest.mark.parametrize(
    "parts",
    [
        (7, 0, (7,), (1,)),  # more than the member holds
        (1 << 60, 0, (1 << 60,), (1,)),
        (6, 0, (7,), (1,)),
        (6, 5, (2,), (1,)),
        (6, 0, (2, 2), (5, 1)),
        (6, -1, (2,), (1,)),
        (6, 0, (-2,), (1,)),
        (6, 5, (2,), (-1,)),
        (6, 0, (1 << 40,), (0,)),  # a view of one number that a copy would not survive
        (6, 0, (2, 2), (1,)),
        (6, 0, (1,) * 40, (1,) * 40),
        (6, 0, (0, 1 << 62, 1 << 62), (1, 1, 1)),
        (6, 0, [2], (1,)),
        (6, 0.0, (2,), (1,)),
        ("6", 0, (2,), (1,)),
        (6, 0, (True,), (1,)),
    ],
)
def test_tensors_beyond_their_storage_are_refused(tmp_path, parts):
    file = written(tmp_path / "beyond.model", tensor_pickle(*parts), FLOATS)
    with pytest.raises(ModelFileError):
        read_torch(file)


def test_a_zip_bomb_is_refused_before_it_is_opened(tmp_path):
    bomb = {"data/0": bytes(50_000_000)}
    file = written(
        tmp_path / "bomb.model",
        tensor_pickle(12_500_000, 0, (1,), (1,)),
        bomb,
        compression=zipfile.ZIP_DEFLATED,
    )
    assert file.stat().st_size < 100_000
    with bounded(seconds=2, megabytes=5), pytest.raises(ModelFileError, match="members"):
        read_torch(file)


def test_members_that_share_their_bytes_are_refused(tmp_path):
    """Each entry of the directory points at the same bytes, as in an overlapping zip bomb."""
    file = written(tmp_path / "shared.model", pickle.dumps(None, 2), {"data/0": bytes(1000)})
    with zipfile.ZipFile(file) as archive:
        start = archive.start_dir
    whole = file.read_bytes()
    directory, end = whole[start:-22], whole[-22:]
    second = directory[directory.index(b"PK\x01\x02", 4) :]
    copies = [second.replace(b"data/0", b"data/%d" % n) for n in range(1, 10)]
    entries = directory + b"".join(copies)
    counts = struct.pack("<HH", 11, 11)
    sizes = struct.pack("<I", len(entries))
    file.write_bytes(whole[:start] + entries + end[:8] + counts + sizes + end[16:])
    with pytest.raises(ModelFileError, match="bytes at most"):
        read_torch(file)


def test_what_is_no_torch_file_is_named(tmp_path):
    for name, content in {"text.model": b"hello", "old.model": pickle.dumps([1])}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelFileError, match=name):
            read_torch(tmp_path / name)
    with pytest.raises(ModelFileError, match=r"no file.*Check its name"):
        read_torch(tmp_path / "missing.model")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("a/b", "c")
    with pytest.raises(ModelFileError, match=r"data\.pkl"):
        read_torch(tmp_path / "other.zip")


def test_modules_that_hold_themselves_are_refused():
    child = Record(Name("a", "B"), ())
    child.state = {"_parameters": {}, "_buffers": {}, "_modules": {"again": child}}
    with pytest.raises(ModelFileError, match="without one"):
        module(child)


def test_half_precision_of_another_kind_is_refused_by_name(tmp_path):
    pickled = tensor_pickle(6, 0, (6,), (1,)).replace(b"FloatStorage", b"BFloat16Storage")
    with pytest.raises(ModelFileError, match="BFloat16Storage"):
        read_torch(written(tmp_path / "b.model", pickled, FLOATS))


def test_pickles_of_python_are_read_as_python_would():
    value = {"a": [1, 2.5, None, True, b"x"], 3: ("t", {}), "ä": -(2**40)}
    for protocol in (3, 4, 5):  # bytes of protocol 2 are calls
        assert plain(pickle.dumps(value, protocol)) == value
    buffer = io.BytesIO()
    pickle.Pickler(buffer, 2).dump([["x"] * 3] * 2)
    assert plain(buffer.getvalue()) == [["x"] * 3] * 2
