"""Potentials as JSON, and back; only those kshot knows by name are ever made."""

from __future__ import annotations

import functools
import json
from dataclasses import asdict
from typing import Any

from kshot.atoms.elements import HEAVIEST
from kshot.core.errors import ModelFileError, OptionError
from kshot.core.kept_programs import check_once
from kshot.potentials import architectures, classical
from kshot.potentials.base import Potential
from kshot.potentials.networks import Network
from kshot.potentials.so3krates import Sizes, So3krates

NETWORKS = {
    "mace": architectures.MACE,
    "nequip": architectures.NEQUIP,
    "allegro": architectures.ALLEGRO,
    "visnet": architectures.VISNET,
    "esen": architectures.ESEN,
}
"""The networks a file may name, each also by its ``module:class``; nothing else is imported."""
PAIRS: dict[str, type[classical.Pair]] = {
    "lennard_jones": classical.LennardJones,
    "morse": classical.Morse,
    "harmonic": classical.Harmonic,
    "zbl": classical.ZBL,
}
LONGEST = 1e3  # Å, of a cutoff


def describe(potential: Potential) -> dict[str, Any]:
    """Return a potential as plain JSON values.

    Raises:
        OptionError: it is of a class that files do not know.
    """
    both = {"elements": list(potential.elements), "cutoff": float(potential.cutoff)}
    known = {one.network for one in NETWORKS.values()}
    if isinstance(potential, Network) and potential.architecture in known:
        own = {"architecture": potential.architecture, "config": potential.config}
        return {"kind": "network", **own, "neighbours": float(potential.neighbours), **both}
    if isinstance(potential, So3krates):
        return {"kind": "so3krates", "sizes": asdict(potential.sizes), **both}
    for name, kind in PAIRS.items():
        if type(potential) is kind:
            return {"kind": name, **both}
    if isinstance(potential, classical.Sum):
        return {"kind": "sum", "parts": [describe(part) for part in potential.parts], **both}
    todo = "Only registered potentials can be written to files."
    raise OptionError("a registered potential", type(potential).__name__, todo)


@functools.lru_cache(maxsize=64)
def about(potential: Potential) -> str | None:
    """Return all that tells a potential from others as text; None for someone else's class."""
    try:
        return json.dumps(describe(potential), sort_keys=True)
    except OptionError:
        return None


def rebuild(written: Any) -> Potential:  # noqa: ANN401 - JSON
    """Return the potential that `describe` described.

    Raises:
        ModelFileError: it is not such a description.
    """
    match written:
        case {"kind": "network", "architecture": str(name), "config": str(config), **rest}:
            return _network(name, config, rest)
        case {"kind": "so3krates", "sizes": sizes, **rest}:
            return _so3krates(sizes, rest)
        case {"kind": "sum", "parts": list(parts), **rest}:
            elements, cutoff = _both(rest)
            made = tuple(rebuild(part) for part in parts)
            return classical.Sum(parts=made, elements=elements, cutoff=cutoff)
        case {"kind": str(kind), **rest} if kind in PAIRS:
            elements, cutoff = _both(rest)
            return PAIRS[kind](elements=elements, cutoff=cutoff)
    raise _damaged("a potential that kshot knows", repr(written)[:80])


def _network(name: str, config: str, rest: dict[str, Any]) -> Network:
    known = [one.network for one in NETWORKS.values()]
    if name not in known:
        raise _damaged(f"one of the networks {', '.join(known)}", repr(name)[:80])
    elements, cutoff = _both(rest)
    neighbours = _number(rest.get("neighbours"), LONGEST**3)
    made = Network(
        architecture=name, config=config, elements=elements, cutoff=cutoff, neighbours=neighbours
    )
    try:
        # reads the configuration, and builds nothing; mlip alone takes seconds to import.
        check_once(json.dumps(describe(made)), lambda: made.network)
    except (ValueError, TypeError) as error:  # pydantic's own are ValueErrors
        words = str(error).splitlines()[0]
        raise _damaged("a configuration of the network", f"{words} in {config[:60]}") from error
    return made


def _so3krates(sizes: Any, rest: dict[str, Any]) -> So3krates:  # noqa: ANN401 - JSON
    elements, cutoff = _both(rest)
    try:
        return So3krates(elements, cutoff, Sizes.read(sizes))
    except OptionError as error:
        raise _damaged(error.expected, error.got) from error


def _both(rest: dict[str, Any]) -> tuple[tuple[int, ...], float]:
    found = rest.get("elements")
    if not isinstance(found, list) or not all(type(z) is int and 0 < z <= HEAVIEST for z in found):
        raise _damaged("atomic numbers", repr(found)[:60])
    if found != sorted(set(found)) or not found:
        raise _damaged("atomic numbers in ascending order", repr(found)[:60])
    return tuple(found), _number(rest.get("cutoff"), LONGEST)


def _number(found: Any, most: float) -> float:  # noqa: ANN401 - JSON
    if type(found) not in {int, float} or not 0 < found <= most:
        raise _damaged(f"a number between 0 and {most:g}", repr(found)[:60])
    return float(found)


def _damaged(expected: str, got: str) -> ModelFileError:
    return ModelFileError(expected, got, "The file is damaged or foreign: take a fresh copy.")
