"""Draws from the harmonic vibrations around a minimum: classical, or quantum (Wigner)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from kshot.atoms import Failure, Labeler, Structure
from kshot.core.errors import InputError
from kshot.families.samplers.accept import Accept, Sieve
from kshot.families.samplers.base import (
    NoLabelError,
    Recorder,
    Sampler,
    check_request,
    failures_are_values,
    need_engine,
)
from kshot.families.samplers.hessian import curvature
from kshot.families.samplers.internals import Internals
from kshot.families.samplers.isotopes import masses_of
from kshot.families.samplers.modes import SOFT, Curvature, Modes, Statistics, modes

Coordinates = Literal["internal", "cartesian"]
KEEP = Accept()
OVERDRAW = 20  # candidates per frame wanted, before a scaffold is given up


@failures_are_values
def normal_modes(
    structure: Structure,
    labeler: Labeler | None,
    n: int,
    *,
    temperature: float,
    seed: int,
    statistics: Statistics = "classical",
    coordinates: Coordinates = "internal",
    soft: float = SOFT,
    known: Curvature | None = None,
    folder: Path | None = None,
    accept: Accept = KEEP,
    show: bool = False,
) -> list[Structure] | Failure:
    """Draw independent configurations from the harmonic vibrations around the minimum.

    The scaffold is relaxed and its Hessian taken (6 labels per atom); the draws themselves ask for
    no label.

    Args:
        structure: the scaffold; it is relaxed first.
        labeler: the engine; may be None where ``known`` is given.
        n: how many frames.
        temperature: in K.
        seed: the same seed gives the same frames.
        statistics: ``"classical"`` has kT/2 in each mode; ``"quantum"`` has zero-point motion.
        coordinates: along which a draw moves. ``"cartesian"`` takes the straight lines of the
            modes, and is harmonic exactly. ``"internal"`` takes the same draw as changes of bond
            lengths, angles and torsions (to first order the same), so that a methyl group turns
            instead of swelling.
        soft: modes below this wavenumber (cm⁻¹) move as if they had it; a mode that is imaginary
            beyond it is a Failure.
        known: minimum and Hessian, if already there; masses come from ``structure``.
        folder: where Hessians are kept between runs.
        accept: what is kept.
        show: show a bar for the Hessian.
    """
    coldest = 0.0 if statistics == "quantum" else 1e-3
    check_request(structure, n, temperature, coldest=coldest)
    recorder = Recorder(structure, "normal_modes", temperature, seed, labeler)
    found = _modes(structure, labeler, known, folder, soft, show)
    return _collect(found, recorder, n, temperature, statistics, coordinates, accept)


@failures_are_values
def wigner(
    structure: Structure,
    labeler: Labeler | None,
    n: int,
    *,
    temperature: float,
    seed: int,
    coordinates: Coordinates = "internal",
    soft: float = SOFT,
    known: Curvature | None = None,
    folder: Path | None = None,
    accept: Accept = KEEP,
    show: bool = False,
) -> list[Structure] | Failure:
    """Draw positions from the Wigner distribution of harmonic nuclei at T, 0 K included.

    Integrated over momenta, the Wigner function of a thermal harmonic oscillator (Wigner, Phys.
    Rev. 40, 749, 1932) is a Gaussian in its position of variance (ħ/2ω) coth(ħω/2kT). Isotopes
    matter: set them with `with_isotopes`.

    Args:
        structure: the scaffold, with the masses of its isotopes; it is relaxed first.
        labeler: the engine; may be None where ``known`` is given.
        n: how many frames.
        temperature: in K; 0 is the vibrational ground state.
        seed: the same seed gives the same frames.
        coordinates: see `normal_modes`.
        soft: see `normal_modes`.
        known: minimum and Hessian, if already there; they serve every isotope.
        folder: where Hessians are kept between runs.
        accept: what is kept.
        show: show a bar for the Hessian.
    """
    check_request(structure, n, temperature)
    recorder = Recorder(structure, "wigner", temperature, seed, labeler)
    found = _modes(structure, labeler, known, folder, soft, show)
    return _collect(found, recorder, n, temperature, "quantum", coordinates, accept)


def _modes(
    structure: Structure,
    labeler: Labeler | None,
    known: Curvature | None,
    folder: Path | None,
    soft: float,
    show: bool,
) -> Modes:
    """Return the modes of the scaffold's minimum; raise NoLabelError at a saddle point."""
    if known is None:
        engine = need_engine(labeler, "a relaxation and a Hessian")
        known = curvature(structure, engine, folder=folder, show=show)
    if list(known.structure.numbers) != list(structure.numbers):
        todo = "Give the Hessian of this scaffold, or leave `known` out."
        raise InputError("`known` of the same atoms in the same order", "another molecule", todo)
    found = modes(known, masses_of(structure), soft=soft)
    if len(found.quanta) and found.wavenumbers[0] < -soft:
        detail = f"no minimum: a mode of {-found.wavenumbers[0]:.0f}i cm⁻¹ is left"
        raise NoLabelError(Failure("unphysical", detail))
    return found


def _collect(
    found: Modes,
    recorder: Recorder,
    n: int,
    temperature: float,
    statistics: Statistics,
    coordinates: Coordinates,
    accept: Accept,
) -> list[Structure] | Failure:
    """Draw until ``n`` frames are kept or the scaffold is given up."""
    rest = found.structure.positions
    internals = Internals(found.structure) if coordinates == "internal" else None
    sieve, rng = Sieve(found.structure, accept), recorder.stream()
    for draw in range(OVERDRAW * n):
        if len(sieve.frames) == n:
            break
        moved = found.draw(1, temperature, statistics, rng)[0]
        if internals is not None:
            moved = internals.bend(moved)
            if moved is None:
                sieve.refused["too far to follow"] += 1
                continue
        sieve.offer(recorder.frame(rest + moved, draw))
    return sieve.result(n)


def example_normal_modes() -> Sampler:
    """Return the instance the contract tests run."""
    return normal_modes


def example_wigner() -> Sampler:
    """Return the instance the contract tests run."""
    return wigner
