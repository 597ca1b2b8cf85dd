"""Stored labels as an engine: for published data, and for runs that must come out the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kshot.atoms import Failure, Fingerprint, Labeler, Labels, Structure
from kshot.atoms.files import read_labelled
from kshot.core.errors import InputError
from kshot.core.manifest import sha256


class Replay(Labeler):
    """Gives back what a file holds; see `replay`."""

    def __init__(self, labels: dict[str, Labels], fingerprint: Fingerprint) -> None:
        """Keep the labels by the key of their structure."""
        self._labels, self._fingerprint = labels, fingerprint

    @property
    def fingerprint(self) -> Fingerprint:
        """That of the labels where the file says it, else one made from the file's content."""
        return self._fingerprint

    def label(self, structure: Structure) -> Labels | Failure:
        """Return the stored label of a structure: same atoms, charge, spin and place to 1e-8 Å."""
        if not np.isfinite(structure.positions).all():
            return Failure("refused", "positions that are not finite")
        if structure.key in self._labels:
            return self._labels[structure.key]
        return Failure("refused", f"no stored label of this structure ({structure.key[:8]})")


def replay(path: str | Path = "", *, fingerprint: str = "") -> Replay:
    """Return the labels of a file as an engine.

    Args:
        path: any file that `kshot.atoms.files.read_labelled` reads, such as ``labels.extxyz``.
        fingerprint: digest of the level of theory to give, where the file holds several.

    Raises:
        InputError: the file holds several levels of theory and none was chosen, or two different
            labels of one structure.
    """
    if not str(path):
        raise InputError("replay:FILE", "no file", "Name a file with labels.")
    path = Path(path)
    frames = list(read_labelled(path))
    unnamed = Fingerprint("replay", sha256(path)[:12], path.stem)
    levels = {
        level.digest: level for _, labels in frames for level in [labels.fingerprint or unnamed]
    }
    chosen = _choose(path, levels, fingerprint)
    found: dict[str, Labels] = {}
    for structure, labels in frames:
        level = labels.fingerprint or unnamed
        if level.digest != chosen.digest:
            continue
        known = found.get(structure.key)
        if known is not None and abs(known.energy - labels.energy) > 1e-9:
            raise InputError(
                "one label of each structure",
                f"{path}: {known.energy} and {labels.energy} eV for {structure.key[:8]}",
                "Remove one of the frames.",
            )
        found[structure.key] = Labels(labels.energy, labels.forces, labels.stress, chosen)
    return Replay(found, chosen)


def _choose(path: Path, levels: dict[str, Fingerprint], digest: str) -> Fingerprint:
    if digest in levels:
        return levels[digest]
    if len(levels) == 1 and not digest:
        return next(iter(levels.values()))
    known = "; ".join(f"{name}: {level}" for name, level in levels.items()) or "none"
    raise InputError(
        f"the level of theory {digest!r}" if digest else "one level of theory",
        f"{path} with {known}",
        "Choose one: labeler('replay:FILE', fingerprint=DIGEST).",
    )


def example_replay() -> Replay:
    """Return the instance the contract tests run: the analytic engine's labels of its examples."""
    from kshot.labelers.analytic import analytic
    from kshot.labelers.examples import displaced, water

    engine = analytic()
    structures = [water(), *displaced(water())]
    labels = {structure.key: engine.label(structure) for structure in structures}
    stored = {key: found for key, found in labels.items() if isinstance(found, Labels)}
    return Replay(stored, engine.fingerprint)
