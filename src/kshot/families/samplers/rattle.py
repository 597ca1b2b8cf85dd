"""Rattling: every atom an oscillator of its own. No engine is asked."""

from __future__ import annotations

import numpy as np

from kshot.atoms import Failure, Labeler, Structure
from kshot.core.errors import InputError
from kshot.core.units import BOLTZMANN
from kshot.families.samplers.accept import APART, Accept, Sieve
from kshot.families.samplers.base import Recorder, Sampler, check_request

OVERDRAW = 20  # candidates per frame wanted, before a scaffold is given up


def rattle(
    structure: Structure,
    labeler: Labeler | None,
    n: int,
    *,
    temperature: float,
    seed: int,
    spring: float = 10.0,
    accept: Accept = APART,
) -> list[Structure] | Failure:
    """Displace every atom at random: classical Einstein oscillators at T.

    The displacements are Gaussian of standard deviation √(kT/spring): 0.05 Å at 300 K with the
    default. They know nothing of the molecule, so its stiff bonds carry far more energy than kT:
    for covering a neighbourhood, not for an ensemble.

    Args:
        structure: the scaffold; it is not relaxed.
        labeler: not asked.
        n: how many frames.
        temperature: in K, above zero.
        seed: the same seed gives the same frames.
        spring: one force constant for all atoms, in eV/Å².
        accept: what is kept.
    """
    del labeler
    check_request(structure, n, temperature, coldest=1e-3)
    if not 0 < spring < float("inf"):
        raise InputError("spring > 0 eV/Å²", str(spring), "10 gives 0.05 Å at 300 K.")
    recorder = Recorder(structure, "rattle", temperature, seed)
    rng = recorder.stream()
    width = np.sqrt(BOLTZMANN * temperature / spring)
    sieve = Sieve(structure, accept)
    for draw in range(OVERDRAW * n):
        if len(sieve.frames) == n:
            break
        moved = width * rng.standard_normal(structure.positions.shape)
        sieve.offer(recorder.frame(structure.positions + moved, draw))
    return sieve.result(n)


def example_rattle() -> Sampler:
    """Return the instance the contract tests run."""
    return rattle
