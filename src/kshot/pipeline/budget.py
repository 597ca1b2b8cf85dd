"""Which labels a budget buys: what is there already counts, and only the rest is chosen and paid.

There already are the labels of the file, and those that the ledger beside the output holds of the
same molecules by the same engine, failures included: a budget can be raised, and a run that was
killed goes on where it was.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kshot.atoms import Failure, Fingerprint, Labeler, Labelled, Labels, Structure
from kshot.atoms.bonds import bonds
from kshot.atoms.descriptors import descriptors, farthest_points
from kshot.core.bars import bar
from kshot.core.errors import TaskError
from kshot.families.samplers import samplers
from kshot.fewshot.as_labeler import ModelLabeler
from kshot.labelers import Ledger, executors, label_all, labeler
from kshot.pipeline.request import Request
from kshot.potentials.model import Model

SPARE = 3  # candidates drawn for each configuration that is labelled
MOST_STARTS = 4  # of a molecule's labelled frames, for dynamics to begin at
MOLECULE = "configuration_of"  # in a configuration's info: the molecule it was drawn for


class Supply(NamedTuple):
    """The labels of an adaptation.

    Args:
        labelled: those of the file, and those paid for that did not fail.
        paid: how many the ledger holds of these molecules, failures included.
        failures: how many of them failed.
        bought: how many of them this call has paid for.
    """

    labelled: list[Labelled]
    paid: int = 0
    failures: int = 0
    bought: int = 0


def within_budget(
    start: Model,
    given: Sequence[Labelled],
    bare: Sequence[Structure],
    request: Request,
    say: Callable[[str], None],
) -> Supply:
    """Return the labels given and those that a budget adds to them; buy what is missing.

    Args:
        start: whose dynamics draws configurations.
        given: labelled frames of the file.
        bare: its structures without labels.
        request: the budget, the engine, and where the ledger is.
        say: called with the plan before anything is paid for.

    Raises:
        TaskError: no budget where there are no labels, one that is too small, labels of the file
            that are of another level than the engine's, or nothing but failures.
    """
    if request.budget is None and given:
        if bare:
            say(f"{len(bare)} frames have no labels and are left out: a --budget would buy some")
        return Supply(list(given))
    budget = _checked(request, start)
    wanted = budget - len(given)
    if wanted <= 0:
        say(f"budget {budget}: {len(given)} labels are in the file; nothing is bought, all count")
        return Supply(list(given))
    engine = labeler(request.engine)
    if "levels" not in request.allow:
        _require_level(given, engine.fingerprint)
    structures = [*bare, *(one.structure for one in given)]
    molecules = {molecule_of(structure): structure for structure in structures}
    paid = _paid_for(request.ledger, engine.fingerprint, molecules, given)
    missing = max(0, wanted - len(paid))
    say(_plan(budget, given, paid, missing, engine.fingerprint))
    if not missing:
        return _supply(given, paid)
    there = [frame for frame, _ in paid]
    chosen = _chosen(start, given, bare, there, missing, wanted, request, say)
    request.ledger.parent.mkdir(parents=True, exist_ok=True)
    with Ledger(request.ledger) as ledger:
        pool = executors.Pool(request.workers or os.cpu_count() or 1)
        results = label_all(chosen, engine, ledger, pool)
    paid += zip(chosen, results, strict=True)
    return _supply(given, paid, len(chosen))


def molecule_of(structure: Structure) -> str:
    """Return a short name of a molecule: its atoms, charge, spin, cell directions and bonds.

    Conformers share it; isomers, and other charges, do not.
    """
    state = np.array([structure.charge, structure.multiplicity, *structure.pbc], "<i8")
    whole = hashlib.blake2b(state.tobytes(), digest_size=8)
    whole.update(structure.numbers.astype("<i8").tobytes())
    whole.update(bonds(structure).astype("<i8").tobytes())
    return whole.hexdigest()


def configurations(
    start: Model,
    structures: Sequence[Structure],
    count: int,
    *,
    temperature: float,
    seed: int,
    say: Callable[[str], None],
) -> list[Structure]:
    """Return configurations around those given and from dynamics on the start, `count` or more.

    Args:
        start: whose dynamics it is.
        structures: to begin at.
        count: how many are wanted of all together.
        temperature: in K.
        seed: of everything random.
        say: called where one of the two ways gives nothing.

    Raises:
        TaskError: neither gives any.
    """
    frames: list[Structure] = []
    each = max(2, -(-count // len(structures)))
    surface = ModelLabeler(start)
    with bar("drawing configurations", len(structures)) as advance:
        for number, structure in enumerate(structures):
            options = {"temperature": temperature, "seed": seed + number}
            drawn = _drawn(structure, surface, each, options, say)
            if isinstance(drawn, Failure):
                todo = "Give configurations of your own: a file with many frames."
                raise TaskError("configurations of the structure", drawn.detail, todo)
            name = molecule_of(structure)
            frames += [frame.replace(info={**frame.info, MOLECULE: name}) for frame in drawn]
            advance(1)
    return frames


def _drawn(
    structure: Structure,
    surface: Labeler,
    count: int,
    options: Mapping[str, Any],
    say: Callable[[str], None],
) -> list[Structure] | Failure:
    """Return configurations of one structure: half of them rattled, half from dynamics.

    A start that has not seen such chemistry may sink into a hole of its own, far from where any
    true trajectory goes: what is rattled stays beside the structure as it was given. Where dynamics
    breaks, all are rattled.
    """
    rattle, half = samplers.get("rattle"), count // 2
    walked = samplers.get("langevin")(structure, surface, count - half, **options)
    if isinstance(walked, Failure):
        say(f"dynamics on the start breaks, so all configurations are rattled: {walked.detail}")
        return rattle(structure, None, count, **options)
    rattled = rattle(structure, None, half, **options)
    if isinstance(rattled, Failure):
        say(f"rattling fails, so all configurations are of dynamics: {rattled.detail}")
        return walked
    return rattled + walked


def _checked(request: Request, start: Model) -> int:
    budget = request.budget
    if budget is None:
        todo = "Say how many: --budget 20. Or give labelled frames."
        raise TaskError("a budget of labels for structures without any", "none", todo)
    if budget < 2:
        raise TaskError("a budget of two labels or more", str(budget), "Twenty is a fair start.")
    if budget < (fewest := request.fewest(start)):
        todo = "Pay for more, or leave out the method that needs them."
        expected = f"a budget of {fewest} labels or more for {', '.join(request.competing(start))}"
        raise TaskError(expected, str(budget), todo)
    return budget


def _require_level(given: Sequence[Labelled], level: Fingerprint) -> None:
    """Raise unless labels given are of the level that is about to be bought."""
    others = {str(one.labels.fingerprint or "a level not stated") for one in given} - {str(level)}
    exact = all(one.labels.fingerprint in (None, level) for one in given)
    if others or not exact:
        got = f"{', '.join(sorted(others)) or 'other settings'} in the file"
        todo = "Name its engine with --engine, or let both count as one with --allow levels."
        raise TaskError(f"a file of the level that is bought, {level}", got, todo)


def _paid_for(
    path: Path,
    level: Fingerprint,
    molecules: Mapping[str, Structure],
    given: Sequence[Labelled],
) -> list[tuple[Structure, Labels | Failure]]:
    """Return what a ledger holds of configurations of molecules, less what is in the file too."""
    if not path.exists():
        return []
    known = {one.structure.key for one in given}
    paid: list[tuple[Structure, Labels | Failure]] = []
    with Ledger(path) as ledger:
        for row in ledger.rows(level):
            molecule = molecules.get(str(row.structure.info.get(MOLECULE)))
            if molecule is not None and row.structure.key not in known:
                paid.append((row.structure.replace(masses=molecule.masses), row.result))
    return paid


def _plan(
    budget: int,
    given: Sequence[Labelled],
    paid: Sequence[tuple[Structure, Labels | Failure]],
    missing: int,
    level: Fingerprint,
) -> str:
    failures = sum(isinstance(result, Failure) for _, result in paid)
    parts = [f"{len(given)} labels are in the file"] if given else []
    if paid:
        failed = f" ({failures} failed)" if failures else ""
        parts.append(f"{len(paid)} labels are in the ledger{failed}")
    if missing:
        parts.append(f"{missing} to buy with {level}, failures count")
    else:
        parts.append("nothing is bought, all count")
    return f"budget {budget}: {'; '.join(parts)}"


def _chosen(
    start: Model,
    given: Sequence[Labelled],
    bare: Sequence[Structure],
    paid: Sequence[Structure],
    missing: int,
    wanted: int,
    request: Request,
    say: Callable[[str], None],
) -> list[Structure]:
    """Return configurations worth a label: as unlike each other, and those there are, as can be.

    They stand in the order of their worth, so that a run that is killed and goes on buys the same.
    """
    begin = _starts(given, bare, request.seed)[:wanted]
    options = {"temperature": request.temperature, "seed": request.seed}
    frames = configurations(start, begin, SPARE * wanted, **options, say=say)
    there = [*(one.structure for one in given), *paid]
    taken = descriptors(there) if there else None
    order = farthest_points(descriptors(frames), missing, seed=request.seed, taken=taken)
    return [frames[place] for place in order]


def _starts(given: Sequence[Labelled], bare: Sequence[Structure], seed: int) -> list[Structure]:
    """Return where dynamics begins: structures without labels, else unlike ones of the labelled."""
    named = {molecule_of(structure) for structure in bare}
    groups: dict[str, list[Structure]] = {}
    for one in given:
        groups.setdefault(molecule_of(one.structure), []).append(one.structure)
    begin = list(bare)
    for name, members in groups.items():
        if name not in named:
            count = min(MOST_STARTS, len(members))
            begin += [members[i] for i in farthest_points(descriptors(members), count, seed)]
    return begin


def _supply(
    given: Sequence[Labelled],
    paid: Sequence[tuple[Structure, Labels | Failure]],
    bought: int = 0,
) -> Supply:
    """Return all labels; those paid for in an order that does not tell when they were bought."""
    good = [Labelled(frame, label) for frame, label in paid if not isinstance(label, Failure)]
    reasons = sorted({label.detail for _, label in paid if isinstance(label, Failure)})
    if not given and not good:
        todo = f"The engine says: {'; '.join(reasons[:3])}. See `kshot ledger show`."
        raise TaskError("labels", f"{len(paid)} failures of {len(paid)}", todo)
    labelled = [*given, *sorted(good, key=lambda one: one.structure.key)]
    return Supply(labelled, len(paid), len(paid) - len(good), bought)
