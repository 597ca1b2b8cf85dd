"""Nested dicts, lists and tuples of arrays, as a JSON outline and a flat dictionary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import jax
import numpy as np
from jaxtyping import PyTree

from kshot.core.errors import ModelFileError, ParameterError

KINDS = frozenset({"<f4", "<f8", "<i4", "<i8", "|b1", "|u1"})
"""Types of arrays that a model may have."""


def flatten(tree: PyTree) -> tuple[Any, dict[str, np.ndarray]]:
    """Return the outline of a tree, and its arrays by the path that stands for each.

    In the outline a dict is ``{"dict": {…}}``, a list ``{"list": […]}``, a tuple likewise, nothing
    is null, and an array its name, such as ``params/params/Dense_0/kernel``.

    Raises:
        ParameterError: it holds something else, or arrays of a type that files do not have.
    """
    arrays: dict[str, np.ndarray] = {}
    return _outline(tree, (), arrays), arrays


def unflatten(outline: Any, arrays: Mapping[str, np.ndarray]) -> PyTree:  # noqa: ANN401 - JSON
    """Return the tree that `flatten` made the outline and arrays of.

    Raises:
        ModelFileError: the outline is none, or names an array that is not there.
    """
    match outline:
        case None:
            return None
        case str(name) if name in arrays:
            return arrays[name]
        case {"dict": dict(parts), **rest} if not rest:
            return {key: unflatten(part, arrays) for key, part in parts.items()}
        case {"list": list(parts), **rest} if not rest:
            return [unflatten(part, arrays) for part in parts]
        case {"tuple": list(parts), **rest} if not rest:
            return tuple(unflatten(part, arrays) for part in parts)
    todo = "The file is damaged: take a fresh copy."
    raise ModelFileError("an outline of parameters, all of them there", repr(outline)[:60], todo)


def _outline(tree: Any, path: tuple[str, ...], arrays: dict[str, np.ndarray]) -> Any:  # noqa: ANN401
    inner = lambda key, part: _outline(part, (*path, quote(str(key), safe="")), arrays)  # noqa: E731
    if tree is None:
        return None
    if isinstance(tree, Mapping) and all(isinstance(key, str) for key in tree):
        return {"dict": {key: inner(key, tree[key]) for key in sorted(tree)}}
    if type(tree) in {list, tuple}:
        return {type(tree).__name__: [inner(i, part) for i, part in enumerate(tree)]}
    name = "/".join(path)
    if isinstance(tree, np.ndarray | np.generic | jax.Array | float):
        arrays[name] = _plain(np.asarray(tree), name)
        return name
    expected = "dicts with text as keys, lists, tuples and arrays"
    raise ParameterError(expected, f"{type(tree).__name__} at {name}", "Convert it.")


def _plain(array: np.ndarray, name: str) -> np.ndarray:
    little = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
    if little.dtype.str not in KINDS:
        expected = "arrays of float32, float64, int32, int64 or bool"
        raise ParameterError(expected, f"{array.dtype} at {name}", "Convert it first.")
    return little
