"""One label by PySCF: mean field, then its derivative, or what is built on it."""

from __future__ import annotations

import warnings
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

import numpy as np

from kshot.atoms import Failure, Fingerprint, Labeler, Labels, Structure
from kshot.atoms.elements import symbol
from kshot.core.errors import InputError
from kshot.core.units import BOHR, HARTREE
from kshot.labelers.checks import believed, why_refused
from kshot.labelers.pyscf.correlated import energy_and_gradient
from kshot.labelers.pyscf.level import DEFAULT, Level

CORE_POTENTIALS_FROM = 37  # def2 sets replace the core of Rb and all that is heavier
CYCLES = 100
ORBITALS = 3e-6  # Hartree, of the orbital gradient: forces are wrong to first order in it
ORBITALS_CORRELATED = 1e-8  # and so are energies that are not their own minimum
TOLERANCE_CORRELATED = 1e-11  # Hartree


class PySCF(Labeler):
    """A level of theory; see `pyscf`."""

    def __init__(
        self,
        level: Level,
        *,
        density_fit: bool,
        grid_level: int,
        tolerance: float,
        memory_mb: float,
    ) -> None:
        """Keep the settings; the level has been checked."""
        if not (0 <= grid_level <= 9 and 0 < tolerance <= 1e-6):
            raise InputError(
                "a grid level of 0 to 9 and 0 < tolerance ≤ 1e-6 Hartree",
                f"{grid_level} and {tolerance}",
                "Labels want at least grid level 3; level 1 leaves 15 meV/Å of noise.",
            )
        self._level, self._fit = level, density_fit and not level.is_correlated
        self._grid_level, self._memory = grid_level, memory_mb
        self._orbitals, self._tolerance = ORBITALS, tolerance
        if level.is_correlated:
            self._orbitals = ORBITALS_CORRELATED
            self._tolerance = min(tolerance, TOLERANCE_CORRELATED)
        self._fingerprint = self._describe()

    @property
    def fingerprint(self) -> Fingerprint:
        """Program, version and every setting that moves a number."""
        return self._fingerprint

    @property
    def _is_functional(self) -> bool:
        return not self._level.is_correlated and self._level.method != "hf"

    def _describe(self) -> Fingerprint:
        settings: dict[str, str | int | float | bool] = {
            "density fitting": self._fit,
            "tolerance": self._tolerance,
            "orbital tolerance": self._orbitals,
        }
        if self._is_functional:
            settings |= {"grid level": self._grid_level, "grid response": True}
        if self._level.is_correlated:
            settings["frozen core"] = False
        if "-d" in self._level.method:
            settings["dispersion"] = f"pyscf-dispersion {_version('pyscf-dispersion')}"
        if find_spec("gpu4pyscf") is not None:
            settings["gpu4pyscf"] = _version("gpu4pyscf")
        return Fingerprint(
            "pyscf", version("pyscf"), self._level.method, self._level.basis, settings
        )

    def label(self, structure: Structure) -> Labels | Failure:
        """Return energy and forces, or why there are none."""
        if refused := why_refused(structure):
            return refused
        if structure.is_periodic:
            return Failure("refused", "this engine does molecules, not periodic cells")
        with warnings.catch_warnings():
            # PySCF warns of other packages it would like, and of its own coming changes.
            warnings.simplefilter("ignore")
            try:
                return self._compute(structure)
            except np.linalg.LinAlgError as error:
                return Failure("not converged", f"linear algebra: {error}")
            except NotImplementedError as error:
                raise InputError(
                    "a level of theory with gradients",
                    f"{self._level.method}/{self._level.basis}: {error}",
                    f"The default is {DEFAULT!r}.",
                ) from error

    def _compute(self, structure: Structure) -> Labels | Failure:
        molecule = self._molecule(structure)
        if isinstance(molecule, Failure):
            return molecule
        mean_field = self._converge(self._mean_field(molecule))
        if isinstance(mean_field, Failure):
            return mean_field
        if self._level.is_correlated:
            answer = energy_and_gradient(mean_field, self._level.method)
        else:
            derivative = mean_field.nuc_grad_method()
            if self._is_functional:
                # The grid moves with the atoms. Without this, forces are off by meV/Å.
                derivative.grid_response = True
            answer = float(mean_field.e_tot), np.asarray(derivative.kernel())
        if isinstance(answer, Failure):
            return answer
        energy, gradient = answer
        forces = -gradient * (HARTREE / BOHR)
        return believed(Labels(energy * HARTREE, forces, fingerprint=self._fingerprint))

    def _molecule(self, structure: Structure) -> Any:  # noqa: ANN401 - PySCF has no types
        from pyscf import gto
        from pyscf.lib.exceptions import BasisNotFoundError

        basis = self._level.basis
        symbols = [symbol(int(z)) for z in structure.numbers]
        heavy = {symbol(int(z)) for z in structure.numbers if z >= CORE_POTENTIALS_FROM}
        try:
            return gto.M(
                atom=list(zip(symbols, structure.positions / BOHR, strict=True)),
                unit="B",
                basis=basis,
                ecp=dict.fromkeys(heavy, basis) if "def2" in basis else {},
                charge=structure.charge,
                spin=structure.multiplicity - 1,
                verbose=0,
                max_memory=self._memory,
            )
        except (BasisNotFoundError, KeyError) as error:
            elements = ", ".join(sorted(set(symbols)))
            return Failure("refused", f"{basis} lacks one of {elements}: {error}")

    def _mean_field(self, molecule: Any) -> Any:  # noqa: ANN401
        if self._is_functional:
            mean_field = molecule.UKS() if molecule.spin else molecule.RKS()
            mean_field.xc = self._level.method
            mean_field.grids.level = self._grid_level
        else:
            mean_field = molecule.UHF() if molecule.spin else molecule.RHF()
        if self._fit:
            mean_field = mean_field.density_fit()
        mean_field.conv_tol, mean_field.max_cycle = self._tolerance, CYCLES
        mean_field.conv_tol_grad = self._orbitals
        mean_field.chkfile = None
        if find_spec("gpu4pyscf") is not None and not self._level.is_correlated:
            mean_field = mean_field.to_gpu()
        return mean_field

    def _converge(self, mean_field: Any) -> Any:  # noqa: ANN401
        """Run the mean field; where it does not converge, once more with second-order steps."""
        mean_field.kernel()
        if mean_field.converged:
            return mean_field
        second = mean_field.newton()
        second.kernel(mean_field.mo_coeff, mean_field.mo_occ)
        if not second.converged:
            return Failure("not converged", f"the electrons after {CYCLES} cycles, twice")
        mean_field.kernel(second.make_rdm1())  # the plain object carries all settings of gradients
        if not mean_field.converged:
            return Failure("not converged", "the electrons fall back from second-order steps")
        return mean_field


def pyscf(
    level: str = DEFAULT,
    *,
    density_fit: bool = True,
    grid_level: int = 3,
    tolerance: float = 1e-9,
    memory_mb: float = 4000.0,
) -> PySCF:
    """Return a level of theory run by PySCF.

    Functionals run with density fitting and, where their name says so, with dispersion; forces
    include the motion of the grid, so they are the energy's exact derivative. Correlated methods
    (``mp2``, ``ccsd``, ``ccsd(t)``) are all-electron, on conventional integrals. Open shells are
    unrestricted. GPU4PySCF does mean fields where it can be imported.

    Args:
        level: ``method/basis``: a functional, ``hf``, ``mp2``, ``ccsd`` or ``ccsd(t)``.
        density_fit: False for conventional integrals: about three times slower.
        grid_level: of the functional's grid; 3 or finer for labels.
        tolerance: change of energy at which electrons count as converged, in Hartree.
        memory_mb: memory PySCF may plan with, in MiB.
    """
    return PySCF(
        Level.parse(level),
        density_fit=density_fit,
        grid_level=grid_level,
        tolerance=tolerance,
        memory_mb=memory_mb,
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def example_pyscf() -> PySCF:
    """Return the instance the contract tests run."""
    return pyscf("hf/sto-3g", density_fit=False)
