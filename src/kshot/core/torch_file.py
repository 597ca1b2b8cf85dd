"""Files that ``torch.save`` wrote, read without PyTorch and without running anything in them.

Such a file is a zip: a pickle, and beside it the bytes of each storage, uncompressed. Tensors
become NumPy arrays, dicts and lists stay what they are, and anything else, such as a module,
becomes a `Record` of what the file says about it.
"""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from kshot.core.arrays_file import DAMAGED
from kshot.core.errors import ModelFileError
from kshot.core.torch_pickle import FRESH, Name, Record, unpickled

MOST_BYTES = 1 << 32  # of a file
MOST_MEMBERS = 100_000
MOST_AXES = 32
MOST_MODULES, DEEPEST = 100_000, 64  # of modules within modules
STORAGES = {
    "DoubleStorage": "f8",
    "FloatStorage": "f4",
    "HalfStorage": "f2",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
ORDERS = {b"little": "<", b"big": ">"}
TENSORS = {"torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor"}
PARAMETERS = {"torch._utils._rebuild_parameter"}
DICTS = {"collections.OrderedDict"}
GRAPHS = {"torch.fx.graph_module.reduce_graph_module"}
"""Modules that PyTorch made of a graph: what they are stands in what they would be made of."""


class Module(NamedTuple):
    """One module of a model.

    Args:
        kind: its class, as the file names it.
        attributes: what it has besides tensors and modules.
        tensors: its own parameters and buffers.
        children: the modules in it.
    """

    kind: Name
    attributes: dict[str, Any]
    tensors: dict[str, np.ndarray]
    children: dict[str, Module]

    def state(self, prefix: str = "") -> dict[str, np.ndarray]:
        """Return all tensors by the names that ``state_dict()`` gives them."""
        found = {prefix + name: tensor for name, tensor in self.tensors.items()}
        for name, child in self.children.items():
            found |= child.state(f"{prefix}{name}.")
        return found


def read_torch(path: Path | str) -> Any:  # noqa: ANN401 - whatever was saved
    """Return what ``torch.save`` put into a file.

    Args:
        path: the file.

    Raises:
        ModelFileError: it is no such file, is damaged, or holds what this reader refuses.
    """
    path = Path(path)
    try:
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            todo = "Check its name."
            raise ModelFileError("a PyTorch file", f"{path}: no file, or too large", todo)
        whole = path.read_bytes()  # in memory, a read never allocates more than there is
        with zipfile.ZipFile(io.BytesIO(whole)) as archive:
            storages = _Storages(archive, len(whole))
            return unpickled(storages.member("data.pkl"), _made, storages.storage)
    except ModelFileError:
        raise
    except (OSError, *DAMAGED) as error:
        got = f"{path}: {error}"[:200]
        raise ModelFileError("a file that torch.save wrote", got, FRESH) from error


def module(saved: Any) -> Module:  # noqa: ANN401 - what a file held
    """Return a saved model, module by module.

    Raises:
        ModelFileError: what was saved is no model.
    """
    return _module(saved, 0, [MOST_MODULES])


def _module(saved: Any, depth: int, left: list[int]) -> Module:  # noqa: ANN401
    state = _state(saved)
    parts = ("_parameters", "_buffers", "_modules")
    if not isinstance(state, dict) or not all(isinstance(state.get(p), dict) for p in parts):
        got = str(saved.kind)[:80] if isinstance(saved, Record) else type(saved).__name__
        todo = "Give the whole model, as torch.save(model) writes it: not its weights alone."
        raise ModelFileError("a model of PyTorch", got, todo)
    left[0] -= 1
    if depth > DEEPEST or left[0] < 0:
        raise ModelFileError("modules that end", "modules within modules without one", FRESH)
    tensors = {**state["_parameters"], **state["_buffers"]}
    children = state["_modules"].items()
    return Module(
        kind=saved.kind,
        attributes={str(name): value for name, value in state.items() if name not in parts},
        tensors={str(n): t for n, t in tensors.items() if isinstance(t, np.ndarray)},
        children={str(n): _module(m, depth + 1, left) for n, m in children if m is not None},
    )


def _state(saved: Any) -> Any:  # noqa: ANN401
    """Return what a module holds, by name; None of what is no module."""
    if not isinstance(saved, Record):
        return None
    return saved.args[0] if str(saved.kind) in GRAPHS and saved.args else saved.state


class _Storage(NamedTuple):
    """The numbers of one storage, flat."""

    numbers: np.ndarray


class _Storages:
    """The members of one archive; each is read once, and only when it is needed."""

    def __init__(self, archive: zipfile.ZipFile, size: int) -> None:
        self.archive, self.read = archive, {}
        infos = archive.infolist()
        self.infos = {info.filename: info for info in infos}
        if len(infos) > MOST_MEMBERS or len(self.infos) < len(infos):
            raise ModelFileError("members of their own names", f"{len(infos)}", FRESH)
        # they lie side by side in a sound file: together they cannot be larger than it.
        if sum(info.file_size for info in infos) > size:
            raise ModelFileError(f"members of {size} bytes at most", "more", FRESH)
        if any(info.compress_type != zipfile.ZIP_STORED for info in infos):
            raise ModelFileError("members as PyTorch writes them", "compressed ones", FRESH)
        roots = {name.partition("/")[0] for name in self.infos}
        self.root = roots.pop() if len(roots) == 1 else ""
        self.order = ORDERS.get(self.member("byteorder", b"little"), "")

    def member(self, name: str, missing: bytes | None = None) -> bytes:
        info = self.infos.get(f"{self.root}/{name}")
        if info is None and missing is not None:
            return missing
        if info is None:
            raise ModelFileError(f"a member {name[:40]!r}", "none", FRESH)
        return self.archive.read(info)

    def storage(self, identity: Any) -> _Storage:  # noqa: ANN401 - of a hostile file
        match identity:
            case ("storage", Name(module="torch", name=kind), str(key), str(), int(count)) if (
                kind in STORAGES and self.order
            ):
                dtype = np.dtype(self.order + STORAGES[kind])
            case _:
                got = str(identity[1])[:60] if len(identity) > 1 else "another"
                todo = "Save the model in float32 or float64, on the CPU."
                raise ModelFileError("storages of plain numbers", got, todo)
        if (kind, key) not in self.read:
            data = self.member(f"data/{key}")
            if len(data) != count * dtype.itemsize:
                got = f"{len(data)} bytes for {key[:40]!r}"
                raise ModelFileError(f"{count} numbers of {dtype}", got, FRESH)
            numbers = np.frombuffer(data, "u1") != 0 if kind == "BoolStorage" else None
            self.read[kind, key] = np.frombuffer(data, dtype) if numbers is None else numbers
        return _Storage(self.read[kind, key])


def _made(call: Record) -> Any:  # noqa: ANN401 - of any kind
    """Return what stands for a call: tensors and containers are made, all else is recorded."""
    name = str(call.kind)
    if name in TENSORS:
        return _tensor(*call.args[:4])
    if name in PARAMETERS and call.args and isinstance(call.args[0], np.ndarray):
        return call.args[0]
    if name in DICTS and not call.args:
        return {}
    return call


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any) -> np.ndarray:  # noqa: ANN401
    """Return a view of a storage, if it lies within it."""
    if not isinstance(storage, _Storage) or not all(
        isinstance(axes, tuple) and len(axes) <= MOST_AXES and all(type(n) is int for n in axes)
        for axes in ((offset,), shape, strides)
    ):
        raise ModelFileError("a tensor: storage, offset, shape and strides", "others", FRESH)
    numbers = storage.numbers
    negative = min((offset, *shape, *strides)) < 0 or len(shape) != len(strides)
    empty = 0 in shape
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=False))
    if negative or (not empty and (last >= numbers.size or math.prod(shape) > numbers.size)):
        raise ModelFileError("a tensor within its storage", "one beyond", FRESH)
    if empty:
        return np.zeros(shape, numbers.dtype)
    steps = [step * numbers.itemsize for step in strides]
    return as_strided(numbers[offset:], shape, steps, writeable=False)
