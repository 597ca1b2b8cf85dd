"""Torsion scans: conformers by turning rotatable bonds, each then thermalised."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import islice

import numpy as np
from jaxtyping import Float64

from kshot.atoms import Failure, Labeler, Structure
from kshot.core.bars import bar
from kshot.core.errors import InputError
from kshot.families.samplers.accept import APART, Accept, Sieve
from kshot.families.samplers.base import (
    NoLabelError,
    Recorder,
    Sampler,
    Surface,
    check_request,
    failures_are_values,
    need_engine,
)
from kshot.families.samplers.geometry import bond_lengths, bonds, distances
from kshot.families.samplers.isotopes import masses_of
from kshot.families.samplers.langevin import baoab

SHORT = 0.95  # of the sum of radii: shorter bonds of C, N, O are double, aromatic, amide or ester
SECOND_ROW = 9  # heavier atoms than O make short single bonds
STEP, FRICTION = 0.5, 0.1  # fs, 1/fs: strong, because clashes set energy free
OVERDRAW = 20


@failures_are_values
def torsion_scan(
    structure: Structure,
    labeler: Labeler | None,
    n: int,
    *,
    temperature: float,
    seed: int,
    thermalise: float = 50.0,
    accept: Accept = APART,
    show: bool = False,
) -> list[Structure] | Failure:
    """Turn every rotatable bond to angles spread evenly over the circle, then thermalise.

    The frames of each bond's scan are a Latin hypercube: n angles, one in each n-th of the circle,
    in an order of its own. Each conformer without clashes then follows Langevin dynamics for a
    short while, which costs ``2 · thermalise`` labels and gives it lengths and angles of T. A
    conformer whose label fails is left out.

    Args:
        structure: the scaffold.
        labeler: the engine; may be None if ``thermalise`` is 0.
        n: how many frames, each from a conformer of its own.
        temperature: in K, above zero.
        seed: the same seed gives the same frames.
        thermalise: in fs; 0 leaves the scan rigid.
        accept: what is kept, both before and after thermalising.
        show: show a bar.

    Raises:
        InputError: no bond can turn.
    """
    check_request(structure, n, temperature, coldest=1e-3)
    axes = rotatable_bonds(structure)
    if not axes:
        todo = "Use langevin, normal_modes or wigner for a rigid scaffold."
        raise InputError("a scaffold with a rotatable bond", "none", todo)
    surface = None
    if thermalise > 0:
        surface = Surface(structure, need_engine(labeler, "a thermalised torsion scan"))
    recorder = Recorder(structure, "torsion_scan", temperature, seed, labeler)
    sieve, rough = Sieve(structure, accept), Sieve(structure, accept)
    candidates = _turned(structure, axes, n, recorder.stream())
    with bar("conformers", n, show=show) as advance:
        for draw, positions in enumerate(islice(candidates, OVERDRAW * n)):
            if len(sieve.frames) == n:
                break
            if reason := rough.broken(positions):
                sieve.refused[reason] += 1
                continue
            if surface is not None:
                rng = recorder.stream(draw + 1)
                try:
                    positions = _thermal(surface, positions, temperature, thermalise, rng)
                except NoLabelError:
                    sieve.refused["no label"] += 1
                    continue
            advance(sieve.offer(recorder.frame(positions, draw)))
    return sieve.result(n)


def rotatable_bonds(structure: Structure) -> list[tuple[int, int]]:
    """Return the bonds that can turn: single, in no ring, with something to turn on both ends.

    Methyl groups and hydroxyls count. A bond between C, N or O that is shorter than 0.95 times the
    sum of covalent radii is taken for a double, aromatic, amide or ester bond, and stays. The
    second atom's side is the smaller one.
    """
    R = structure.positions
    bonded = bonds(structure.numbers, R)
    light = structure.numbers < SECOND_ROW
    short = distances(R) < SHORT * bond_lengths(structure.numbers)
    short &= light[:, None] & light[None]
    found = []
    for i, j in zip(*np.nonzero(np.triu(bonded & ~short)), strict=True):
        if bonded[i].sum() < 2 or bonded[j].sum() < 2:
            continue
        far = side(bonded, int(i), int(j))
        if i in far or _straight(R, bonded, int(i), int(j)):
            continue
        small = len(far) <= len(side(bonded, int(j), int(i)))
        found.append((int(i), int(j)) if small else (int(j), int(i)))
    return found


def side(bonded: np.ndarray, i: int, j: int) -> set[int]:
    """Return the atoms reached from ``j`` without taking the bond to ``i``."""
    reached, fresh = {j}, [j]
    while fresh:
        here = fresh.pop()
        for there in np.flatnonzero(bonded[here]).tolist():
            if there not in reached and {here, there} != {i, j}:
                reached.add(there)
                fresh.append(there)
    return reached


def _straight(R: np.ndarray, bonded: np.ndarray, i: int, j: int) -> bool:
    """Whether one end's only other neighbour lies on the axis, so that turning does nothing."""
    axis = (R[j] - R[i]) / np.linalg.norm(R[j] - R[i])
    for end, other in ((i, j), (j, i)):
        off = [R[k] - R[end] for k in np.flatnonzero(bonded[end]).tolist() if k != other]
        if all(np.linalg.norm(np.cross(axis, a)) < 0.1 * np.linalg.norm(a) for a in off):
            return True
    return False


def turn(
    positions: Float64[np.ndarray, "atoms 3"],
    axis: tuple[int, int],
    moving: list[int],
    angle: float,
) -> Float64[np.ndarray, "atoms 3"]:
    """Return the positions with ``moving`` turned about the axis by ``angle`` (radians)."""
    origin = positions[axis[0]]
    u = positions[axis[1]] - origin
    u = u / np.linalg.norm(u)
    x = positions[moving] - origin
    along = np.outer(x @ u, u)
    turned = np.array(positions)
    turned[moving] = origin + along + np.cos(angle) * (x - along) + np.sin(angle) * np.cross(u, x)
    return turned


def _turned(
    structure: Structure, axes: list[tuple[int, int]], n: int, rng: np.random.Generator
) -> Iterator[Float64[np.ndarray, "atoms 3"]]:
    """Yield conformers for ever: one Latin hypercube of n after the other."""
    bonded = bonds(structure.numbers, structure.positions)
    moving = [sorted(side(bonded, i, j)) for i, j in axes]
    while True:
        order = np.stack([rng.permutation(n) for _ in axes], 1)
        angles = 2 * np.pi * (order + rng.random(order.shape)) / n
        for row in angles:
            positions = np.array(structure.positions)
            for axis, atoms, angle in zip(axes, moving, row, strict=True):
                positions = turn(positions, axis, atoms, float(angle))
            yield positions


def _thermal(
    surface: Surface,
    positions: Float64[np.ndarray, "atoms 3"],
    temperature: float,
    time: float,
    rng: np.random.Generator,
) -> Float64[np.ndarray, "atoms 3"]:
    """Return where Langevin dynamics leads after ``time`` fs."""
    masses = masses_of(surface.structure)
    steps = baoab(surface, positions, masses, temperature, rng, step=STEP, friction=FRICTION)
    last = max(1, round(time / STEP)) - 1
    return next(islice(steps, last, None))[0]


def example_torsion_scan() -> Sampler:
    """Return the instance the contract tests run."""
    return partial(torsion_scan, thermalise=10.0)
