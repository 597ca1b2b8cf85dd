"""Adaptation from Python: `kshot.adapt`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kshot.atoms import Labelled
from kshot.atoms.from_ase import frame_of
from kshot.atoms.reading import Keys, Reading
from kshot.atoms.species import Tally
from kshot.atoms.spin import Stated
from kshot.core.cache import kept_rows_folder, use_compile_cache
from kshot.fewshot.adapt import Adapted
from kshot.fewshot.adapt import adapt as adapt_model
from kshot.fewshot.jacobian import GB, MEMORY
from kshot.pipeline.preflight import check_labels, check_structures
from kshot.pipeline.seen import remembered, seen_in
from kshot.potentials.model import Model
from kshot.potentials.model_file import load
from kshot.potentials.model_starts import start_path

if TYPE_CHECKING:
    from ase import Atoms


def adapt(
    start: Model | Path | str,
    labelled: Sequence[Labelled | Atoms],
    *,
    methods: Sequence[str] | None = None,
    keep: float = 1.0,
    seed: int = 0,
    allow: Collection[str] = (),
    charge: int | None = None,
    spin: int | None = None,
    keys: Keys | None = None,
    memory: float = MEMORY / GB,
) -> Adapted:
    """Adapt a start to K labelled structures, by the method that does best inside them.

    Args:
        start: a model, its file, or the name of a shipped start (``"bio-small"``).
        labelled: the K: structures with energies in eV and forces in eV/Å; or atoms of ASE, with
            the results of a calculator or with labels in ``info`` and ``arrays``.
        methods: names of `kshot.fewshot.adapters.adapters` to choose among, those of
            `kshot.fewshot.adapters.usual` if None; those that take minutes only if they are named.
        keep: how strongly other chemistry is held; 0 lets it be forgotten.
        seed: of folds and directions.
        allow: what the start has not seen and is let through: charges, multiplicities, elements;
            labels of several levels, or that look to be in other units: levels, units.
        charge: of atoms of ASE that do not state theirs; what is taken if nobody does stands among
            the notes of the result.
        spin: likewise, 2S + 1.
        keys: where atoms of ASE have their labels, if that leaves a choice.
        memory: GB of derivatives that may be held at once; more directions of force are seen with
            more, and what does not fit is computed again whenever it is read.

    Raises:
        InputError: labels or structures that cannot be adapted to; nothing was computed yet.
    """
    use_compile_cache()
    model = start if isinstance(start, Model) else load(start_path(start))
    tally = Tally()
    frames = list(_frames(labelled, Reading(keys=keys, stated=Stated(charge, spin)), tally))
    check_structures(model, [frame.structure for frame in frames], allow)
    notes = check_labels(model, frames, allow)
    adapted = adapt_model(
        model,
        frames,
        methods=methods,
        keep=keep,
        seed=seed,
        cache=kept_rows_folder(),
        memory=memory * GB,
    )
    seen = model.seen.joined(seen_in(frames))
    record = {**model.record, **remembered(model, frames)}
    adapted = adapted.with_model(adapted.model.with_(seen=seen, record=record))
    return replace(adapted, notes=(*tally.lines(), *notes, *adapted.notes))


def _frames(
    given: Sequence[Labelled | Atoms], reading: Reading, tally: Tally
) -> Iterator[Labelled]:
    """Yield labelled frames as they are, and atoms of ASE as such, whose species are counted."""
    for number, frame in enumerate(given):
        if isinstance(frame, Labelled):
            yield frame
        else:
            [counted] = tally.watch([frame_of(frame, f"structure {number}", reading)])
            yield counted.require_labelled()
