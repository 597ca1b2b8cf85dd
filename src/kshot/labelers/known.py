"""The engine that a fingerprint speaks of."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from kshot.atoms import Fingerprint, Labeler
from kshot.core.errors import InputError
from kshot.labelers.names import labeler

TIGHT_BINDING = {"GFN2-xTB": "gfn2", "GFN1-xTB": "gfn1"}


def engine_of(fingerprint: Fingerprint) -> Labeler:
    """Return the engine of a fingerprint with its settings, in the version installed here.

    Raises:
        InputError: no engine of kshot's is known by it, such as of imported labels.
    """
    program = fingerprint.program.partition(":")[0]
    if program not in _MAKERS:
        raise InputError(
            f"a program of {', '.join(_MAKERS)}",
            f"{fingerprint}",
            "Name the engine: --engine NAME.",
        )
    return _MAKERS[program](fingerprint)


def _tight_binding(fingerprint: Fingerprint) -> Labeler:
    settings: dict[str, Any] = dict(fingerprint.settings)
    return labeler(
        TIGHT_BINDING[fingerprint.method],
        accuracy=settings["accuracy"],
        temperature=settings["electronic temperature"],
        solvent=settings.get("alpb", ""),
    )


def _pyscf(fingerprint: Fingerprint) -> Labeler:
    settings: dict[str, Any] = dict(fingerprint.settings)
    grid = {"grid_level": settings["grid level"]} if "grid level" in settings else {}
    return labeler(
        f"pyscf:{fingerprint.method}/{fingerprint.basis}",
        density_fit=settings["density fitting"],
        tolerance=settings["tolerance"],
        **grid,
    )


def _ase(fingerprint: Fingerprint) -> Labeler:
    arguments: dict[str, Any] = json.loads(str(fingerprint.settings["arguments"]))
    return labeler(fingerprint.program, version=fingerprint.version, **arguments)


def _analytic(fingerprint: Fingerprint) -> Labeler:
    return labeler("analytic", **dict(fingerprint.settings))


_MAKERS: dict[str, Callable[[Fingerprint], Labeler]] = {
    "tblite": _tight_binding,
    "pyscf": _pyscf,
    "ase": _ase,
    "kshot": _analytic,
}
