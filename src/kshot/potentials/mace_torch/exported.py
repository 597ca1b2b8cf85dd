"""Read an exported mace-torch model, and refuse what mlip's MACE cannot represent."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from kshot.core.arrays_file import NotArraysError, read_arrays
from kshot.core.errors import ModelFileError
from kshot.potentials.mace_torch.export import FORMAT, VERSION

ENVELOPE = 5  # the power of mlip's polynomial envelope
FIRST = {"RealAgnosticInteractionBlock": False, "RealAgnosticResidualInteractionBlock": True}
LATER = "RealAgnosticResidualInteractionBlock"
LARGEST = 1 << 31  # bytes: the largest published models take a tenth of it
EXPECTED, AGAIN = "an npz of an exported model", "Export the model again."
REMEDY = "mlip's MACE has no counterpart of it; kshot cannot import this model."


class Exported(NamedTuple):
    """What `export` wrote.

    Args:
        state: the arrays of the model's state, by their name there.
        e0s: energies of lone atoms in eV, in the order of the atomic numbers.
        hyper_parameters: see `export.hyper_parameters`.
    """

    state: dict[str, Float[np.ndarray, "*shape"]]
    e0s: Float[np.ndarray, " elements"]
    hyper_parameters: dict[str, Any]


class Sizes(NamedTuple):
    """What the irreps of a representable model come down to."""

    channels: int
    l_max: int
    node_symmetry: int
    correlation: int
    readout: int
    residual_first: bool


def read_export(path: Path | str) -> Exported:
    """Return what an npz of `export` holds; nothing in it can run.

    Raises:
        ModelFileError: it is no such file, or made by a newer kshot.
    """
    try:
        arrays = read_arrays(Path(path), LARGEST)
    except (OSError, NotArraysError) as error:
        raise ModelFileError(EXPECTED, f"{path}: {error}", AGAIN) from error
    return from_arrays(arrays, str(path))


def from_arrays(arrays: dict[str, np.ndarray], source: str) -> Exported:
    """Return the same of arrays in memory.

    Args:
        arrays: what `export.exported` returns.
        source: where they come from, for messages.
    """
    try:
        about = json.loads(str(arrays["about"]))
        name, version, given = (about[key] for key in ("format", "version", "hyper_parameters"))
        e0s = np.atleast_1d(arrays["e0s"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelFileError(EXPECTED, f"{source}: {error!r}", AGAIN) from error
    if (name, version) != (FORMAT, VERSION):
        expected = f"{FORMAT}, version {VERSION}"
        raise ModelFileError(expected, f"{name}, version {version}, in {source}", AGAIN)
    state = {
        name.removeprefix("state/"): value
        for name, value in arrays.items()
        if name.startswith("state/")
    }
    return Exported(state, e0s, given)


def sizes(exported: Exported) -> Sizes:
    """Return the model's sizes.

    Raises:
        ModelFileError: a field has a value that mlip's MACE cannot represent; it is named.
    """
    given = exported.hyper_parameters
    for name, wanted in _fixed(given).items():
        if given[name] != wanted:
            raise ModelFileError(f"{name} = {wanted!r}", repr(given[name]), REMEDY)
    channels, node_symmetry = _uniform("product_irreps", given["product_irreps"][0])
    _, l_max = _uniform("spherical_harmonics", given["spherical_harmonics"], 1)
    layers = len(given["interactions"])
    whole = _irreps(channels, node_symmetry)
    _same("product_irreps", given["product_irreps"], [whole] * (layers - 1) + [f"{channels}x0e"])
    sources = [f"{channels}x0e"] + [whole] * (layers - 1)
    _same("node_feats_irreps", given["node_feats_irreps"], sources)
    _same("edge_irreps", given["edge_irreps"], sources)
    _same("target_irreps", given["target_irreps"], [_irreps(channels, l_max)] * layers)
    orders = {order for product in given["correlation"] for order in product}
    if len(orders) > 1:
        raise ModelFileError("one correlation for all layers and irreps", f"{orders}", REMEDY)
    scalars = re.fullmatch(r"(\d+)x0e", given["MLP_irreps"])
    if not scalars:
        raise ModelFileError("MLP_irreps of scalars (0e) only", given["MLP_irreps"], REMEDY)
    first = FIRST[given["interactions"][0]]
    return Sizes(channels, l_max, node_symmetry, orders.pop(), int(scalars[1]), first)


def _fixed(given: dict[str, Any]) -> dict[str, Any]:
    """Return what fields must be, given the others."""
    layers = len(given["interactions"])
    if layers < 2:
        raise ModelFileError("num_interactions of at least 2", f"{layers}", REMEDY)
    first = given["interactions"][0]
    if first not in FIRST:
        raise ModelFileError(f"interaction_cls_first: {' or '.join(FIRST)}", first, REMEDY)
    return {
        "class": "ScaleShiftMACE",
        "radial_type": "BesselBasis",
        "num_polynomial_cutoff": ENVELOPE,
        "distance_transform": "None",
        "apply_cutoff": True,
        "pair_repulsion": False,
        "use_so3": False,
        "use_agnostic_product": False,
        "use_last_readout_only": False,
        "joint_embedding": False,
        "heads": given["heads"][:1],
        "interactions": [first] + [LATER] * (layers - 1),
        "avg_num_neighbors": given["avg_num_neighbors"][:1] * layers,
        "radial_MLP": given["radial_MLP"][:1] * layers,
        "readouts": ["LinearReadoutBlock"] * (layers - 1) + ["NonLinearReadoutBlock"],
        "gate": "silu",
    }


def _irreps(channels: int, l_max: int) -> str:
    return "+".join(f"{channels}x{degree}{'eo'[degree % 2]}" for degree in range(l_max + 1))


def _uniform(field: str, text: str, channels: int | None = None) -> tuple[int, int]:
    """Return channels and highest degree of irreps with as many channels in every degree."""
    terms = text.replace(" ", "").split("+")
    found = re.fullmatch(r"(\d+)x0e", terms[0])
    count = int(found[1]) if found else 0
    l_max = len(terms) - 1
    if not count or (channels and count != channels) or terms != _irreps(count, l_max).split("+"):
        expected = f"{field} with as many channels in every degree, of parity (-1)^l"
        raise ModelFileError(expected, text, REMEDY)
    return count, l_max


def _same(field: str, got: list[str], wanted: list[str]) -> None:
    if [text.replace(" ", "") for text in got] != wanted:
        raise ModelFileError(f"{field} = {wanted}", f"{got}", REMEDY)
