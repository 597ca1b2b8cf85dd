"""From a start and a file to an adapted file: preflight, configurations, labels, adaptation."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, NamedTuple

from kshot.atoms import Labelled
from kshot.atoms.extxyz_write import write_extxyz
from kshot.core.bars import bar
from kshot.core.cache import kept_rows_folder
from kshot.core.manifest import code_versions
from kshot.core.outputs import claim_outputs
from kshot.core.whole import whole
from kshot.fewshot.adapt import Adapted, adapt, parts
from kshot.fewshot.jacobian import within_bounds
from kshot.pipeline.budget import Supply, within_budget
from kshot.pipeline.levels import level_of, shifts
from kshot.pipeline.preflight import FEWEST as LEAST
from kshot.pipeline.preflight import check_labels, check_structures, read_input
from kshot.pipeline.request import Request
from kshot.pipeline.seen import remembered, seen_in
from kshot.potentials.model import Model
from kshot.potentials.model_file import lineage, load, save
from kshot.potentials.model_starts import start_path


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
        OptionError: too little memory for any derivatives; no label was bought.
    """
    begun = time.perf_counter()
    path = start_path(request.start)
    outputs = (request.out, request.labels)
    claim_outputs(outputs, inputs=needed(request), force=request.force)
    start = load(path)
    say(f"start {path.stem}: predicts {level_of(start) or 'an unknown level of theory'}")
    within_bounds(request.budget or LEAST, start.params, request.memory)  # or no label is bought
    given, bare = read_input(request.input, request.stated, say)
    check_structures(start, [one.structure for one in given] + bare, request.allow)
    if request.budget is not None and len(given) >= LEAST:  # before anything is paid for
        check_labels(start, given, request.allow)
    supply = within_budget(start, given, bare, request, say)
    labelled = supply.labelled
    notes = check_labels(start, labelled, request.allow)
    methods = request.competing(start)
    with bar("adapting", parts(start, methods, len(labelled))) as advance:
        adapted = adapt(
            start,
            labelled,
            methods=methods,
            keep=request.keep,
            seed=request.seed,
            cache=kept_rows_folder(),
            memory=request.memory,
            told=lambda part: advance(1, part),
        )
    seconds = time.perf_counter() - begun
    record = _record(request, start, supply, adapted, seconds=seconds, notes=notes)
    model = adapted.model.with_(
        seen=start.seen.joined(seen_in(labelled)),
        record={**start.record, **remembered(start, labelled), "adapted": record},
    )
    with whole(request.labels) as part:  # both appear at once, the adapted file first
        write_extxyz(part, labelled)
        save(model, request.out, parent=None if request.whole else path)
    return Done(adapted, labelled, record)


def needed(request: Request) -> tuple[Path, ...]:
    """Return the files that must outlive a request, whatever it writes."""
    return (*lineage(start_path(request.start)), request.input, request.ledger)


def _record(
    request: Request,
    start: Model,
    supply: Supply,
    adapted: Adapted,
    *,
    seconds: float,
    notes: Collection[str],
) -> dict[str, Any]:
    fingerprints = [one.labels.fingerprint for one in supply.labelled if one.labels.fingerprint]
    given = len(supply.labelled) + supply.failures - supply.paid
    return {
        "start": request.start,
        "start_digest": start.digest,
        "input": str(request.input),
        "labels": len(supply.labelled),
        "labels_given": given,
        "labels_paid": supply.paid,
        "labels_bought": supply.bought,
        "failures": supply.failures,
        "level": str(fingerprints[0]) if fingerprints else "",
        "start_level": level_of(start),
        "shifts_eV": shifts(start, adapted.model, supply.labelled),
        "temperature": request.temperature,
        "seed": request.seed,
        "seconds": round(seconds, 2),
        "versions": code_versions(("kshot", "jax", "mlip")),
        **adapted.summary(),
        "notes": [*notes, *adapted.notes],
    }
