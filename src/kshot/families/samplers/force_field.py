"""Classical force fields (RDKit's MMFF94 and UFF) as engines: for dynamics where QM is too slow."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

import numpy as np

from kshot.atoms import Failure, Fingerprint, Labeler, Labels, Structure
from kshot.core.errors import InputError
from kshot.core.units import KCAL_PER_MOL

Method = Literal["MMFF94", "MMFF94s", "UFF"]


class ForceField(Labeler):
    """A classical force field for one scaffold, with the bonds it has at the start.

    Good enough to make frames that a better engine labels; its labels should not be learned from.

    Args:
        structure: the scaffold; bond orders are worked out from its geometry and charge.
        method: ``"MMFF94"`` or ``"MMFF94s"`` (Halgren 1996, 1999; organic molecules), or ``"UFF"``
            (Rappé and co-workers 1992; nearly all elements, coarse).

    Raises:
        InputError: no bond orders fit the scaffold, or it has an atom the force field lacks.
    """

    def __init__(self, structure: Structure, method: Method = "MMFF94") -> None:
        """Assign bond orders and atom types."""
        self._method: Method = method
        self._numbers = np.array(structure.numbers)
        self._molecule = _perceived(structure)
        _ = self._field

    @property
    def fingerprint(self) -> Fingerprint:
        """The force field and RDKit's version."""
        import rdkit

        return Fingerprint("rdkit", rdkit.__version__, self._method)

    def label(self, structure: Structure) -> Labels | Failure:
        """Return energy and forces of another geometry of the scaffold."""
        if not np.array_equal(structure.numbers, self._numbers):
            todo = "Make a ForceField for each scaffold."
            raise InputError("the scaffold this force field is for", "another molecule", todo)
        where = structure.positions.ravel().tolist()
        energy = self._field.CalcEnergy(where) * KCAL_PER_MOL
        forces = -np.array(self._field.CalcGrad(where)).reshape(-1, 3) * KCAL_PER_MOL
        if not np.isfinite(energy) or not np.isfinite(forces).all():
            return Failure("unphysical", f"{self._method} gives no finite energy")
        return Labels(float(energy), forces, fingerprint=self.fingerprint)

    @cached_property
    def _field(self) -> Any:  # noqa: ANN401 - RDKit's type has no stub
        from rdkit.Chem import rdForceFieldHelpers

        field = None
        if self._method == "UFF":
            if rdForceFieldHelpers.UFFHasAllMoleculeParams(self._molecule):
                field = rdForceFieldHelpers.UFFGetMoleculeForceField(self._molecule)
        elif types := rdForceFieldHelpers.MMFFGetMoleculeProperties(self._molecule, self._method):
            field = rdForceFieldHelpers.MMFFGetMoleculeForceField(self._molecule, types)
        if field is None:
            todo = "Use UFF, or drive the sampler with GFN2."
            raise InputError(f"atoms that {self._method} has types for", "others", todo)
        field.Initialize()
        return field

    def __getstate__(self) -> dict[str, Any]:
        """Leave the force field's C++ object out: it is made again where it is needed."""
        return {name: value for name, value in self.__dict__.items() if name != "_field"}


def _perceived(structure: Structure) -> Any:  # noqa: ANN401
    """Return RDKit's molecule with bond orders that fit geometry and charge."""
    from rdkit import Chem, rdBase
    from rdkit.Chem import rdDetermineBonds
    from rdkit.Geometry import Point3D

    bare = Chem.RWMol()
    conformer = Chem.Conformer(len(structure))
    for i, (number, place) in enumerate(zip(structure.numbers, structure.positions, strict=True)):
        bare.AddAtom(Chem.Atom(int(number)))
        conformer.SetAtomPosition(i, Point3D(*place.tolist()))
    molecule = bare.GetMol()
    molecule.AddConformer(conformer)
    block = rdBase.BlockLogs()
    try:
        rdDetermineBonds.DetermineBonds(molecule, charge=structure.charge)
        Chem.SanitizeMol(molecule)
    except (ValueError, RuntimeError, IndexError) as error:
        todo = "Check geometry and charge; radicals and metal complexes need such as GFN2."
        raise InputError("a geometry with bond orders that fit", str(error), todo) from error
    finally:
        del block
    return molecule
