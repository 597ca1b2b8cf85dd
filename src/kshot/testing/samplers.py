"""What every sampler of configurations promises, checked on any scaffold and engine."""

from __future__ import annotations

import numpy as np

from kshot.atoms import Failure, Labeler, Structure
from kshot.families.samplers import Accept, Sampler, isotopes_of, masses_of
from kshot.families.samplers.accept import Sieve
from kshot.families.samplers.geometry import aligned_rmsd
from kshot.testing.expect import expect

RECORDED = {"sampler", "temperature", "seed", "isotopes", "trajectory", "time"}


def check_sampler(
    sample: Sampler,
    structure: Structure,
    labeler: Labeler | None,
    *,
    n: int = 4,
    temperature: float = 300.0,
    distance: float = 0.02,
) -> None:
    """Check that a sampler gives what was asked for, and the same again with the same seed.

    Args:
        sample: the sampler; options that make it quick may be bound already.
        structure: a scaffold it can sample.
        labeler: the engine.
        n: how many frames to ask for.
        temperature: in K.
        distance: the frames must be at least so far apart, in Å.

    Raises:
        ContractError: a promise is broken; the message says which.
    """
    accept = Accept(distance=distance)
    before = structure.positions.copy()

    def frames_of(seed: int) -> list[Structure]:
        found = sample(structure, labeler, n, temperature=temperature, seed=seed, accept=accept)
        if isinstance(found, Failure):
            expect(False, f"{n} frames", str(found), "Give a scaffold and an engine that work.")
            return []
        return found

    frames, again, others = frames_of(1), frames_of(1), frames_of(2)
    expect(len(frames) == n, f"{n} frames", str(len(frames)), "Return as many as were asked for.")
    same = all(a.key == b.key and a.info == b.info for a, b in zip(frames, again, strict=True))
    expect(same, "the same frames from the same seed", "others", "Draw from named_generator only.")
    fresh = {frame.key for frame in frames}.isdisjoint(frame.key for frame in others)
    expect(fresh, "other frames from another seed", "some again", "Let the seed decide all draws.")
    untouched = np.array_equal(structure.positions, before)
    expect(untouched, "an untouched scaffold", "a moved one", "Copy before moving.")
    _check_frames(structure, frames, accept, temperature)


def _check_frames(
    structure: Structure, frames: list[Structure], accept: Accept, temperature: float
) -> None:
    sieve = Sieve(structure, Accept(bonds=accept.bonds))
    for i, frame in enumerate(frames):
        missing = RECORDED - set(frame.info)
        expect(not missing, "the origin in info", f"no {missing}", "Make frames with a Recorder.")
        told = frame.info["temperature"] == temperature
        told &= frame.info["isotopes"] == isotopes_of(structure)
        expect(told, "temperature and isotopes in info", str(dict(frame.info)), "Record them.")
        kept = np.array_equal(masses_of(frame), masses_of(structure))
        kept &= np.array_equal(frame.numbers, structure.numbers)
        kept &= (frame.charge, frame.multiplicity) == (structure.charge, structure.multiplicity)
        expect(kept, "the scaffold's atoms", "others", "Change nothing but positions and info.")
        reason = sieve.broken(frame.positions)
        expect(not reason, "whole molecules", reason, "Offer frames to a Sieve.")
        before = np.array([other.positions for other in frames[:i]])
        near = float(aligned_rmsd(before, frame.positions).min()) if i else np.inf
        expect(near >= accept.distance, "frames apart", f"{near:.3f} Å", "Offer them to a Sieve.")
