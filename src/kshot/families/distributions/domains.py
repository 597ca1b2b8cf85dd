"""Domains of proteins in a classification: what CATH and SCOP have in common, and lookups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kshot.core.errors import InputError
from kshot.families.family import Family


@dataclass(frozen=True)
class Domain:
    """One domain and its place in a classification.

    Args:
        name: in the classification, such as ``1oaiA00`` or ``d1cs4a_``.
        entry: PDB code in lower case.
        chains: the chains it lies in; empty if in all of them.
        codes: its node at each level, by the level's name; a node's code starts with that of the
            node above it, so that codes of different branches never agree.
        region: the residues, as the file writes them; empty for the whole chain.
    """

    name: str
    entry: str
    chains: tuple[str, ...]
    codes: Mapping[str, str] = field(default_factory=dict)
    region: str = ""


Labels = Mapping[str, frozenset[str]]
"""Classes or clusters of each family, by the family's name."""


def lines_of(path: str | Path, what: str) -> list[tuple[int, str]]:
    """Return the numbered lines of a text file that are neither empty nor comments.

    Raises:
        InputError: it cannot be read, or has no such line.
    """
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(what, f"{path}: {error.strerror}", "Check the path.") from error
    lines = [
        (n, line.strip())
        for n, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not lines:
        raise InputError(what, f"{path}, which has no entries", "Fetch it again.")
    return lines


def bad_line(what: str, path: str | Path, number: int, line: str) -> InputError:
    """Return the error that names a line which is not of the format."""
    shown = line if len(line) < 80 else line[:77] + "…"
    return InputError(what, f"{path}, line {number}: {shown!r}", "Is it that file, and whole?")


def classify(families: Sequence[Family], domains: Iterable[Domain], level: str) -> Labels:
    """Return the nodes of a level in which each family lies.

    Families are found by their tags ``pdb`` and, where they have it, ``chains`` (or ``chain``):
    names separated by spaces. A family cut from several domains has several nodes, a family that
    is in none of the domains has none.

    Args:
        families: any.
        domains: as read from a classification.
        level: one of the levels of these domains, such as ``topology``.

    Raises:
        InputError: the domains have no such level.
    """
    by_entry: dict[str, list[Domain]] = defaultdict(list)
    levels: set[str] = set()
    for domain in domains:
        by_entry[domain.entry].append(domain)
        levels |= set(domain.codes)
    if level not in levels:
        known = ", ".join(sorted(levels)) or "none"
        raise InputError(f"a level of the classification ({known})", repr(level), "Choose one.")
    return {
        family.name: frozenset(
            domain.codes[level]
            for domain in by_entry.get(family.tags.get("pdb", "").lower(), [])
            if level in domain.codes and _in_chains(family, domain)
        )
        for family in families
    }


def chains_of(family: Family) -> frozenset[str]:
    """Return the chains a family was cut from; empty if its tags do not tell."""
    return frozenset((family.tags.get("chains") or family.tags.get("chain") or "").split())


def _in_chains(family: Family, domain: Domain) -> bool:
    chains = chains_of(family)
    return not chains or not domain.chains or bool(chains & set(domain.chains))
