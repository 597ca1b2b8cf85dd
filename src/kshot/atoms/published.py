"""Readers of published data sets in the layouts they are published in; each knows its units.

- **SPICE** (HDF5; Eastman et al., 10.1038/s41597-022-01882-6): a group per molecule with
  ``smiles``, ``atomic_numbers``, ``conformations`` (Bohr), ``dft_total_energy`` (Hartree) and
  ``dft_total_gradient`` (Hartree/Bohr: gradients, not forces).
- **ANI-1x** (HDF5; Smith et al., 10.1038/s41597-020-0473-z): a group per composition with
  ``atomic_numbers``, ``coordinates`` (Å), ``wb97x_dz.energy`` (Hartree) and ``wb97x_dz.forces``
  (Hartree/Å); NaN where a level was not computed. Neutral singlets.
- **QM7-X** (HDF5; Hoja et al., 10.1038/s41597-021-00812-2): a group per molecule, in it one per
  conformation with ``atNUM``, ``atXYZ`` (Å), ``ePBE0+MBD`` (eV) and ``totFOR`` (eV/Å). Neutral
  singlets.
- **rMD17** (npz; Christensen and von Lilienfeld, 10.1088/2632-2153/abba6f): ``nuclear_charges``,
  ``coords`` (Å), ``energies`` (kcal/mol), ``forces`` (kcal/mol/Å). **MD17** and MD22 likewise, with
  ``z``, ``R``, ``E``, ``F``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from kshot.atoms.reading import Frame, Keys, RawLabels, Reading, Units, frame
from kshot.atoms.spin import ChargeAndSpin, charge_and_spin
from kshot.atoms.structure import Structure
from kshot.core.arrays_file import NotArraysError, read_arrays
from kshot.core.errors import DataError
from kshot.core.limits import TooLargeError, allowed_bytes

SPICE = Keys("dft_total_energy", "dft_total_gradient")
ANI = Keys("wb97x_dz.energy", "wb97x_dz.forces")
QM7X = Keys("ePBE0+MBD", "totFOR")
RMD17 = Keys("energies", "forces")
MD17 = Keys("E", "F")
SPICE_UNITS = Units("Hartree", "-Hartree/Bohr", "Bohr")
ANI_UNITS = Units("Hartree", "Hartree/Å", "Å")
MD17_UNITS = Units("kcal/mol", "kcal/mol/Å", "Å")
FORMAL_CHARGE = re.compile(r"\[[^\[\]]*?([+-]+)(\d*)(?::\d+)?\]")


class Molecule(NamedTuple):
    """Conformations of one molecule, as they stand in a file."""

    where: str
    keys: Keys
    units: Units
    numbers: Int64[np.ndarray, " atoms"]
    positions: Float64[np.ndarray, "frames atoms 3"]
    energies: Float64[np.ndarray, " frames"] | None
    forces: Float64[np.ndarray, "frames atoms 3"] | None
    electrons: ChargeAndSpin
    family: str = ""
    info: Mapping[str, Any] = {}
    holes: bool = False  # whether a NaN says that there is no label


def scan_hdf5(path: Path, reading: Reading) -> Iterator[Frame]:
    """Yield every conformation of a file in the layout of SPICE, ANI-1x or QM7-X.

    Raises:
        DataError: it is no HDF5 file, is truncated, or has none of these layouts.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            for name, group in file.items():
                if isinstance(group, h5py.Group):
                    for molecule in _molecules(
                        f"{path}, group {name!r}", str(name), group, reading
                    ):
                        yield from _frames(molecule)
    except (OSError, RuntimeError) as error:
        raise DataError("an HDF5 file", f"{path}: {error}", "It may be truncated.") from error
    except TooLargeError as error:
        raise DataError("arrays that the file can hold", f"{path}: {error}", "Split it.") from error
    except KeyError as error:
        raise DataError("a known HDF5 layout", f"{path}: {error}", KNOWN) from error


KNOWN = "Known: SPICE, ANI-1x, QM7-X. Convert others to extxyz."


def scan_npz(path: Path, reading: Reading) -> Iterator[Frame]:
    """Yield every conformation of an npz file in the layout of rMD17, MD17 or MD22.

    Raises:
        DataError: it is no npz file, is truncated, or has neither layout.
    """
    try:
        arrays = read_arrays(path)
    except (OSError, NotArraysError) as error:
        raise DataError("an npz file", f"{path}: {error}", "It may be truncated.") from error
    numbers, positions, keys = "nuclear_charges", "coords", reading.keys or RMD17
    if "z" in arrays:
        numbers, positions, keys = "z", "R", reading.keys or MD17
    if not {numbers, positions} <= set(arrays):
        there = ", ".join(arrays)
        raise DataError("the layout of rMD17 or MD17", f"{path} with {there}", "Use extxyz.")
    units = reading.units(MD17_UNITS)
    energies, forces = (_array(arrays.get(key)) for key in keys[:2])
    energies = None if energies is None else energies.reshape(-1)
    z, r = np.array(arrays[numbers], np.int64), np.array(arrays[positions], np.float64)
    electrons = charge_and_spin(z, {}, stated=reading.stated)
    family = path.stem.lower()
    yield from _frames(Molecule(str(path), keys, units, z, r, energies, forces, electrons, family))


def _molecules(where: str, name: str, group: Any, reading: Reading) -> Iterator[Molecule]:  # noqa: ANN401
    import h5py

    if "conformations" in group:
        yield _spice(where, name, group, reading)
    elif "coordinates" in group:
        yield _ani(where, name, group, reading)
    elif all(isinstance(one, h5py.Group) and "atXYZ" in one for one in group.values()):
        for key, conformation in group.items():
            yield _qm7x(f"{where}/{key!r}", name, conformation, reading)
    else:
        raise DataError("a known HDF5 layout", f"{where} with {', '.join(group)}", KNOWN)


def _spice(where: str, name: str, group: Any, reading: Reading) -> Molecule:  # noqa: ANN401
    keys = reading.keys or SPICE
    numbers = _whole(group["atomic_numbers"], np.int64)
    texts = {key: group[key].asstr()[0] for key in ("smiles", "subset") if key in group}
    values = {"charge": int(group.attrs.get("charge", formal_charge(texts.get("smiles", ""))))}
    if "multiplicity" in group.attrs:
        values["spin"] = int(group.attrs["multiplicity"])
    return Molecule(
        where,
        keys,
        reading.units(SPICE_UNITS),
        numbers,
        _whole(group["conformations"], np.float64),
        _array(group.get(keys.energy)),
        _array(group.get(keys.forces)),
        charge_and_spin(numbers, values, "multiplicity", reading.stated),
        str(group.attrs.get("family", name)),
        texts,
    )


def _ani(where: str, name: str, group: Any, reading: Reading) -> Molecule:  # noqa: ANN401
    keys = reading.keys or ANI
    numbers = _whole(group["atomic_numbers"], np.int64)
    return Molecule(
        where,
        keys,
        reading.units(ANI_UNITS),
        numbers,
        _whole(group["coordinates"], np.float64),
        _array(group.get(keys.energy)),
        _array(group.get(keys.forces)),
        _neutral_singlet(numbers, reading),
        family=name,
        holes=True,
    )


def _qm7x(where: str, name: str, group: Any, reading: Reading) -> Molecule:  # noqa: ANN401
    keys = reading.keys or QM7X
    energies, forces = (_array(group.get(key)) for key in keys[:2])
    numbers = _whole(group["atNUM"], np.int64)
    return Molecule(
        where,
        keys,
        reading.units(Units()),
        numbers,
        _whole(group["atXYZ"], np.float64)[None],
        None if energies is None else energies.reshape(-1)[:1],
        None if forces is None else forces[None],
        _neutral_singlet(numbers, reading),
        family=name,
    )


def _neutral_singlet(numbers: Int64[np.ndarray, " atoms"], reading: Reading) -> ChargeAndSpin:
    """What the format says of every molecule in it."""
    return charge_and_spin(numbers, {"charge": 0, "spin": 1}, "multiplicity", reading.stated)


def _array(data: Any) -> np.ndarray | None:  # noqa: ANN401 - an HDF5 data set or an array
    """Return an array of what may be missing."""
    if data is None:
        return None
    return np.array(data, np.float64) if isinstance(data, np.ndarray) else _whole(data, np.float64)


def _whole(data: Any, kind: type) -> np.ndarray:  # noqa: ANN401 - an HDF5 data set
    """Return all of a data set, if the file is worth its size: any shape is soon announced."""
    limit = allowed_bytes(data.file.id.get_filesize())
    if (size := data.size * np.dtype(kind).itemsize) > limit:
        raise TooLargeError(f"{data.name} would take {size} bytes, more than {limit}")
    return np.array(data, kind)


def _frames(molecule: Molecule) -> Iterator[Frame]:
    """Yield the conformations; those whose energy was never computed (NaN, in ANI-1x) are left."""
    m, units = molecule, molecule.units
    atoms, frames = len(m.numbers), len(m.positions)
    for name, array, shape in (
        ("positions", m.positions, (frames, atoms, 3)),
        (m.keys.energy, m.energies, (frames,)),
        (m.keys.forces, m.forces, (frames, atoms, 3)),
    ):
        if array is not None and array.shape != shape:
            problem = f"{name!r} has shape {array.shape} instead of {shape}"
            yield Frame(m.where, problems=(problem,))
            return
    for i in range(frames):
        energy = None if m.energies is None else float(m.energies[i])
        if m.holes and energy is not None and np.isnan(energy):
            continue
        structure = Structure(
            m.numbers,
            m.positions[i] * units.length_factor,
            m.electrons.charge,
            m.electrons.multiplicity,
            family=m.family,
            info=m.info,
        )
        forces = None if m.forces is None else m.forces[i]
        yield frame(
            f"{m.where}, conformation {i}",
            structure,
            RawLabels(m.keys, units, energy, forces),
            m.electrons.problems,
            origins=m.electrons.origins,
        )


def formal_charge(smiles: str) -> int:
    """Return the sum of the formal charges written in a SMILES string."""
    total = 0
    for signs, digits in FORMAL_CHARGE.findall(smiles):
        size = int(digits) if digits else len(signs)
        total += size if signs[0] == "+" else -size
    return total
