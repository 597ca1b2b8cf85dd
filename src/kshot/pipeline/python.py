"""Adaptation from Python: `kshot.adapt`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from kshot.atoms import Labelled
from kshot.core.cache import kept_rows_folder, use_compile_cache
from kshot.fewshot.adapt import Adapted
from kshot.fewshot.adapt import adapt as adapt_model
from kshot.pipeline.preflight import check_labels, check_structures
from kshot.pipeline.seen import remembered, seen_in
from kshot.potentials.model import Model
from kshot.potentials.model_file import load
from kshot.potentials.model_starts import start_path


def adapt(
    start: Model | Path | str,
    labelled: Sequence[Labelled],
    *,
    methods: Sequence[str] | None = None,
    keep: float = 1.0,
    seed: int = 0,
    allow: Collection[str] = (),
) -> Adapted:
    """Adapt a start to K labelled structures, by the method that does best inside them.

    Args:
        start: a model, its file, or the name of a shipped start (``"bio-small"``).
        labelled: the K: structures with energies in eV and forces in eV/Å.
        methods: names in `kshot.fewshot.methods.EVERY` to choose among, those of
            `kshot.fewshot.methods.usual` if None; ``"finetune"``, which takes minutes, only if it
            is named.
        keep: how strongly other chemistry is held; 0 lets it be forgotten.
        seed: of folds and directions.
        allow: what the start has not seen and is let through: charges, multiplicities, elements;
            labels of several levels, or that look to be in other units: levels, units.

    Raises:
        InputError: labels or structures that cannot be adapted to; nothing was computed yet.
    """
    use_compile_cache()
    model = start if isinstance(start, Model) else load(start_path(start))
    check_structures(model, [one.structure for one in labelled], allow)
    check_labels(model, labelled, allow)
    found = adapt_model(
        model, labelled, methods=methods, keep=keep, seed=seed, cache=kept_rows_folder()
    )
    seen = model.seen.joined(seen_in(labelled))
    record = {**model.record, **remembered(model, labelled)}
    return found.with_model(found.model.with_(seen=seen, record=record))
