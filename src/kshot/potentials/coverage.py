"""What the shots of an adaptation cover, and where a configuration leaves it.

A model that was adapted to a few configurations is trusted on what is like them. Three things are
compared, from the plainest to the finest: the molecule (formula, charge, spin, bonds), its
stereochemistry, and the distance to the nearest shot, measured by those among the shots.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from kshot.atoms import Structure
from kshot.atoms.bonds import BONDED, stretch
from kshot.atoms.descriptors import farthest_points, spectrum
from kshot.atoms.elements import symbol
from kshot.atoms.species import formula
from kshot.atoms.stereo import Signs, Stereo, differing, signs, stereo_of
from kshot.core.errors import ModelFileError

FACTOR = 1.5
"""Times the largest distance of a shot to its nearest other one: beyond it, a frame is far. On the
development families' fresh trajectories 1 frame of 1,000 is (2 at 500 K); on another conformer of
dipeptide-ser all are."""
LONGEST = 16  # values kept per pair of elements: they tell conformers as well as all do
MOST = 200  # shots of a species that are kept, the most unlike ones
BROKEN = 1.4  # times the sum of covalent radii
FORMED = 1.15

Kind = Literal["molecule", "bonds", "stereochemistry", "distance"]


class CoverageWarning(UserWarning):
    """A configuration is unlike all that a model was adapted to."""


class Departure(NamedTuple):
    """One way in which a configuration leaves what the shots cover; words for people."""

    kind: Kind
    words: str


@dataclass(frozen=True, eq=False)
class Cover:
    """The shots of one molecule.

    Args:
        numbers: atomic numbers, in the shots' order.
        charge: in elementary charges.
        multiplicity: 2S + 1.
        always: pairs that are bonded in every shot.
        sometimes: pairs that are bonded in any.
        stereo: where the molecule has stereochemistry.
        signs: those of the shots, each once.
        spectra: of shots, see `kshot.atoms.descriptors.spectrum`, in Å.
        radius: the largest distance of a shot to its nearest other one, in Å; infinite of one shot.
    """

    numbers: Int64[np.ndarray, " atoms"]
    charge: int
    multiplicity: int
    always: Int64[np.ndarray, "always 2"]
    sometimes: Int64[np.ndarray, "sometimes 2"]
    stereo: Stereo
    signs: tuple[Signs, ...]
    spectra: Float64[np.ndarray, "shots values"]
    radius: float

    @cached_property
    def kind(self) -> tuple[bytes, int, int]:
        """Composition, charge and spin, however atoms are numbered."""
        return np.sort(self.numbers).tobytes(), self.charge, self.multiplicity


@dataclass(frozen=True, eq=False)
class Coverage:
    """What the shots of an adaptation cover.

    Args:
        keys: of all structures that were adapted to, in this adaptation and those before it.
        covers: by molecule.
    """

    keys: frozenset[str]
    covers: tuple[Cover, ...]

    def has_seen(self, structure: Structure) -> bool:
        """Whether this very structure was adapted to."""
        return structure.key in self.keys

    def departures(self, structure: Structure) -> tuple[Departure, ...]:
        """Return how a configuration leaves what the shots cover; empty if it does not."""
        kind = np.sort(structure.numbers).tobytes(), structure.charge, structure.multiplicity
        alike = [cover for cover in self.covers if cover.kind == kind]
        if not alike:
            words = f"no shot is {formula(structure.numbers)} of charge {structure.charge:+d}"
            return (Departure("molecule", f"{words} and spin {structure.multiplicity}"),)
        numbered = [cover for cover in alike if np.array_equal(cover.numbers, structure.numbers)]
        shapes = [_shape(cover, structure) for cover in numbered]
        least: tuple[Departure, ...] = min(shapes, key=len) if shapes else ()
        return (*least, *_far(alike, structure))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; distances keep three digits."""
        return {"keys": sorted(self.keys), "covers": [_cover_to_json(one) for one in self.covers]}


def coverage_of(shots: Sequence[Structure], before: Coverage | None = None) -> Coverage:
    """Return what shots cover.

    Args:
        shots: what a model was adapted to.
        before: of the model before it was: its keys are remembered, too.
    """
    groups: dict[tuple[bytes, int, int], list[Structure]] = {}
    for shot in shots:
        group = shot.numbers.tobytes(), shot.charge, shot.multiplicity
        groups.setdefault(group, []).append(shot)
    keys = {shot.key for shot in shots} | (set() if before is None else before.keys)
    return Coverage(frozenset(keys), tuple(_cover(group) for group in groups.values()))


def coverage_in(record: Mapping[str, Any]) -> Coverage | None:
    """Return what the record of a model says that its shots cover; None if it was not adapted.

    Raises:
        ModelFileError: the record is not what kshot writes.
    """
    written = record.get("coverage")
    if written is None:
        return None
    try:
        covers = tuple(_cover_from_json(one) for one in written["covers"])
        return Coverage(frozenset(map(str, written["keys"])), covers)
    except (KeyError, TypeError, ValueError, IndexError, binascii.Error) as error:
        todo = "Adapt the start again."
        raise ModelFileError("what an adaptation's shots cover", repr(error), todo) from error


def _cover(shots: Sequence[Structure]) -> Cover:
    first = shots[0]
    pairs, _ = stretch(first)
    ratios = np.array([stretch(shot)[1] for shot in shots]).reshape(len(shots), len(pairs))
    always, sometimes = (ratios < BONDED).all(0), (ratios < BONDED).any(0)
    lengths = ratios.mean(0)[always]
    if first.is_periodic:  # its coordinates may be wrapped: no volumes, no torsions
        stereo = stereo_of(first.numbers, pairs[:0], lengths[:0])
    else:
        stereo = stereo_of(first.numbers, pairs[always], lengths)
    known = {tuple(map(bytes, told)): told for told in (signs(stereo, s.positions) for s in shots)}
    spectra = np.array([spectrum(shot, LONGEST) for shot in shots])
    gaps = _gaps(spectra, spectra)
    np.fill_diagonal(gaps, np.inf)
    kept = farthest_points(spectra, min(MOST, len(shots)))
    return Cover(
        first.numbers,
        first.charge,
        first.multiplicity,
        pairs[always],
        pairs[sometimes],
        stereo,
        tuple(known.values()),
        spectra[kept],
        float(gaps.min(1).max()),
    )


def _shape(cover: Cover, structure: Structure) -> tuple[Departure, ...]:
    """Compare bonds, and stereochemistry where these are the same."""
    pairs, ratios = stretch(structure)
    broken = pairs[_among(pairs, cover.always) & (ratios > BROKEN)]
    formed = pairs[~_among(pairs, cover.sometimes) & (ratios < FORMED)]
    if len(broken) or len(formed):
        parts = [f"{_bonds(structure, broken)} broken"] * bool(len(broken))
        parts += [f"{_bonds(structure, formed)} formed"] * bool(len(formed))
        return (Departure("bonds", f"other bonds than the shots: {', '.join(parts)}"),)
    atoms = differing(cover.stereo, structure.positions, cover.signs)
    if not atoms:
        return ()
    names = ", ".join(_name(structure, atom) for atom in atoms)
    return (Departure("stereochemistry", f"stereochemistry that no shot has, at {names}"),)


def _among(
    pairs: Int64[np.ndarray, "pairs 2"], others: Int64[np.ndarray, "others 2"]
) -> Bool[np.ndarray, " pairs"]:
    """Whether each pair is one of the others."""
    width = 1 + int(pairs.max(initial=0))
    return np.isin(pairs @ [width, 1], others @ [width, 1])


def _far(covers: Sequence[Cover], structure: Structure) -> tuple[Departure, ...]:
    point = spectrum(structure, LONGEST)[None]
    gaps = [float(_gaps(point, cover.spectra).min()) for cover in covers]
    allowed = FACTOR * max(cover.radius for cover in covers)
    if min(gaps) <= allowed:
        return ()
    words = f"{min(gaps):.2f} Å from the nearest shot, where shots are {allowed / FACTOR:.2f} Å"
    return (Departure("distance", f"{words} from each other at most (as in another conformer)"),)


def _gaps(
    first: Float64[np.ndarray, "first values"], second: Float64[np.ndarray, "second values"]
) -> Float64[np.ndarray, "first second"]:
    from scipy.spatial.distance import cdist

    return cdist(first, second)


def _bonds(structure: Structure, pairs: Int64[np.ndarray, "pairs 2"]) -> str:
    return ", ".join("–".join(_name(structure, atom) for atom in pair) for pair in pairs.tolist())


def _name(structure: Structure, atom: int) -> str:
    return f"{symbol(int(structure.numbers[atom]))}{atom}"


def _cover_to_json(cover: Cover) -> dict[str, Any]:
    mean = cover.spectra.mean(0)
    return {
        "numbers": cover.numbers.tolist(),
        "charge": cover.charge,
        "multiplicity": cover.multiplicity,
        "always": cover.always.tolist(),
        "sometimes": cover.sometimes.tolist(),
        "stereo": [table.tolist() for table in cover.stereo],
        "signs": [[part.tolist() for part in told] for told in cover.signs],
        "mean": _packed(mean, "<f4"),
        "spectra": _packed(cover.spectra - mean.astype("<f4"), "<f2"),
        "radius": cover.radius if np.isfinite(cover.radius) else None,
    }


def _cover_from_json(written: Mapping[str, Any]) -> Cover:
    mean = _unpacked(written["mean"], "<f4")
    spectra = _unpacked(written["spectra"], "<f2").reshape(-1, len(mean)) + mean
    centres, rings, doubles = written["stereo"]
    return Cover(
        np.array(written["numbers"], np.int64),
        int(written["charge"]),
        int(written["multiplicity"]),
        _table(written["always"], 2),
        _table(written["sometimes"], 2),
        Stereo(_table(centres, 5), _table(rings, 5), _table(doubles, 4)),
        tuple(Signs(*(np.array(p, np.int64) for p in told)) for told in written["signs"]),
        spectra,
        np.inf if written["radius"] is None else float(written["radius"]),
    )


def _table(rows: Sequence[Sequence[int]], width: int) -> Int64[np.ndarray, "rows width"]:
    return np.array(rows, np.int64).reshape(-1, width)


def _packed(array: np.ndarray, kind: str) -> str:
    return base64.b64encode(array.astype(kind).tobytes()).decode()


def _unpacked(text: str, kind: str) -> Float64[np.ndarray, " values"]:
    return np.frombuffer(base64.b64decode(text, validate=True), kind).astype(np.float64)
