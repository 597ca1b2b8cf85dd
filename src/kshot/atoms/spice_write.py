"""Labels as HDF5 in the layout of SPICE, which `kshot.atoms.published` reads."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from kshot.atoms.elements import symbol
from kshot.atoms.labels import Labelled
from kshot.core.errors import DataError
from kshot.core.units import BOHR, HARTREE
from kshot.core.whole import whole


def write_spice(path: Path, frames: Iterable[Labelled]) -> int:
    """Write frames in SPICE's layout and units (Bohr, Hartree, gradients); return how many.

    The file is written whole or not at all; one that is there is replaced.

    Frames of one family, order of elements, charge and spin share a group. Attributes keep charge
    and multiplicity, which SPICE has in its SMILES only; info, masses and cells have no place in
    the layout: use extxyz where they matter.

    Raises:
        DataError: a frame is periodic.
    """
    import h5py

    groups: dict[tuple[str, bytes, int, int], list[Labelled]] = {}
    for one in frames:
        s = one.structure
        if s.pbc.any():
            raise DataError("molecules", "a periodic structure", "Write extxyz.")
        key = (s.family, s.numbers.tobytes(), s.charge, s.multiplicity)
        groups.setdefault(key, []).append(one)
    with whole(path) as part, h5py.File(part, "w") as file:
        for number, members in enumerate(groups.values()):
            _group(file, number, members)
    return sum(map(len, groups.values()))


def _group(file: object, number: int, members: list[Labelled]) -> None:
    import h5py

    assert isinstance(file, h5py.File)  # h5py is imported where it is used
    first = members[0].structure
    formula = "".join(symbol(int(z)) for z in np.sort(first.numbers))
    name = f"{(first.family or formula).replace('/', '')}-{number}"
    group = file.create_group(name)
    group.attrs["family"] = first.family
    group.attrs["charge"], group.attrs["multiplicity"] = first.charge, first.multiplicity
    group["subset"] = np.array([first.family], h5py.string_dtype())
    group["atomic_numbers"] = first.numbers.astype(np.int16)
    columns = {
        "conformations": (np.array([m.structure.positions for m in members]) / BOHR, "bohr"),
        "dft_total_energy": (np.array([m.labels.energy for m in members]) / HARTREE, "hartree"),
        "dft_total_gradient": (
            np.array([-m.labels.forces for m in members]) / (HARTREE / BOHR),
            "hartree/bohr",
        ),
    }
    for key, (values, unit) in columns.items():
        group[key] = values
        group[key].attrs["units"] = unit
