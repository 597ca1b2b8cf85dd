"""GFN2 for dynamics: each step's electrons begin with those of the step before.

A third quicker than `kshot.labelers.gfn`, which begins anew each time so that a label depends on
nothing but its structure. Frames are labelled by that one.
"""

from __future__ import annotations

from typing import Any

from kshot.atoms import Failure, Fingerprint, Labeler, Labels, Structure
from kshot.core.units import BOHR, HARTREE


class Walker(Labeler):
    """GFN2 of one molecule after the other."""

    def __init__(self) -> None:
        """Compute nothing yet."""
        self._molecule = b""
        self._calculator: Any = None
        self._last: Any = None

    @property
    def fingerprint(self) -> Fingerprint:
        """Program and method; labels of a walker are for walking only."""
        return Fingerprint("tblite", "any", "GFN2-xTB", settings={"restart": True})

    def label(self, structure: Structure) -> Labels | Failure:
        """Return energy in eV and forces in eV/Å."""
        from tblite.exceptions import TBLiteRuntimeError
        from tblite.interface import Calculator

        molecule = structure.numbers.tobytes() + bytes([structure.charge % 256])
        positions = structure.positions / BOHR
        if molecule != self._molecule:
            charge, unpaired = structure.charge, structure.multiplicity - 1
            made = Calculator("GFN2-xTB", structure.numbers, positions, charge, unpaired)
            made.set("verbosity", 0)
            self._molecule, self._calculator, self._last = molecule, made, None
        self._calculator.update(positions)
        try:
            self._last = self._calculator.singlepoint(self._last)
        except TBLiteRuntimeError as error:
            self._molecule = b""
            return Failure("not converged", str(error))
        energy = float(self._last.get("energy")) * HARTREE
        return Labels(energy, self._last.get("gradient") * (-HARTREE / BOHR))
