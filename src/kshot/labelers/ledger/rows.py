"""How structures and labels lie in the ledger's rows."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np

from kshot.atoms import Failure, Fingerprint, Labels, Structure

STRUCTURE_COLUMNS = "numbers, positions, charge, multiplicity, cell, pbc, family, info"
RESULT_COLUMNS = "energy, forces, stress, reason, detail"


class Row(NamedTuple):
    """One row of the ledger.

    Args:
        structure: what was asked about; masses are not kept, as no label depends on them.
        result: labels, or why there are none.
        fingerprint: of the engine.
        cost: CPU seconds, all attempts together.
        attempts: how many results the engine gave for it: more than 1 after a retry.
        made: seconds since 1970.
        session: name of the session that paid for it.
        about: where it ran and by what, as JSON.
    """

    structure: Structure
    result: Labels | Failure
    fingerprint: Fingerprint
    cost: float
    attempts: int
    made: float
    session: str
    about: str


def structure_values(structure: Structure) -> tuple[Any, ...]:
    """Return the values of STRUCTURE_COLUMNS."""
    pbc = int(structure.pbc[0]) + 2 * int(structure.pbc[1]) + 4 * int(structure.pbc[2])
    return (
        structure.numbers.astype("u1").tobytes(),
        structure.positions.tobytes(),
        structure.charge,
        structure.multiplicity,
        None if structure.cell is None else structure.cell.tobytes(),
        pbc,
        structure.family,
        json.dumps(dict(structure.info), default=str) if structure.info else "{}",
    )


def structure_of(values: tuple[Any, ...]) -> Structure:
    """Return the structure that STRUCTURE_COLUMNS hold."""
    numbers, positions, charge, multiplicity, cell, pbc, family, info = values
    return Structure(
        np.frombuffer(numbers, "u1").astype(np.int64),
        np.frombuffer(positions).reshape(-1, 3),
        charge=charge,
        multiplicity=multiplicity,
        cell=None if cell is None else np.frombuffer(cell).reshape(3, 3),
        pbc=np.array([pbc & 1, pbc & 2, pbc & 4], bool),
        family=family,
        info=json.loads(info),
    )


def result_values(result: Labels | Failure) -> tuple[Any, ...]:
    """Return the values of RESULT_COLUMNS."""
    if isinstance(result, Failure):
        return None, None, None, result.reason, result.detail
    stress = None if result.stress is None else result.stress.tobytes()
    return float(result.energy), result.forces.tobytes(), stress, None, None


def result_of(values: tuple[Any, ...], fingerprint: Fingerprint) -> Labels | Failure:
    """Return what RESULT_COLUMNS hold."""
    energy, forces, stress, reason, detail = values
    if reason is not None:
        return Failure(reason, detail)
    return Labels(
        energy,
        np.frombuffer(forces).reshape(-1, 3),
        None if stress is None else np.frombuffer(stress).reshape(3, 3),
        fingerprint,
    )
