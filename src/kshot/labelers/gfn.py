"""GFN2-xTB and GFN1-xTB through tblite, in this process: milliseconds per label.

Cite Bannwarth, Ehlert, Grimme, J. Chem. Theory Comput. 15, 1652 (2019) for GFN2 and Grimme,
Bannwarth, Shushkov, J. Chem. Theory Comput. 13, 1989 (2017) for GFN1.
"""

from __future__ import annotations

import threading
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from kshot.atoms import Failure, Fingerprint, Labeler, Labels, Structure
from kshot.core.errors import InputError
from kshot.core.units import BOHR, HARTREE
from kshot.labelers.checks import believed, why_refused

if TYPE_CHECKING:
    from tblite.interface import Calculator, Result

HEAVIEST = 86
KELVIN = 3.166808578545117e-6  # Hartree, as tblite counts electronic temperature
ACCURACY = 0.1  # tblite's own 1.0 is 4 % quicker, and leaves 0.1 meV/Å between forces and energies
SPIN_POLARIZATION = 1.0  # strength used for open shells; without it O₂'s triplet lies too high


class GFN(Labeler):
    """An extended tight-binding Hamiltonian; see `gfn2` and `gfn1`.

    The calculator of the last composition is used again for the next structure of that kind, which
    saves its set-up and changes no bit of the numbers: the electrons always start afresh.
    """

    def __init__(
        self, method: str, *, accuracy: float, temperature: float, max_iterations: int, solvent: str
    ) -> None:
        """Keep the settings; tblite is imported at the first label."""
        if not (accuracy > 0 and temperature >= 0 and max_iterations > 0):
            raise InputError(
                "accuracy > 0, temperature ≥ 0 K and at least one iteration",
                f"{accuracy}, {temperature} K and {max_iterations}",
                "tblite's own are 1.0, 300 K and 250.",
            )
        self._method, self._solvent = method, solvent
        self._accuracy, self._temperature = accuracy, temperature
        self._max_iterations = max_iterations
        settings: dict[str, str | int | float | bool] = {
            "accuracy": accuracy,
            "electronic temperature": temperature,
            "spin polarization": SPIN_POLARIZATION,
        }
        if solvent:
            settings["alpb"] = solvent
        self._fingerprint = Fingerprint("tblite", version("tblite"), method, settings=settings)
        self._cache = threading.local()  # threads never share a calculator

    def __getstate__(self) -> dict[str, object]:
        """Leave calculators behind: they are of this process."""
        return {key: value for key, value in self.__dict__.items() if key != "_cache"}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Start without calculators."""
        for name, value in state.items():
            setattr(self, name, value)
        self._cache = threading.local()

    @property
    def fingerprint(self) -> Fingerprint:
        """Program, version and every setting that moves a number."""
        return self._fingerprint

    def label(self, structure: Structure) -> Labels | Failure:
        """Return energy and forces (and stress, if periodic), or why there are none."""
        if refused := why_refused(structure, HEAVIEST):
            return refused
        from tblite.exceptions import TBLiteRuntimeError, TBLiteValueError

        try:
            result = self._calculator(structure).singlepoint()
        except TBLiteRuntimeError as error:
            self._cache.kind = None  # what it left behind is not worth trusting
            return Failure("not converged", str(error))
        except TBLiteValueError as error:
            self._cache.kind = None
            return Failure("refused", str(error))
        return believed(self._labels(structure, result))

    def _calculator(self, structure: Structure) -> Calculator:
        kind = (
            structure.numbers.tobytes(),
            structure.charge,
            structure.multiplicity,
            structure.pbc.tobytes(),
        )
        cell = _cell(structure)
        lattice = None if cell is None else cell / BOHR
        positions = structure.positions / BOHR
        if getattr(self._cache, "kind", None) == kind:
            self._cache.calculator.update(positions, lattice)
            return self._cache.calculator
        self._cache.kind = None
        self._cache.calculator = self._make(structure, positions, lattice)
        self._cache.kind = kind
        return self._cache.calculator

    def _make(
        self, structure: Structure, positions: np.ndarray, lattice: np.ndarray | None
    ) -> Calculator:
        from tblite.interface import Calculator

        unpaired = structure.multiplicity - 1
        calculator = Calculator(
            self._method,
            structure.numbers,
            positions,
            charge=structure.charge,
            uhf=unpaired,
            lattice=lattice,
            periodic=None if lattice is None else structure.pbc,
        )
        calculator.set("verbosity", 0)
        calculator.set("accuracy", self._accuracy)
        calculator.set("temperature", self._temperature * KELVIN)
        calculator.set("max-iter", self._max_iterations)
        if unpaired:
            calculator.add("spin-polarization", SPIN_POLARIZATION)
        if self._solvent:
            calculator.add("alpb-solvation", self._solvent)
        return calculator

    def _labels(self, structure: Structure, result: Result) -> Labels:
        stress = None
        if (cell := _cell(structure)) is not None:
            volume = abs(float(np.linalg.det(cell)))
            stress = np.asarray(result.get("virial")) * (HARTREE / volume)
        return Labels(
            float(result.get("energy")) * HARTREE,
            result.get("gradient") * (-HARTREE / BOHR),
            stress,
            self.fingerprint,
        )


def _cell(structure: Structure) -> np.ndarray | None:
    return structure.cell if structure.is_periodic else None


def gfn2(
    *,
    accuracy: float = ACCURACY,
    temperature: float = 300.0,
    max_iterations: int = 250,
    solvent: str = "",
) -> GFN:
    """Return GFN2-xTB, for elements up to radon, with charge and spin.

    Args:
        accuracy: tblite's threshold factor; smaller is tighter, tblite's own is 1.0.
        temperature: electronic temperature in K.
        max_iterations: after which the electrons count as not converged.
        solvent: of the implicit ALPB model, such as ``"water"``; empty for none.
    """
    return GFN(
        "GFN2-xTB",
        accuracy=accuracy,
        temperature=temperature,
        max_iterations=max_iterations,
        solvent=solvent,
    )


def gfn1(
    *,
    accuracy: float = ACCURACY,
    temperature: float = 300.0,
    max_iterations: int = 250,
    solvent: str = "",
) -> GFN:
    """Return GFN1-xTB; the arguments are those of `gfn2`."""
    return GFN(
        "GFN1-xTB",
        accuracy=accuracy,
        temperature=temperature,
        max_iterations=max_iterations,
        solvent=solvent,
    )


def example_gfn2() -> GFN:
    """Return the instance the contract tests run."""
    return gfn2()


def example_gfn1() -> GFN:
    """Return the instance the contract tests run."""
    return gfn1()
