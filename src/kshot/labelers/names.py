"""One string names an engine."""

from __future__ import annotations

from kshot.atoms import Labeler
from kshot.core.errors import InputError
from kshot.core.registry import Registry

labelers = Registry(
    "labeler",
    {
        "gfn2": "kshot.labelers.gfn:gfn2",
        "gfn1": "kshot.labelers.gfn:gfn1",
        "pyscf": "kshot.labelers.pyscf.engine:pyscf",
        "ase": "kshot.labelers.ase:ase",
        "replay": "kshot.labelers.replay:replay",
        "analytic": "kshot.labelers.analytic:analytic",
    },
    extras={"pyscf": "dft"},
)
"""Every engine, by name."""


def labeler(name: str, **settings: str | int | float | bool) -> Labeler:
    """Return an engine by its name.

    Args:
        name: ``"gfn2"``, ``"gfn1"``, ``"pyscf"``, ``"pyscf:METHOD/BASIS"``,
            ``"ase:package.module:Class"``, ``"replay:FILE"`` or ``"analytic"``.
        **settings: what the engine's own function takes, such as ``solvent="water"`` of
            `kshot.labelers.gfn.gfn2`.

    Raises:
        UnknownNameError: no such engine, method or basis; close names are suggested.
        MissingExtraError: its package is not installed; the message has the pip command.
        InputError: it does not take these settings.
    """
    kind, _, rest = name.partition(":")
    factory = labelers.get(kind)
    try:
        return factory(rest, **settings) if rest else factory(**settings)
    except TypeError as error:
        raise InputError(
            f"settings that {kind!r} takes",
            str(error),
            f"See the function {factory.__module__}.{factory.__qualname__}.",
        ) from error
