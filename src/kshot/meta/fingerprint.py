"""What a run is made of, as JSON: so that no checkpoint is taken up by a different run."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PyTree

from kshot.core import trees
from kshot.core.errors import CheckpointError

PROBES = 8
Difference = tuple[str, str, str]


def run_fingerprint(algorithm: object, stream: object, seed: int, state: PyTree) -> dict[str, Any]:
    """Return what decides a run's numbers: algorithm, tasks, seed, and the state it starts from."""
    return {
        "algorithm": describe(algorithm),
        "tasks": describe(stream),
        "seed": seed,
        "state": leaf_shapes(state),
        "start": leaf_samples(state),
    }


def check_same_run(stored: dict[str, Any], saved: PyTree, now: dict[str, Any]) -> None:
    """Raise CheckpointError, naming what differs, unless a checkpoint belongs to this run.

    Args:
        stored: the fingerprint in the checkpoint.
        saved: the state in the checkpoint; handed on as the new start, it is as good as the old.
        now: the fingerprint of this run.
    """
    if not differences(leaf_samples(saved), now["start"]):
        stored = stored | {"start": now["start"]}
    if changed := differences(stored, now):
        raise CheckpointError(
            f"expected checkpoints of this run; got those of a different one: {phrase(changed)}. "
            "Train in a new directory; to go on from the old one on purpose, start from "
            "meta.load_state(directory, like=state)."
        )


def describe(thing: object) -> Any:  # noqa: ANN401 - JSON
    """Return a JSON description, equal in every process that builds the thing in the same way.

    Numbers and texts as they are, samples of arrays, functions by name with what they close over.
    """
    return _describe(thing, ())


def leaf_shapes(tree: PyTree) -> dict[str, str]:
    """Return ``name → dtype[shape]`` of every array in the tree."""
    return {name: f"{leaf.dtype}{list(leaf.shape)}" for name, leaf in _named_arrays(tree)}


def leaf_samples(tree: PyTree) -> dict[str, Any]:
    """Return ``name → description`` of every array in the tree, a few of its values included."""
    return {name: describe(leaf) for name, leaf in _named_arrays(tree)}


def differences(a: object, b: object, path: str = "") -> list[Difference]:
    """Return ``(dotted path, value in a, value in b)`` wherever two descriptions differ.

    Floats count as equal to a relative 1e-5: another device may round an initialisation otherwise.
    """
    if isinstance(a, dict) and isinstance(b, dict):
        items = [(key, a.get(key), b.get(key)) for key in sorted({*a, *b})]
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        items = [(str(i), x, y) for i, (x, y) in enumerate(zip(a, b, strict=True))]
    elif isinstance(a, float) and isinstance(b, float):
        same = math.isclose(a, b, rel_tol=1e-5, abs_tol=1e-9) or (a != a and b != b)
        return [] if same else [(path, repr(a), repr(b))]
    else:
        return [] if a == b else [(path, repr(a), repr(b))]
    nested = [differences(x, y, f"{path}.{key}" if path else key) for key, x, y in items]
    return [found for part in nested for found in part]


def phrase(changed: list[Difference], most: int = 3) -> str:
    """Return the first differences in words."""
    told = [f"{path} is {old} in the checkpoint, {new} now" for path, old, new in changed[:most]]
    return "; ".join(told) + (f"; and {len(changed) - most} more" if len(changed) > most else "")


def _named_arrays(tree: PyTree) -> list[tuple[str, Any]]:
    return [(name, leaf) for name, leaf in trees.named_leaves(tree) if eqx.is_array(leaf)]


def _describe(thing: object, above: tuple[int, ...]) -> Any:  # noqa: ANN401 - JSON
    if thing is None or isinstance(thing, bool | int | float | str):
        return thing
    if id(thing) in above:
        return "itself"
    inner = functools.partial(_describe, above=(*above, id(thing)))
    if eqx.is_array(thing) or isinstance(thing, np.ndarray | np.generic):
        return _array(thing)
    if isinstance(thing, Mapping):
        return {str(key): inner(value) for key, value in thing.items()}
    if isinstance(thing, tuple | list):
        named = dict(zip(getattr(thing, "_fields", ()), thing, strict=False))
        return {k: inner(v) for k, v in named.items()} if named else [inner(v) for v in thing]
    if is_dataclass(thing):
        found = {field.name: inner(getattr(thing, field.name)) for field in fields(thing)}
        return {"type": type(thing).__qualname__, **found}
    return _function(thing, inner) if callable(thing) else type(thing).__qualname__


def _array(array: Any) -> dict[str, Any]:  # noqa: ANN401 - of JAX or NumPy
    if jax.dtypes.issubdtype(array.dtype, jax.dtypes.prng_key):
        array = jax.random.key_data(array)
    flat = np.asarray(array).ravel()
    at = np.linspace(0, max(len(flat) - 1, 0), min(PROBES, len(flat))).astype(int)
    exact = flat.dtype.kind in "biu"
    sample = flat[at].tolist() if exact else np.real(flat[at]).astype(np.float64).tolist()
    return {"array": f"{flat.dtype}{list(array.shape)}", "sample": sample}


def _function(fn: Any, inner: Callable) -> dict[str, Any]:  # noqa: ANN401 - any callable
    if isinstance(fn, functools.partial):
        return {"partial": inner(fn.func), "args": inner(fn.args), "keywords": inner(fn.keywords)}
    target = getattr(fn, "__wrapped__", fn)
    name = getattr(target, "__qualname__", type(target).__qualname__)
    code, cells = getattr(target, "__code__", None), getattr(target, "__closure__", None)
    if not code or not cells:
        return {"function": name}
    closed = {k: inner(_content(c)) for k, c in zip(code.co_freevars, cells, strict=True)}
    return {"function": name, **closed}


def _content(cell: Any) -> object:  # noqa: ANN401 - CPython's cell type has no public name
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet: a function that names itself before it is made
        return None
