"""Any calculator of ASE: ORCA, Psi4, CP2K, EMT and a hundred others."""

from __future__ import annotations

import importlib
import json
import tempfile
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import Any

import numpy as np

from kshot.atoms import Failure, Fingerprint, Labeler, Labels, Structure
from kshot.core.errors import InputError, MissingExtraError
from kshot.labelers.checks import believed, why_refused

# How calculators call total charge and multiplicity; the names they have in common are few.
ARGUMENTS = {
    "ORCA": ("charge", "mult"),
    "Psi4": ("charge", "multiplicity"),
    "CP2K": ("charge", "multiplicity"),
    "TBLite": ("charge", "multiplicity"),
    "NWChem": ("charge", ""),
    "Gaussian": ("charge", "mult"),
    "QChem": ("charge", "multiplicity"),
}


class ASE(Labeler):
    """A calculator of ASE; see `ase`."""

    def __init__(
        self, path: str, arguments: dict[str, Any], charge: str, multiplicity: str, version: str
    ) -> None:
        """Find the class."""
        self._path, self._arguments = path, arguments
        self._kind = _class(path)
        known = ARGUMENTS.get(self._kind.__name__, ("", ""))
        self._charge, self._multiplicity = charge or known[0], multiplicity or known[1]
        self._fingerprint = Fingerprint(
            f"ase:{path}",
            version or _version(path),
            self._kind.__name__,
            settings={
                "arguments": json.dumps(arguments, sort_keys=True, default=str),
            },
        )

    @property
    def fingerprint(self) -> Fingerprint:
        """Class, version of its package, and its arguments."""
        return self._fingerprint

    def label(self, structure: Structure) -> Labels | Failure:
        """Return energy and forces (and stress, if periodic), or why there are none."""
        refused = why_refused(structure) or self._ignores(structure)
        if refused:
            return refused
        from ase.calculators.calculator import (
            BadConfiguration,
            CalculatorSetupError,
            EnvironmentError,  # noqa: A004 - the name ASE gave it
            PropertyNotImplementedError,
        )
        from ase.calculators.calculator import (
            InputError as Refused,
        )

        absent = (BadConfiguration, CalculatorSetupError, EnvironmentError, FileNotFoundError)
        try:
            return believed(self._compute(structure), net_force=np.inf)  # outer fields are allowed
        except (*absent, PropertyNotImplementedError) as error:
            raise InputError(
                f"a calculator {self._path!r} that runs here and gives energy and forces",
                f"{type(error).__name__}: {error}",
                "Install its program and set it up as ASE's manual says.",
            ) from error
        except (Refused, NotImplementedError) as error:
            return Failure("refused", f"{type(error).__name__}: {error}")
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a foreign program says is a failure
            return Failure("not converged", f"{type(error).__name__}: {error}")

    def _ignores(self, structure: Structure) -> Failure | None:
        """A calculator that is not told of charge or spin would compute another molecule."""
        if structure.charge and not self._charge:
            what = f"charge {structure.charge:+d}, but no charge_argument is known"
        elif structure.multiplicity > 2 and not self._multiplicity:
            what = f"multiplicity {structure.multiplicity}, but no multiplicity_argument is known"
        else:
            return None
        return Failure("refused", f"{what} for {self._path}")

    def _compute(self, structure: Structure) -> Labels:
        from ase import Atoms
        from ase.calculators.calculator import FileIOCalculator
        from ase.calculators.genericfileio import GenericFileIOCalculator

        # No magnetic moments and no charges of atoms: calculators read them, and guess.
        atoms = Atoms(
            structure.numbers, structure.positions, cell=structure.cell, pbc=structure.pbc
        )
        arguments = dict(self._arguments)
        if self._charge:
            arguments[self._charge] = structure.charge
        if self._multiplicity:
            arguments[self._multiplicity] = structure.multiplicity
        files = issubclass(self._kind, (FileIOCalculator, GenericFileIOCalculator))
        with tempfile.TemporaryDirectory(prefix="kshot-ase-") as folder:
            if files:
                arguments.setdefault("directory", folder)
            # A new calculator for each label: what is left of the last one moves no number.
            atoms.calc = self._kind(**arguments)
            stress = atoms.get_stress(voigt=False) if structure.pbc.all() else None
            energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        return Labels(float(energy), forces, stress, self._fingerprint)


def ase(
    path: str = "",
    *,
    charge_argument: str = "",
    multiplicity_argument: str = "",
    version: str = "",
    **arguments: Any,  # noqa: ANN401 - the calculator's own
) -> ASE:
    """Return a calculator of ASE as a labeler.

    A fresh calculator is made for each label, in a folder of its own if it writes files. A
    structure whose charge or spin the calculator is not told of is refused.

    Args:
        path: ``package.module:Class``.
        charge_argument: what the class calls the total charge; known for the common ones.
        multiplicity_argument: what it calls 2S + 1; likewise.
        version: of the program behind it, for the fingerprint, where it is not the package's.
        **arguments: of the class.
    """
    return ASE(path, arguments, charge_argument, multiplicity_argument, version)


def _class(path: str) -> type:
    module, _, name = path.partition(":")
    if not (module and name):
        raise InputError("ase:package.module:Class", repr(f"ase:{path}"), "Name a class.")
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"labeler 'ase:{path}' needs the package {error.name!r}, which is not installed. "
            "Install it as its own pages say, into this environment."
        ) from error
    except AttributeError as error:
        raise InputError(
            f"a class {name!r} in {module!r}", "none", "Look it up in ASE's list of calculators."
        ) from error


def _version(path: str) -> str:
    top = path.partition(":")[0].partition(".")[0]
    for distribution in packages_distributions().get(top, ()):
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return "unknown"


def example_ase() -> ASE:
    """Return the instance the contract tests run."""
    return ase("ase.calculators.emt:EMT")
