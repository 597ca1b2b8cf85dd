"""From a metal site's description to coordinates: ligands on the corners of a core."""

from __future__ import annotations

from typing import Final

import numpy as np
from jaxtyping import Float64

from kshot.atoms import Structure
from kshot.core.errors import InputError, UnknownNameError
from kshot.core.seeds import named_generator
from kshot.families.catalogue.cores import CLUSTERS, SHAPES, Core, one_metal
from kshot.families.catalogue.entries import Site
from kshot.families.catalogue.ligands import Ready, ready, rotation_to_z

# Bond lengths in Å are sums of these, close to the means in protein and small-molecule crystals.
METALS: Final = {
    "Al": 1.22, "Ca": 1.70, "Cd": 1.52, "Co": 1.35, "Cu": 1.30, "Fe": 1.35, "Hg": 1.35, "K": 2.05,
    "Li": 1.28, "Mg": 1.40, "Mn": 1.50, "Na": 1.72, "Ni": 1.30, "Pt": 1.33, "Zn": 1.33,
}  # fmt: skip
DONORS: Final = {6: 0.65, 7: 0.70, 8: 0.68, 16: 0.98, 17: 0.98}
TURNS = 24  # how many angles about its bond a ligand is tried at
MISPLACED = 1.2  # Å: no two ligands may start closer


def build_site(site: Site, *, seed: int, name: str = "") -> Structure:
    """Put the ligands on the corners, each turned about its bond to be far from the others.

    Args:
        site: what to build.
        seed: decides at which angle the trial turns begin.
        name: of the random stream.

    Returns:
        An idealised structure, to be relaxed; its charge is that of metals and ligands together,
        its multiplicity is 1 whatever the metal.

    Raises:
        InputError: more ligands than corners, or no room for one of them.
        UnknownNameError: an unknown shape, cluster, metal or ligand.
    """
    core = _core(site)
    if len(site.ligands) > len(core.corners):
        expected = f"at most {len(core.corners)} ligands"
        raise InputError(expected, str(len(site.ligands)), f"Choose another shape for {name}.")
    numbers, positions, charge = core.numbers, core.positions, site.oxidation + core.charge
    start = named_generator(seed, name).uniform(0, 2 * np.pi)
    for ligand, (index, corner) in zip(site.ligands, core.corners, strict=False):
        part = ready(ligand)
        length = METALS[site.metal] + DONORS[part.donor]
        donor = core.positions[index] + length * corner
        others = np.delete(positions, index, axis=0)  # all but the atom it binds to
        placed = _turned(part, donor, corner, others, start)
        numbers = np.concatenate([numbers, part.numbers])
        positions = np.concatenate([positions, placed])
        charge += part.charge
    return Structure(numbers, positions, charge=charge)


def _core(site: Site) -> Core:
    from ase.data import atomic_numbers

    tables = (("metal", site.metal, METALS), ("shape", site.shape, SHAPES))
    for kind, name, known in (*tables, ("cluster", site.cluster, CLUSTERS)):
        if name and name not in known:
            raise UnknownNameError(f"no {kind} is called {name!r}. Known: {', '.join(known)}.")
    number = atomic_numbers[site.metal]
    return CLUSTERS[site.cluster](number) if site.cluster else one_metal(number, site.shape)


def _turned(
    part: Ready,
    donor: Float64[np.ndarray, " 3"],
    corner: Float64[np.ndarray, " 3"],
    others: Float64[np.ndarray, "placed 3"],
    start: float,
) -> Float64[np.ndarray, "atoms 3"]:
    """Return the ligand at the corner, at the angle that keeps it farthest from ``others``."""
    best, room = part.positions, -1.0
    back = rotation_to_z(-corner).T  # the ligand's +z looks from the donor to the metal
    for angle in start + 2 * np.pi * np.arange(TURNS) / TURNS:
        cos, sin = np.cos(angle), np.sin(angle)
        about_z = np.array([(cos, -sin, 0), (sin, cos, 0), (0, 0, 1)])
        placed = part.positions @ (back @ about_z).T + donor
        gaps = np.linalg.norm(placed[:, None] - others[None], axis=-1)
        if (gap := float(gaps.min(initial=np.inf))) > room + 1e-9:
            best, room = placed, gap
    if room < MISPLACED:
        raise InputError("room for every ligand", f"a gap of {room:.2f} Å", "Use another shape.")
    return best
