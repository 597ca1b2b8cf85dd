"""Draw and label what `bio-medium` is trained on: GFN2 dynamics of the catalogue and its relatives.

    nice -n 19 python benchmarks/starts/frames.py [--share 1/2] [--rounds 2]

A piece is one molecule, one conformer, one temperature: half of its frames are of GFN2 dynamics at
300, 450 or 600 K, the other half are those with every atom moved at random, so that stiff bonds are
seen bent too. One molecule in five has a water beside it. A piece is a file as soon as it exists: a
killed run goes on, two shares run side by side, and a first round over all molecules comes before
a second.

Positions are rounded to 1/2048 Å before they are labelled, so that sixteen bits hold them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from zlib import crc32

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from relatives import relatives

sys.path.insert(0, str(Path(__file__).parent.parent / "fewshot"))
from neighbours import test_families
from walker import Walker

from kshot.atoms import Failure, Labels, Structure
from kshot.core.seeds import named_generator
from kshot.core.whole import whole
from kshot.families import load_catalogue
from kshot.families.catalogue.load import find_family
from kshot.families.catalogue.molecules import molecule
from kshot.families.distributions.neighbours import likeness
from kshot.families.family import Family, Member
from kshot.families.samplers.accept import Accept, Sieve
from kshot.families.samplers.base import NoLabelError, Surface
from kshot.families.samplers.langevin import baoab
from kshot.pipeline.config import load_config

PIECES = Path(".cache/bio-medium/pieces")
NEAR = Path(".cache/bio-medium/near.json")
SMALL = Path(__file__).parent.parent / "fewshot" / "bio-small.yaml"
EACH = 3  # relatives of a family of the catalogue
MOST_ATOMS = 40
TEMPERATURES = (300.0, 450.0, 600.0)  # K
MASS, STEP, FRICTION = 12.0, 3.5, 0.03  # u, fs, 1/fs
WARM_UP, STRIDE, FRAMES = 80, 5, 30  # steps, steps, frames of dynamics in a piece
SHAKE = 0.03  # Å, of every coordinate of a shaken frame
GRID = 2048  # positions are multiples of 1/GRID Å
WITH_WATER = 0.2  # of the molecules
LARGEST_FORCE = 30.0  # eV/Å: sixteen bits hold no more


def main(words: Sequence[str]) -> int:
    """Draw what is not there yet."""
    parser = argparse.ArgumentParser(description="frames of bio-medium")
    parser.add_argument("--share", default="1/1", help="which of how many, such as 1/2")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args(words)
    which, shares = (int(word) for word in options.share.split("/"))
    PIECES.mkdir(parents=True, exist_ok=True)
    walker = Walker()
    for turn in range(options.rounds):
        for family, member in molecules(which - 1, shares):
            path = PIECES / f"{family.name}.{member.name}.{turn}.npz"
            if path.exists():
                continue
            frames, labels = piece(family, member, turn, walker)
            with whole(path) as part, part.open("wb") as file:
                np.savez(file, **arrays(frames, labels))
            print(f"{path.stem}: {len(frames)} frames of {len(member.structure)} atoms", flush=True)
    return 0


def molecules(which: int, shares: int) -> Iterator[tuple[Family, Member]]:
    """Yield a share of what may train or validate: nothing open-shell or near to what tests see."""
    lists = load_config(SMALL).families
    unseen = {*lists.held_out, *lists.relatives}
    everything = load_catalogue()
    catalogue = [f for f in everything if f.name not in unseen]
    tested = [*test_families(), *(find_family(name, everything) for name in lists.held_out)]
    refused = NEAR.with_stem(f"near-{which}-{shares}")
    near = json.loads(refused.read_text()) if refused.exists() else {}
    for family in chain(catalogue, relatives(catalogue, EACH)):
        if crc32(family.name.encode()) % shares != which:
            continue
        if family.name not in near:
            near[family.name] = any(likeness(one, [family])[0].near for one in tested)
            with whole(refused) as part:
                part.write_text(json.dumps(near))
        if near[family.name] and family.name not in lists.validation:
            continue
        for member in family.members:
            structure = member.structure
            suits = structure.multiplicity == 1 and len(structure) <= MOST_ATOMS
            if suits and member.usable("gfn2"):
                yield family, member


def piece(
    family: Family, member: Member, turn: int, walker: Walker
) -> tuple[list[Structure], list[Labels]]:
    """Return the frames of a piece and their labels; none where the molecule does not last."""
    rng = named_generator(0, f"{family.name}/{member.name}/{turn}")
    start = conformer(member, turn, rng)
    if len(start) <= MOST_ATOMS - 10 and rng.random() < WITH_WATER:
        start = with_water(start, rng)
    temperature = TEMPERATURES[int(rng.integers(len(TEMPERATURES)))]
    steps = baoab(
        Surface(start, walker),
        start.positions,
        np.full(len(start), MASS),
        temperature,
        rng,
        step=STEP,
        friction=FRICTION,
    )
    sieve = Sieve(start, Accept(stretch=1.5))
    frames: list[Structure] = []
    labels: list[Labels] = []
    visited = islice(steps, WARM_UP, WARM_UP + FRAMES * STRIDE, STRIDE)
    while True:
        try:
            positions = next(visited, (None,))[0]
        except NoLabelError:
            break
        if positions is None or sieve.broken(positions):
            break
        for shift in (0.0, SHAKE * rng.standard_normal(positions.shape)):
            moved = positions - positions.mean(0) + shift
            frame = start.replace(positions=(moved * GRID).round() / GRID, family=family.name)
            result = walker.label(frame)
            if isinstance(result, Failure) or np.abs(result.forces).max() > LARGEST_FORCE:
                continue
            frames.append(frame)
            labels.append(result)
    return frames, labels


def conformer(member: Member, turn: int, rng: np.random.Generator) -> Structure:
    """Return the catalogue's geometry in the first round, later another that RDKit proposes."""
    from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

    structure = member.structure
    if turn == 0 or not member.smiles:
        return structure
    mol = molecule(member.smiles)
    numbers = [atom.GetAtomicNum() for atom in mol.GetAtoms()]
    if numbers != structure.numbers.tolist() or "." in member.smiles or "->" in member.smiles:
        return structure
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed = int(rng.integers(2**31 - 1))
    if rdDistGeom.EmbedMolecule(mol, parameters) < 0:
        return structure
    if rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol):
        rdForceFieldHelpers.MMFFOptimizeMolecule(mol)
    return structure.replace(positions=mol.GetConformer().GetPositions())


def with_water(structure: Structure, rng: np.random.Generator) -> Structure:
    """Return a structure with a water where it just touches, turned at random."""
    water = np.array([[0.0, 0.0, 0.0], [0.9572, 0.0, 0.0], [-0.24, 0.9266, 0.0]])
    turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    direction = rng.standard_normal(3)
    direction /= np.linalg.norm(direction)
    center = structure.positions.mean(0)
    for distance in np.arange(1.0, 30.0, 0.1):
        placed = center + distance * direction + water @ turn
        apart = np.linalg.norm(placed[:, None] - structure.positions, axis=2).min(axis=1)
        if apart.min() > 1.9 and apart[0] > 2.6:
            break
    return Structure(
        numbers=np.concatenate([structure.numbers, [8, 1, 1]]),
        positions=np.concatenate([structure.positions, placed]),
        charge=structure.charge,
        multiplicity=structure.multiplicity,
        family=structure.family,
    )


def arrays(frames: Sequence[Structure], labels: Sequence[Labels]) -> dict[str, np.ndarray]:
    """Return what the file of a piece holds; every frame has the same atoms."""
    empty = not frames
    return {
        "numbers": np.zeros(0, np.int8) if empty else frames[0].numbers.astype(np.int16),
        "charge": np.array(0 if empty else frames[0].charge),
        "positions": np.array([(f.positions * GRID).round() for f in frames], np.int16),
        "energies": np.array([each.energy for each in labels]),
        "forces": np.array([each.forces for each in labels], np.float32),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
