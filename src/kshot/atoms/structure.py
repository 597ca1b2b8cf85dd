"""A molecule or periodic cell on the host: what may be labelled, sampled, cut and written."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int64

GRID = 1e-8  # Å: positions are the same if they agree on this grid, which extxyz keeps


@dataclass(frozen=True, eq=False)
class Structure:
    """Nuclei, their positions, and how many electrons with which spin.

    Arrays are copied and made read-only. Nothing physical is checked here, so that a broken
    structure can be held and shown; `kshot.atoms.check_structure` finds what is wrong with it.

    Args:
        numbers: atomic numbers.
        positions: in Å.
        charge: in elementary charges.
        multiplicity: 2S + 1; 1 is a closed shell.
        masses: in u, where they are not the elements' natural ones (isotopes). They change no
            energy, only which configurations are met and how they move.
        cell: three row vectors in Å, or None.
        pbc: whether the structure repeats along each of them.
        family: the family it belongs to; may be empty.
        info: where it comes from (file, frame, seed, temperature …); plain JSON values.
    """

    numbers: Int64[np.ndarray, " atoms"]
    positions: Float64[np.ndarray, "atoms 3"]
    charge: int = 0
    multiplicity: int = 1
    masses: Float64[np.ndarray, " atoms"] | None = None
    cell: Float64[np.ndarray, "3 3"] | None = None
    pbc: Bool[np.ndarray, " 3"] = field(default_factory=lambda: np.zeros(3, bool))
    family: str = ""
    info: Mapping[str, str | int | float | bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Own the arrays, in fixed types."""
        kinds = {"numbers": np.int64, "positions": np.float64, "pbc": bool}
        kinds |= {
            name: np.float64 for name in ("masses", "cell") if getattr(self, name) is not None
        }
        for name, kind in kinds.items():
            array = np.array(getattr(self, name), kind)
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        """Return the number of atoms."""
        return len(self.numbers)

    @cached_property
    def key(self) -> str:
        """The content address of what an electronic structure calculation depends on.

        Elements, positions to 1e-8 Å, charge, multiplicity, and the cell where it is periodic;
        neither masses nor names.
        """
        whole = hashlib.blake2b(digest_size=16)
        whole.update(np.array([len(self), self.charge, self.multiplicity], "<i8").tobytes())
        whole.update(self.numbers.astype("<i8").tobytes())
        whole.update(np.rint(self.positions / GRID).astype("<i8").tobytes())
        if self.cell is not None and self.is_periodic:
            whole.update(np.rint(self.cell / GRID).astype("<i8").tobytes())
            whole.update(self.pbc.tobytes())
        return whole.hexdigest()

    @cached_property
    def is_periodic(self) -> bool:
        """Whether it repeats along any cell vector."""
        return True in self.pbc.tolist()

    @cached_property
    def findings(self) -> dict[float, tuple[str, ...]]:
        """What `kshot.atoms.check_structure` has found for each ``closest`` it was asked with."""
        return {}

    def replace(self, **changes: object) -> Structure:
        """Return a copy with some fields changed."""
        return dataclasses.replace(self, **changes)
