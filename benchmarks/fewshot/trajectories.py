"""Draw and label the independent trajectories of the study: five of each family, by GFN2.

    nice -n 19 python benchmarks/fewshot/trajectories.py [development] [test] [--only NAME ...]

A family's shots come from three trajectories at 300 K that start from its lowest minimum; a fourth
is a fresh one of the same minimum. The last shows what no shot has seen: the minimum least like the
lowest, at 300 K, or where there is no second one, 500 K. Where a family has a second member with
the same bonds, such as a diastereomer, a sixth trajectory shows that one. Each trajectory is a file
in ``.cache/fewshot/trajectories`` as soon as it exists, so that a killed run goes on; a family is
written to ``frames/`` when it is whole.

All atoms move with one mass, 12 u: the ensemble of positions depends on no mass, and without light
hydrogens the step may be seven times as long. Times are those of these dynamics.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import lzma
import os
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from conformers import UnsuitableError, farthest, minima
from walker import Walker

from kshot.atoms import Failure, Labeler, Labelled, Labels, Structure
from kshot.atoms.extxyz_write import extxyz_text
from kshot.atoms.files import read_structures, write
from kshot.core.seeds import named_generator
from kshot.core.whole import whole
from kshot.families import load_catalogue
from kshot.families.catalogue.load import find_family
from kshot.families.family import Family
from kshot.families.samplers.accept import Accept, Sieve
from kshot.families.samplers.base import NoLabelError, Surface
from kshot.families.samplers.langevin import baoab
from kshot.labelers import Ledger, label_all, labeler

HERE = Path(__file__).parent
FAMILIES = HERE / "families.toml"
FRAMES = HERE / "frames"
PIECES = Path(".cache/fewshot/trajectories")
LEDGER = Path(".cache/fewshot/trajectories.ledger")
DEVELOPMENT = {
    "uracil": "keto",
    "side-chain-his": "delta",
    "side-chain-tyr": "phenol",
    "sulfonamide": "neutral",
    "aniline": "neutral",
    "guanidinium": "cation",
    "ribose": "beta-furanose",
    "dipeptide-ser": "neutral",
}
"""Families and members that the first edition of this study has used up: for tuning."""
SHOTS = {"development": 60, "test": 90}  # frames of each of three trajectories
ASKED = 40  # frames of each test trajectory
MASS, STEP, FRICTION = 12.0, 3.5, 0.02  # u, fs, 1/fs
WARM_UP, SPACING = 350.0, 52.5  # fs
DECIMALS = 5  # of Å, eV/Å and eV: positions are rounded before they are labelled


class Run(NamedTuple):
    """One trajectory that is to be.

    Args:
        name: ``shots-1`` … ``test-same``, ``test-conformer``, ``test-hot`` or ``test-stereo``.
        start: a minimum.
        temperature: in K.
        n: frames.
    """

    name: str
    start: Structure
    temperature: float
    n: int


def main(words: Sequence[str]) -> int:
    """Draw and label what is not there yet; return 1 if a family is unsuitable, else 0."""
    parser = argparse.ArgumentParser(description="trajectories of the study")
    parser.add_argument("sides", nargs="*", default=list(SHOTS), help="development, test")
    parser.add_argument("--only", nargs="*", default=[], help="names of families")
    options = parser.parse_args(words)
    status = 0
    for side in options.sides:
        for family in families_of(side):
            path = FRAMES / side / f"{family.name}.extxyz.xz"
            if path.exists() or (options.only and family.name not in options.only):
                continue
            try:
                write_xz(path, labelled(family, SHOTS[side]))
            except UnsuitableError as error:
                print(f"unsuitable: {error}", flush=True)
                status = 1
            else:
                print(f"{path}: {path.stat().st_size / 1024:.0f} KiB", flush=True)
    return status


def families_of(side: str) -> list[Family]:
    """Return the families of a side, each with the members whose trajectories are drawn."""
    if side == "development":
        catalogue = load_catalogue()
        chosen = [find_family(name, catalogue) for name in DEVELOPMENT]
        return [_only(family, DEVELOPMENT[family.name]) for family in chosen]
    if side == "test":
        known = {family.name for family in load_catalogue()}
        return [f for f in load_catalogue(FAMILIES) if f.name not in known]
    raise SystemExit(f"expected development or test; got {side!r}. Give one of them, or none.")


def _only(family: Family, name: str) -> Family:
    members = tuple(member for member in family.members if member.name == name)
    return Family(family.name, family.stratum, members, family.tags, family.note)


def labelled(family: Family, shots: int) -> list[Labelled]:
    """Return all labelled frames of a family, drawn and labelled as far as they are not yet."""
    engine, walker = labeler("gfn2"), Walker()
    frames = [frame for run in runs(family, shots, walker) for frame in drawn(family, run, walker)]
    LEDGER.parent.mkdir(parents=True, exist_ok=True)
    with Ledger(LEDGER) as ledger:
        results = label_all(frames, engine, ledger, progress=False)
    return [Labelled(f, _rounded(r, f)) for f, r in zip(frames, results, strict=True)]


def runs(family: Family, shots: int, engine: Labeler) -> list[Run]:
    """Return the trajectories of a family; minima are found anew, in seconds."""
    member = family.members[0]
    distinct = minima(member, engine)
    lowest, other = distinct[0].structure, farthest(member, distinct)
    unseen = Run("test-hot", lowest, 500.0, ASKED)
    if other is not None:
        unseen = Run("test-conformer", other.structure, 300.0, ASKED)
    several = [Run(f"shots-{i}", lowest, 300.0, shots) for i in (1, 2, 3)]
    planned = [*several, Run("test-same", lowest, 300.0, ASKED), unseen]
    if len(family.members) > 1:
        stereo = minima(family.members[1], engine)[0].structure
        planned.append(Run("test-stereo", stereo, 300.0, ASKED))
    return planned


def drawn(family: Family, run: Run, engine: Labeler) -> list[Structure]:
    """Return the frames of a trajectory, drawn now or read from its piece.

    Raises:
        UnsuitableError: the dynamics failed, or a bond broke or formed: the family is unsuitable.
    """
    path = PIECES / f"{family.name}--{run.name}-{_digest(family, run)}.extxyz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, _langevin(family, run, engine))
        print(path.name, flush=True)
    return list(read_structures(path))


def _digest(family: Family, run: Run) -> str:
    """Return what changes with all that a piece depends on."""
    asked = [(member.smiles, member.structure.charge) for member in family.members]
    settings = [run.temperature, run.n, MASS, STEP, FRICTION, WARM_UP, SPACING, DECIMALS]
    return hashlib.sha256(json.dumps([asked, settings]).encode()).hexdigest()[:10]


def _langevin(family: Family, run: Run, engine: Labeler) -> list[Structure]:
    steps = baoab(
        Surface(run.start, engine),
        run.start.positions,
        np.full(len(run.start), MASS),
        run.temperature,
        named_generator(0, f"trajectory {run.name} of {family.name}"),
        step=STEP,
        friction=FRICTION,
    )
    stride, skip = round(SPACING / STEP), round(WARM_UP / STEP)
    try:
        visited = [x for x, _ in islice(steps, skip, skip + run.n * stride, stride)]
    except NoLabelError as error:
        raise UnsuitableError(f"{family.name}, {run.name}: {error}") from error
    sieve = Sieve(run.start, Accept())
    if broken := [why for positions in visited if (why := sieve.broken(positions))]:
        raise UnsuitableError(f"{family.name}, {run.name}: {len(broken)} frames with {broken[0]}")
    return [
        run.start.replace(
            positions=(positions - positions.mean(0)).round(DECIMALS) + 0.0,
            family=family.name,
            info={
                "trajectory": run.name,
                "temperature": run.temperature,
                "time": WARM_UP + i * SPACING,
            },
        )
        for i, positions in enumerate(visited)
    ]


def _rounded(result: Labels | Failure, frame: Structure) -> Labels:
    if isinstance(result, Failure):
        raise UnsuitableError(f"{frame.family}, {frame.info['trajectory']}: {result.detail}")
    forces = result.forces.round(DECIMALS) + 0.0
    return Labels(round(result.energy, DECIMALS), forces, None, result.fingerprint)


def write_xz(path: Path, frames: Sequence[Labelled]) -> None:
    """Write labelled frames as compressed extended XYZ."""
    with whole(path) as part, lzma.open(part, "wt", preset=9, encoding="utf-8") as file:
        for frame in frames:
            file.write(extxyz_text(*frame))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
