"""Which irreps each layer keeps, and the coupling coefficients of its product; plain NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

import e3nn_jax as e3nn
import numpy as np
from jaxtyping import Float

SCALAR = e3nn.Irrep(0, 1)
Irreps = tuple[e3nn.Irrep, ...]


@dataclass(frozen=True)
class Product:
    """All couplings of an edge's irreps with its environment's into `out`, each irrep once."""

    edge: Irreps
    environment: Irreps
    out: Irreps

    @property
    def paths(self) -> list[tuple[int, int, int]]:
        """The positions of the irreps that couple, as (edge, environment, out), by out first."""
        return [
            (i, j, k)
            for k, out in enumerate(self.out)
            for i, one in enumerate(self.edge)
            for j, other in enumerate(self.environment)
            if out in one * other
        ]

    def coefficients(self) -> Float[np.ndarray, "path i j k"]:
        """Return the coupling of every path, scaled to keep the variance of components."""
        at = [offsets(irreps) for irreps in (self.edge, self.environment, self.out)]
        table = np.zeros((len(self.paths), *(starts[-1] for starts in at)))
        for path, block in zip(self.paths, table, strict=True):
            irreps = [side[n] for side, n in zip(self._sides, path, strict=True)]
            where = tuple(slice(s[n], s[n + 1]) for s, n in zip(at, path, strict=True))
            coupling = e3nn.clebsch_gordan(*(ir.l for ir in irreps))
            block[where] = coupling * sqrt(irreps[2].dim)
        return table

    @property
    def _sides(self) -> tuple[Irreps, Irreps, Irreps]:
        return self.edge, self.environment, self.out


def products(l_max: int, num_layers: int, *, pseudotensors: bool) -> list[Product]:
    """Return each layer's product, without the irreps that could never reach the final scalars.

    Args:
        l_max: Highest degree.
        num_layers: Products in a row; the last yields scalars only.
        pseudotensors: Whether irreps of parity −(−1)^l are kept in between.
    """
    environment = harmonics(l_max)
    allowed = either_parity(l_max) if pseudotensors else environment
    reached = [environment]
    for layer in range(num_layers):
        wanted = (SCALAR,) if layer == num_layers - 1 else allowed
        reached.append(tuple(ir for ir in wanted if _couples(reached[-1], environment, ir)))
    kept = [reached.pop()]
    while reached:
        useful = [
            ir for ir in reached.pop() if any(_couples((ir,), environment, o) for o in kept[0])
        ]
        kept.insert(0, tuple(useful))
    return [Product(here, environment, there) for here, there in pairwise(kept)]


def harmonics(l_max: int) -> Irreps:
    """The irreps of the spherical harmonics: 0e, 1o, 2e and on."""
    return tuple(e3nn.Irrep(degree, (-1) ** degree) for degree in range(l_max + 1))


def either_parity(l_max: int) -> Irreps:
    """Every irrep up to a degree: 0e, 0o, 1e, 1o and on."""
    return tuple(e3nn.Irrep(degree, parity) for degree in range(l_max + 1) for parity in (1, -1))


def offsets(irreps: Irreps) -> list[int]:
    """Where each irrep begins among the components, and the number of components at the end."""
    return np.cumsum([0, *(ir.dim for ir in irreps)]).tolist()


def irrep_of_component(irreps: Irreps) -> list[int]:
    """The position of the irrep to which each component belongs."""
    return np.repeat(range(len(irreps)), [ir.dim for ir in irreps]).tolist()


def _couples(left: Irreps, right: Irreps, out: e3nn.Irrep) -> bool:
    """Whether some pair couples to `out`."""
    return any(out in one * other for one in left for other in right)
