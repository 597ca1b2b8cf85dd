"""From a start and a file to an adapted file: preflight, configurations, labels, adaptation."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kshot.atoms import Failure, Labelled, Structure
from kshot.atoms.descriptors import descriptors, farthest_points
from kshot.atoms.extxyz_write import write_extxyz
from kshot.atoms.spin import NOTHING_STATED, Stated
from kshot.core.bars import bar
from kshot.core.cache import kept_rows_folder
from kshot.core.errors import TaskError
from kshot.core.manifest import code_versions
from kshot.core.outputs import claim_outputs
from kshot.core.whole import whole
from kshot.families.samplers import samplers
from kshot.fewshot.adapt import Adapted, adapt, parts
from kshot.fewshot.as_labeler import ModelLabeler
from kshot.fewshot.finetune import FEWEST
from kshot.fewshot.methods import FINETUNE, USUAL
from kshot.labelers import Ledger, executors, label_all, labeler
from kshot.pipeline.preflight import check_labels, check_structures, read_input
from kshot.pipeline.seen import seen_in
from kshot.potentials.model import Model
from kshot.potentials.model_file import lineage, load, save
from kshot.potentials.model_starts import start_path

SPARE = 3  # candidates drawn for each configuration that is labelled


class Request(NamedTuple):
    """What is asked for; see the options of ``kshot adapt``."""

    start: str
    input: Path
    out: Path
    budget: int | None = None
    engine: str = "gfn2"
    temperature: float = 300.0
    methods: tuple[str, ...] = USUAL
    keep: float = 1.0
    seed: int = 0
    whole: bool = False
    allow: tuple[str, ...] = ()
    workers: int | None = None
    stated: Stated = NOTHING_STATED
    force: bool = False

    @property
    def labels(self) -> Path:
        """Where all labelled frames are written, beside the adapted file."""
        return self.out.with_suffix(".labels.extxyz")

    @property
    def ledger(self) -> Path:
        """Where labels that are paid for are kept, beside the adapted file."""
        return self.out.with_suffix(".ledger")


class Done(NamedTuple):
    """What came of it: the adaptation, what it was made of, and a record in plain JSON values."""

    adapted: Adapted
    labelled: list[Labelled]
    record: dict[str, Any]


def adapt_file(request: Request, say: Callable[[str], None] = lambda _: None) -> Done:
    """Adapt a start to what is in a file, and write the adapted file.

    Labels are in a ledger beside the output as soon as they exist, and all labelled frames in an
    extxyz file: the same call, after a kill, pays for none of them again.

    Args:
        request: what is asked for.
        say: called with what was read, and what is about to be paid for.

    Raises:
        OutputError: an output is an input, or is there and ``force`` is not set.
    """
    begun = time.perf_counter()
    path = start_path(request.start)
    outputs = (request.out, request.labels)
    claim_outputs(outputs, inputs=needed(request), force=request.force)
    start = load(path)
    given, bare = read_input(request.input, request.stated, say)
    check_structures(start, [one.structure for one in given] + bare, request.allow)
    paid = 0
    if not given:
        given, paid = label_budget(start, bare, request)
    notes = check_labels(start, given)
    with bar("adapting", parts(start, request.methods, len(given))) as advance:
        adapted = adapt(
            start,
            given,
            methods=request.methods,
            keep=request.keep,
            seed=request.seed,
            cache=kept_rows_folder(),
            told=lambda part: advance(1, part),
        )
    seconds = time.perf_counter() - begun
    record = _record(request, start, given, adapted, seconds=seconds, paid=paid, notes=notes)
    model = adapted.model.with_(
        seen=start.seen.joined(seen_in(given)), record={**start.record, "adapted": record}
    )
    with whole(request.labels) as part:  # both appear at once, the adapted file first
        write_extxyz(part, given)
        save(model, request.out, parent=None if request.whole else path)
    return Done(adapted, given, record)


def needed(request: Request) -> tuple[Path, ...]:
    """Return the files that must outlive a request, whatever it writes."""
    return (*lineage(start_path(request.start)), request.input, request.ledger)


def label_budget(
    start: Model, structures: Sequence[Structure], request: Request
) -> tuple[list[Labelled], int]:
    """Return labels of chosen configurations, and how many were paid for, failures included.

    Raises:
        TaskError: no budget, or fewer labels than the least.
    """
    budget = request.budget
    if budget is None:
        todo = "Say how many: --budget 20. Or give labelled frames."
        raise TaskError("a budget of labels for structures without any", "none", todo)
    if budget < 2:
        raise TaskError("a budget of two labels or more", str(budget), "Twenty is a fair start.")
    if FINETUNE in request.methods and budget < FEWEST:
        todo = "Pay for more, or leave fine-tuning out."
        raise TaskError(f"a budget of {FEWEST} labels or more to fine-tune on", str(budget), todo)
    chosen = configurations(start, structures, budget, request)
    request.ledger.parent.mkdir(parents=True, exist_ok=True)
    with Ledger(request.ledger) as book:
        pool = executors.Pool(request.workers or os.cpu_count() or 1)
        results = label_all(chosen, labeler(request.engine), book, pool)
    good = [
        Labelled(frame, result)
        for frame, result in zip(chosen, results, strict=True)
        if not isinstance(result, Failure)
    ]
    if not good:
        reasons = {one.detail for one in results if isinstance(one, Failure)}
        todo = f"The engine says: {'; '.join(sorted(reasons)[:3])}. See `kshot ledger show`."
        raise TaskError("labels", f"{len(results)} failures of {len(results)}", todo)
    return good, len(chosen)


def configurations(
    start: Model, structures: Sequence[Structure], budget: int, request: Request
) -> list[Structure]:
    """Return configurations worth a label: from dynamics on the start, as unlike as possible.

    Where the start's dynamics breaks (it has not seen this chemistry yet), atoms are rattled.
    """
    frames: list[Structure] = []
    each = -(-SPARE * budget // len(structures))
    with bar("drawing configurations", len(structures)) as advance:
        for number, structure in enumerate(structures):
            seed = request.seed + number
            found = samplers.get("langevin")(
                structure,
                ModelLabeler(start),
                each,
                temperature=request.temperature,
                seed=seed,
            )
            if isinstance(found, Failure):
                found = samplers.get("rattle")(
                    structure, None, each, temperature=request.temperature, seed=seed
                )
            if isinstance(found, Failure):
                todo = "Give configurations of your own: a file with many frames."
                raise TaskError("configurations of the structure", found.detail, todo)
            frames += found
            advance(1)
    points = descriptors(frames)
    return [frames[i] for i in np.sort(farthest_points(points, budget, seed=request.seed))]


def _record(
    request: Request,
    start: Model,
    given: Sequence[Labelled],
    adapted: Adapted,
    *,
    seconds: float,
    paid: int,
    notes: Collection[str],
) -> dict[str, Any]:
    level = next((str(one.labels.fingerprint) for one in given if one.labels.fingerprint), "")
    return {
        "start": request.start,
        "start_digest": start.digest,
        "input": str(request.input),
        "labels": len(given),
        "labels_paid": paid,
        "failures": max(0, paid - len(given)),
        "level": level,
        "temperature": request.temperature,
        "seed": request.seed,
        "seconds": round(seconds, 2),
        "versions": code_versions(("kshot", "jax", "mlip")),
        **adapted.summary(),
        "notes": [*notes, *adapted.notes],
    }
