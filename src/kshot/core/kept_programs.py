"""What need not be done again in the next run: tracing a function, checking a configuration.

JAX's own cache keeps what XLA compiled, but Python has to trace a function before it is asked, and
a network takes seconds of that in every run. What is kept here is what tracing gave.
"""

from __future__ import annotations

import functools
import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jaxtyping import PyTree

import kshot
from kshot.core.cache import cache_folder, keep_file, private_folder

MOST_FILES = 64  # a tenth of a megabyte each
SUM = hashlib.sha256().digest_size
PACKAGES = ("jax", "jaxlib", "mlip", "e3nn-jax", "e3j", "flax", "equinox", "numpy")
SETTINGS = ("jax_enable_x64", "jax_default_matmul_precision", "jax_numpy_dtype_promotion")
FLAGS = ("XLA_FLAGS", "LIBTPU_INIT_ARGS")  # of the environment

Function = Callable[..., PyTree]
_ready: dict[Any, Function] = {}
_one_at_a_time = threading.Lock()


class Settled(NamedTuple):
    """An argument that a program is made for.

    Args:
        value: hashable.
        text: that tells it from all other values, in every run; None if nothing does.
    """

    value: Any
    text: str | None


def run_kept(function: Function, settled: Sequence[Settled], *given: PyTree) -> PyTree:
    """Return ``function(*settled, *given)``, from a kept program if there is one.

    Args:
        function: of arrays, without effects, and not itself under a transformation.
        settled: its first arguments: each combination is a program of its own, and is kept if all
            have a text.
        given: its other arguments, trees of arrays.
    """
    values = tuple(one.value for one in settled)
    leaves, structure = jax.tree.flatten(given)
    shapes = tuple((leaf.shape, leaf.dtype.name) for leaf in leaves)
    key = (function, values, structure, shapes, _settings())
    if key not in _ready:
        with _one_at_a_time:
            if key not in _ready:
                flat = _flat(function, values, structure)
                texts = [one.text for one in settled]
                name = f"{function.__module__}.{function.__qualname__} {key[2:]} {texts}"
                _ready[key] = jax.jit(flat) if None in texts else _kept(flat, name, leaves)
    return _ready[key](*leaves)


def check_once(about: str, check: Callable[[], object]) -> None:
    """Call a check, unless it has passed on this machine before, with the same code.

    Args:
        about: text that tells what is checked from all else, in every run.
        check: raises if it finds fault; worth it where it takes seconds, such as those of imports.
    """
    path = _path("checked", about)
    if path is None or not path.exists():
        check()
        if path is not None:
            keep_file(path, lambda part: part.write_bytes(b""), MOST_FILES)


def _flat(function: Function, values: tuple[Any, ...], structure: Any) -> Function:  # noqa: ANN401
    def flat(*leaves: PyTree) -> PyTree:
        return function(*values, *jax.tree.unflatten(structure, leaves))

    return flat


def _kept(flat: Function, about: str, leaves: list[Any]) -> Function:
    """Return the program in the user's cache, or make it and keep it there."""
    path = _path("traced", f"{about} {_device()}")
    if path is None:
        return jax.jit(flat)
    if (held := _read(path)) is not None:
        return jax.jit(jax.export.deserialize(bytearray(held)).call)
    try:
        traced = jax.export.export(jax.jit(flat))(*leaves)
        content = bytes(traced.serialize())
    except (ValueError, NotImplementedError):  # some operations have no lasting form
        return jax.jit(flat)
    keep_file(path, lambda part: part.write_bytes(_sum_of(content) + content), MOST_FILES)
    return jax.jit(traced.call)


def _settings() -> tuple[str, ...]:
    """Return what a traced program depends on beside its arguments: settings of JAX and XLA."""
    settings = [str(getattr(jax.config, name)) for name in SETTINGS]
    wide = jax.numpy.result_type(float).name  # x64 may be set for a block only
    return (*settings, wide, *(os.environ.get(name, "") for name in FLAGS))


def _device() -> str:
    return f"{jax.default_backend()} {jax.devices()[0].device_kind}"


def _path(kind: str, about: str) -> Path | None:
    """Return where something is kept that this code makes; None if nothing is.

    What is read there is run, so the folder has to be this user's alone.
    """
    base = cache_folder()
    if base is None or not private_folder(base / kind):
        return None
    name = hashlib.sha256(f"{about} {code_digest()}".encode()).hexdigest()
    return base / kind / name[:32]


def _read(path: Path) -> bytes | None:
    """Return what a file holds if it is what was written."""
    try:
        whole = path.read_bytes()
    except OSError:
        return None
    content = whole[SUM:]
    return content if whole[:SUM] == _sum_of(content) else None


def _sum_of(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


@functools.cache
def code_digest() -> str:
    """Return a digest of what numbers depend on: kshot's code and its libraries' versions."""
    digest = hashlib.sha256()
    root = Path(kshot.__file__).parent
    for package in ("atoms", "core", "fewshot", "potentials"):
        for path in sorted((root / package).rglob("*.py")):
            digest.update(path.read_bytes())
    for package in PACKAGES:
        try:
            digest.update(version(package).encode())
        except PackageNotFoundError:
            digest.update(b"none")
    return digest.hexdigest()
