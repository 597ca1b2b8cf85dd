"""The symmetric contraction: two bases of the same polynomials, and the map between them.

Both sides weight a basis of the symmetric equivariant polynomials of an atom's features. mace-torch
stores its basis (the U matrices); mlip builds another from repeated tensor products. Where the two
span the same polynomials, one is a linear map of the other, found here by least squares on random
features; a remainder means that they do not, and is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from kshot.core.errors import ModelFileError

TOLERANCE = 1e-6  # of the remainder, relative: float32 tables leave 1e-7, a missing polynomial 1e-1
SPARE = 4  # random equations per unknown


def contraction_weights(
    state: Mapping[str, np.ndarray], layer: int, l_max: int, degrees: int
) -> dict[str, Float[np.ndarray, "elements channels 1 paths"]]:
    """Return the weights of mlip's contraction, by their name there.

    Args:
        state: of the mace-torch model.
        layer: which.
        l_max: highest degree of the features that are contracted.
        degrees: how many degrees come out, from 0 on.
    """
    prefix = f"products.{layer}.symmetric_contractions.contractions"
    bases = [_orders(state, f"{prefix}.{degree}.") for degree in range(degrees)]
    # tables in double precision; those of indices are of small integers.
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        ours = _OurBasis(l_max, degrees, max(len(orders) for orders in bases))
        rng = np.random.default_rng(0)
        features = rng.normal(size=(SPARE * max(ours.paths), (l_max + 1) ** 2))
        evaluated = ours.values(features)
    found = {}
    for degree, values in enumerate(evaluated):
        theirs = np.concatenate([_values(u, features, degree) for u, _ in bases[degree]], axis=-1)
        weights = np.concatenate([weight for _, weight in bases[degree]], axis=1)
        mapped = _least_squares(values, theirs, f"{prefix}.{degree}")
        found[ours.names[degree]] = np.einsum("jk,ekc->ecj", mapped, weights)[:, :, None, :]
    return found


def weight_names(state: Mapping[str, np.ndarray], prefix: str) -> list[str]:
    """Return the names of the weights of each order that has any, the lowest first."""
    correlation = sum(name.startswith(f"{prefix}U_matrix_") for name in state)
    # weights of the highest order have a name of their own, the others count downwards.
    lower = [f"{prefix}weights.{correlation - 1 - order}" for order in range(1, correlation)]
    return [*lower, f"{prefix}weights_max"]


def _orders(state: Mapping[str, np.ndarray], prefix: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the U matrix and the weights of each order, the lowest first."""
    names = weight_names(state, prefix)
    return [(state[f"{prefix}U_matrix_{n}"], state[name]) for n, name in enumerate(names, 1)]


def _values(
    basis: Float[np.ndarray, "*shape"], features: Float[np.ndarray, "samples dim"], degree: int
) -> Float[np.ndarray, "samples components paths"]:
    """Return the polynomials of one order; a U matrix is components? × features… × paths."""
    tensor = basis if degree else basis[None]
    found = np.einsum("m...ik,si->sm...k", tensor, features)
    while found.ndim > 3:
        found = np.einsum("sm...ik,si->sm...k", found, features)
    return found


class _OurBasis:
    """mlip's basis: what its module weights, before it does."""

    def __init__(self, l_max: int, degrees: int, correlation: int) -> None:
        from e3j.utils.options import Layout
        from mlip.models.mace.symmetric_contraction import LinearIndexwise, SymmetricContraction

        module = SymmetricContraction(
            source_irreps=_harmonics(l_max),
            keep_irrep_out=_harmonics(degrees - 1),
            correlation=correlation,
            num_species=1,
            num_channels=1,
            layout=Layout.TRAILING_CHANNELS,
        )
        layers: Any = module  # mlip annotates its layers more narrowly than it makes them
        self._powers = layers.expansion_layer()
        self._sort = layers.permutation_layer(self._powers.target)
        # made apart: a method of a module that is not being run cannot make another.
        self._blocks = LinearIndexwise(
            str(self._sort.target.regroup()),
            _harmonics(degrees - 1),
            num_indices=1,
            num_channels=1,
            kernel_init="FAN_IN",
            rescale_gradients=False,
            layout=Layout.TRAILING_CHANNELS,
        ).blocks
        self.names = [f"weight{i}_{block.l}_{block.p}" for i, block in enumerate(self._blocks)]
        self.paths = [block.shape[1] for block in self._blocks]

    def values(
        self, features: Float[np.ndarray, "samples dim"]
    ) -> list[Float[np.ndarray, "samples components paths"]]:
        """Return the polynomials of each degree."""

        def run(rows: jax.Array) -> jax.Array:
            return self._sort(jnp.concatenate(self._powers(rows[..., None]), axis=-2))

        with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
            found = np.asarray(jax.jit(run)(jnp.asarray(features)))[..., 0]
        parts = [found[:, block.begin : block.end] for block in self._blocks]
        shapes = [(len(features), block.shape[1], -1) for block in self._blocks]
        return [
            part.reshape(shape).swapaxes(1, 2) for part, shape in zip(parts, shapes, strict=True)
        ]


def _harmonics(l_max: int) -> str:
    return "+".join(f"1x{degree}{'eo'[degree % 2]}" for degree in range(l_max + 1))


def _least_squares(
    ours: Float[np.ndarray, "samples components ours"],
    theirs: Float[np.ndarray, "samples components theirs"],
    what: str,
) -> Float[np.ndarray, "ours theirs"]:
    flat = [array.reshape(-1, array.shape[-1]) for array in (ours, theirs)]
    mapped = np.linalg.lstsq(flat[0], flat[1], rcond=None)[0]
    left = np.linalg.norm(flat[0] @ mapped - flat[1], axis=0)
    # some of their higher polynomials are antisymmetric, and vanish: no column is its own measure.
    if (worst := float(left.max() / np.linalg.norm(flat[1], axis=0).max())) > TOLERANCE:
        todo = "mlip's MACE has no counterpart of some of its polynomials."
        got = f"{what}: {worst:.1e} of it cannot be represented"
        raise ModelFileError("a product basis that mlip's spans", got, todo)
    return mapped
