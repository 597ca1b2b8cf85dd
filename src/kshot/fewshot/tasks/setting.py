"""Which labelled frames a task is about: a family, a temperature, isotopes, a level of theory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from kshot.atoms import Fingerprint, Labelled, Labels
from kshot.core.errors import TaskError
from kshot.families import Family
from kshot.families.samplers import isotopes_of
from kshot.labelers.ledger import Ledger

SAME_KELVIN = 1e-6


@dataclass(frozen=True)
class Setting:
    """What a task is about. Whatever is None is not asked for.

    Args:
        family: its name; frames carry it in ``structure.family``.
        temperature: at which the frames were sampled, in K.
        isotopes: as `kshot.families.samplers.isotopes_of` writes them, such as ``"2H:1,2"``; the
            empty text is the natural mixture.
        level: the level of theory: its method (``"GFN2-xTB"``), the twelve characters of its
            digest, or the whole of it as text (``Fingerprint.text``).
    """

    family: str | None = None
    temperature: float | None = None
    isotopes: str | None = None
    level: str | None = None

    def matches(self, frame: Labelled) -> bool:
        """Whether a frame belongs to it."""
        structure = frame.structure
        if self.family is not None and structure.family != self.family:
            return False
        if self.isotopes is not None and nuclei(frame) != self.isotopes:
            return False
        if self.level is not None and self.level not in _names(frame.labels.fingerprint):
            return False
        kelvin = temperature(frame)
        wanted = self.temperature
        return wanted is None or (kelvin is not None and abs(kelvin - wanted) < SAME_KELVIN)


def frames_of(
    source: Ledger | Iterable[Labelled], family: Family | str | None = None
) -> list[Labelled]:
    """Return the labelled frames of a family: of a ledger, those whose label did not fail.

    Args:
        source: a ledger, or labelled frames.
        family: a family or its name; all frames if None.
    """
    name = family.name if isinstance(family, Family) else family
    if isinstance(source, Ledger):
        rows = source.rows()
        pairs = ((row.structure, row.result) for row in rows)
        frames = [Labelled(s, r) for s, r in pairs if isinstance(r, Labels)]
    else:
        frames = list(source)
    return [frame for frame in frames if name is None or frame.structure.family == name]


def chosen_frames(frames: list[Labelled], setting: Setting) -> list[Labelled]:
    """Return the frames of a setting, all of one level of theory, each geometry once.

    Raises:
        TaskError: no frame matches, or several levels of theory do.
    """
    found = [frame for frame in frames if setting.matches(frame)]
    if not found:
        raise TaskError(f"frames of {_words(setting)}", _census(frames), "Sample and label them.")
    levels = Counter(
        "unknown" if f.labels.fingerprint is None else f"{f.labels.fingerprint}" for f in found
    )
    digests = {None if (p := f.labels.fingerprint) is None else p.digest for f in found}
    if len(digests) > 1:
        names = ", ".join(f"{count} × {name}" for name, count in levels.most_common())
        todo = "Their energies do not compare. Choose one: Setting(level=…) with method or digest."
        raise TaskError("labels of one level of theory", names, todo)
    for frame in found:
        if not (np.isfinite(frame.labels.energy) and np.isfinite(frame.labels.forces).all()):
            got = f"frame {frame.structure.key} with others"
            raise TaskError("finite energies and forces", got, "Remove or label it again.")
    return list({frame.structure.key: frame for frame in reversed(found)}.values())[::-1]


def temperature(frame: Labelled) -> float | None:
    """Return the temperature a frame was sampled at, in K; None if it does not say."""
    kelvin = frame.structure.info.get("temperature")
    return None if kelvin is None else float(kelvin)


def nuclei(frame: Labelled) -> str:
    """Return a frame's isotopes: from its ``info``, as a ledger keeps no masses, else from them."""
    return str(frame.structure.info.get("isotopes", isotopes_of(frame.structure)))


def _names(fingerprint: Fingerprint | None) -> set[str]:
    if fingerprint is None:
        return set()
    return {fingerprint.method, fingerprint.digest, fingerprint.text, str(fingerprint)}


def _words(setting: Setting) -> str:
    asked = {name: value for name, value in vars(setting).items() if value is not None}
    return ", ".join(f"{name} {value!r}" for name, value in asked.items()) or "any kind"


def _census(frames: list[Labelled]) -> str:
    """Say what there is instead."""
    if not frames:
        return "no frames at all"

    def few(values: set[str]) -> str:
        listed = sorted(values)
        return ", ".join(listed[:5]) + (" …" if len(listed) > 5 else "")

    families = few({frame.structure.family or "(no family)" for frame in frames})
    kelvins = few({f"{temperature(frame)}" for frame in frames})
    isotopes = few({nuclei(frame) or "natural" for frame in frames})
    levels = few({str(frame.labels.fingerprint) for frame in frames})
    return (
        f"{len(frames)} frames, of families {families}; temperatures {kelvins}; "
        f"isotopes {isotopes}; levels {levels}"
    )
