"""Checkpoints of a training run: atomic, verified, and never taken up by a different run.

Orbax writes each one beside its final name and renames it when it is whole, so a process killed at
any moment leaves only whole checkpoints behind. The hash of the state is stored with it; one that
does not match, or cannot be read, is set aside and the one before is used.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from kshot.core.errors import CheckpointError
from kshot.meta.algorithms.base import State
from kshot.meta.fingerprint import differences, leaf_shapes, phrase

KEEP = 3
UNREADABLE = "unreadable-"


Leaves = dict[str, np.ndarray]


class Restored(NamedTuple):
    """What `latest` found.

    Args:
        step: the outer step the checkpoint was taken at.
        state: the state, on the default device.
        fingerprint: what the run that saved it was made of.
        set_aside: the steps of newer checkpoints that could not be read.
    """

    step: int
    state: State
    fingerprint: dict[str, Any]
    set_aside: tuple[int, ...]


class Checkpoints:
    """The checkpoints of one run, in one directory; a context manager.

    Args:
        directory: where they are; made if it does not exist.
        fingerprint: what the run is made of.
    """

    def __init__(self, directory: Path, fingerprint: dict[str, Any]) -> None:
        """Open the directory, and remove what an interrupted write left half done."""
        training = _orbax().training
        self._fingerprint = fingerprint
        self._book = training.Checkpointer(
            directory.absolute(),
            save_decision_policy=training.save_decision_policies.FixedIntervalPolicy(1),
            preservation_policy=training.preservation_policies.LatestN(KEEP),
            cleanup_tmp_directories=True,
        )
        self._saved = {checkpoint.step for checkpoint in self._book.checkpoints}

    def __enter__(self) -> Checkpoints:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Wait until everything is written."""
        self._book.close()

    def save(self, step: int, state: State) -> None:
        """Begin to save the state of a step; files are written while training goes on."""
        if step in self._saved:
            return
        leaves = _host_leaves(state)
        run = {"fingerprint": self._fingerprint, "digest": _digest(leaves)}
        self._book.save_async(step, leaves, force=True, custom_metadata=run)
        self._saved.add(step)


def load_state(directory: str | Path, like: State) -> State:
    """Return the newest state saved in a directory, whatever run it came from.

    Args:
        directory: what ``train`` was given as ``checkpoints``.
        like: a state of the same structure, for instance ``algorithm.init(params)``.

    Raises:
        CheckpointError: nothing there, nothing readable, or a state of other shapes.
    """
    found = latest(Path(directory), like)
    if found is None:
        raise CheckpointError(
            f"expected checkpoints in {directory}; got none. "
            "Give the directory that train(checkpoints=…) wrote to."
        )
    return found.state


def latest(directory: Path, like: State) -> Restored | None:
    """Return the newest checkpoint that can be read; ``None`` if there is none at all.

    Those newer that cannot be read are renamed ``unreadable-<step>``.

    Raises:
        CheckpointError: there are checkpoints, but none can be read, or they have other shapes.
    """
    steps = sorted(_steps(directory), reverse=True)
    bad: list[int] = []
    found = None
    for step in steps:
        found = _read(directory.absolute() / str(step), like)
        if found is not None:
            break
        bad.append(step)
    if found is None and bad:
        raise CheckpointError(
            f"expected a readable checkpoint in {directory}; got damaged files in all of them, "
            f"steps {bad[::-1]}. Put the files back, or begin anew in another directory."
        )
    _set_aside(directory, bad)
    return found._replace(set_aside=tuple(bad)) if found else None


def _orbax() -> Any:  # noqa: ANN401 - its own annotations do not hold
    from orbax.checkpoint import v1  # takes a second: imported only when it is used

    return v1


def _steps(directory: Path) -> list[int]:
    if not directory.is_dir():
        return []
    return [int(path.name) for path in directory.iterdir() if path.name.isdigit()]


def _read(path: Path, like: State) -> Restored | None:
    """Return one checkpoint, or ``None`` if its files are damaged."""
    ocp = _orbax()
    template = {name: np.empty_like(leaf) for name, leaf in _host_leaves(like).items()}
    with _silent_about_damage():
        try:
            run = ocp.metadata(path).custom_metadata
            fingerprint, want = run["fingerprint"], run["digest"]
            _check_shapes(path, fingerprint["state"], like)
            leaves = ocp.load(path, template)
        # whatever tensorstore, JSON and the file system raise on damaged or missing files.
        except (ValueError, TypeError, KeyError, OSError, RuntimeError):
            return None
    if _digest(leaves) != want:
        return None
    return Restored(int(path.name), _rebuild(like, leaves), fingerprint, ())


def _check_shapes(path: Path, stored: dict[str, str], like: State) -> None:
    if changed := differences(stored, leaf_shapes(like)):
        raise CheckpointError(
            f"the checkpoint {path} holds another state: {phrase(changed)}. "
            "Give the parameters and algorithm it was made with, or another directory."
        )


def _set_aside(directory: Path, bad: list[int]) -> None:
    if jax.process_index() == 0:
        for step in bad:
            (directory / str(step)).rename(directory / f"{UNREADABLE}{step}")
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices("kshot: checkpoints read")


def _host_leaves(state: State) -> Leaves:
    """Return copies on the host, keyed by position; keys as their data, empty arrays left out."""
    arrays = [leaf for leaf in jax.tree.leaves(state) if eqx.is_array(leaf)]
    plain = [jax.random.key_data(leaf) if _is_key(leaf) else leaf for leaf in arrays]
    # a copy, not a view: the device's buffer is given away to the next call while this is written.
    return {f"{i:04d}": np.array(leaf, copy=True) for i, leaf in enumerate(plain) if leaf.size}


def _rebuild(like: State, leaves: Leaves) -> State:
    arrays, rest = eqx.partition(like, eqx.is_array)
    flat, structure = jax.tree.flatten(arrays)
    stored = [leaves.get(f"{i:04d}") for i in range(len(flat))]
    made = [_as_leaf(old, new) for old, new in zip(flat, stored, strict=True)]
    return eqx.combine(jax.tree.unflatten(structure, made), rest)


def _as_leaf(like: jax.Array, data: np.ndarray | None) -> jax.Array:
    if data is None:
        return like
    if _is_key(like):
        return jax.random.wrap_key_data(jnp.asarray(data), impl=jax.random.key_impl(like))
    return jnp.asarray(data, like.dtype)


def _is_key(leaf: jax.Array) -> bool:
    return bool(jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key))


def _digest(leaves: Leaves) -> str:
    """Return the sha256 of all values, in order."""
    total = hashlib.sha256()
    for name in sorted(leaves):
        total.update(f"{name} {leaves[name].dtype} {leaves[name].shape} ".encode())
        total.update(np.ascontiguousarray(leaves[name]).tobytes())
    return total.hexdigest()


@contextlib.contextmanager
def _silent_about_damage() -> Iterator[None]:
    """Keep Orbax's and asyncio's pages of errors about one damaged file to ourselves."""
    loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
    before = [logger.disabled for logger in loggers]
    try:
        for logger in loggers:
            logger.disabled = True
        yield
        gc.collect()  # asyncio complains when its failed tasks are collected
    finally:
        for logger, was in zip(loggers, before, strict=True):
            logger.disabled = was
