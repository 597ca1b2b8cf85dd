"""Configurations of a member: which sampler, and frames that are drawn once and kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from kshot.atoms import Failure, Labeler, Structure
from kshot.atoms.files import read_structures, write
from kshot.core.errors import InputError
from kshot.families.family import Family, Member
from kshot.families.samplers import Accept, samplers
from kshot.families.samplers.force_field import ForceField

AUTO = "auto"
SMALL = 4  # atoms: so few cannot stay 0.05 Å apart, twenty times over


def draw(
    family: Family,
    member: Member,
    n: int,
    *,
    labeler: Labeler | None = None,
    sampler: str = AUTO,
    temperature: float = 300.0,
    seed: int = 0,
    folder: Path | None = None,
) -> list[Structure] | Failure:
    """Draw configurations of one member.

    Args:
        family: the member's.
        member: its reference geometry is where sampling starts.
        n: how many.
        labeler: drives the sampler; ``auto`` needs none.
        sampler: a name of `kshot.families.samplers.samplers`, or ``"auto"``: Langevin dynamics in
            MMFF94 where that knows the molecule, and rattling where it does not or where the
            dynamics fails (radicals, metals, tiny molecules).
        temperature: in K.
        seed: the same seed gives the same frames.
        folder: keeps frames between runs; None keeps none.

    Returns:
        The frames, whose ``info`` names the member, or why there are none.

    Raises:
        UnknownNameError: no such sampler.
    """
    if sampler != AUTO:
        samplers.get(sampler)  # a wrong name is told before anything is drawn
    path = None
    if folder is not None:
        asked = [member.structure.key, n, sampler, temperature, seed]
        asked.append(labeler.fingerprint.digest if labeler and sampler != AUTO else "")
        digest = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:10]
        path = Path(folder) / f"{family.name}--{member.name}--{digest}.extxyz"
        if path.exists():
            return list(read_structures(path))
    start = member.structure.replace(info={**member.structure.info, "member": member.name})
    if sampler == AUTO:
        frames = _auto(start, n, temperature, seed)
    else:
        frames = samplers.get(sampler)(start, labeler, n, temperature=temperature, seed=seed)
    if path is not None and not isinstance(frames, Failure):
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, frames)
    return frames


def _auto(start: Structure, n: int, temperature: float, seed: int) -> list[Structure] | Failure:
    frames: list[Structure] | Failure = Failure("unphysical", "a handful of atoms")
    if len(start) > SMALL:
        frames = _langevin(start, n, temperature, seed)
    if isinstance(frames, Failure):
        options = {"accept": Accept()} if len(start) <= SMALL else {}
        rattle: Callable = samplers.get("rattle")
        frames = rattle(start, None, n, temperature=temperature, seed=seed, **options)
    return frames


def _langevin(start: Structure, n: int, temperature: float, seed: int) -> list[Structure] | Failure:
    try:
        field = ForceField(start)
    except InputError as error:
        return Failure("refused", str(error))
    return samplers.get("langevin")(start, field, n, temperature=temperature, seed=seed)
