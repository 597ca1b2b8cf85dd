"""SCOP's published classifications: SCOPe and SCOP 1 (``dir.cla``), and SCOP 2 (``scop-cla``)."""

from __future__ import annotations

from pathlib import Path

from kshot.families.distributions.domains import Domain, bad_line, lines_of

WHAT = "a SCOP classification (dir.cla.scope.txt, or scop-cla-latest.txt)"
SCOPE_COLUMNS, SCOP2_COLUMNS = 6, 11
SCOP2_LEVELS = {"TP": "type", "CL": "class", "CF": "fold", "SF": "superfamily", "FA": "family"}
SUNID_LEVELS = {"dm": "protein", "sp": "species"}


def read_scop(path: str | Path) -> tuple[Domain, ...]:
    """Read a SCOP classification, of version 1 or SCOPe or of version 2; the lines tell which.

    SCOPe has six columns between tabs: sid, PDB code, region, sccs (``a.1.1.2``), sunid, and the
    sunids of all levels. SCOP 2 has eleven between spaces; its last one gives the nodes, and
    regions are those of the family domain.

    Returns:
        Domains with codes at the levels ``class``, ``fold``, ``superfamily``, ``family``; SCOPe
        also has ``protein`` and ``species``, SCOP 2 also has ``type``.
    """
    found = []
    for n, line in lines_of(path, WHAT):
        words = line.split("\t") if "\t" in line else line.split()
        try:
            if len(words) == SCOPE_COLUMNS:
                found.append(_scope(words))
            elif len(words) == SCOP2_COLUMNS:
                found.append(_scop2(words))
            else:
                raise bad_line(WHAT, path, n, line)
        except (ValueError, KeyError) as error:
            raise bad_line(WHAT, path, n, line) from error
    return tuple(found)


def _scope(words: list[str]) -> Domain:
    sid, entry, region, sccs, sunid, nodes = words
    parts = sccs.split(".")
    if len(parts) != 4 or not sunid.isdigit():
        raise ValueError(sccs)
    levels = ("class", "fold", "superfamily", "family")
    codes = {level: ".".join(parts[: k + 1]) for k, level in enumerate(levels)}
    sunids = dict(node.split("=") for node in nodes.split(","))
    codes |= {level: f"{sccs}/{sunids[key]}" for key, level in SUNID_LEVELS.items()}
    return Domain(sid, entry.lower(), _chains(region), codes, _stretches(region))


def _scop2(words: list[str]) -> Domain:
    name, entry, region, nodes = words[0], words[1], words[2], words[10]
    numbers = dict(node.split("=") for node in nodes.split(","))
    codes = {level: f"{key}={numbers[key]}" for key, level in SCOP2_LEVELS.items()}
    return Domain(name, entry.lower(), _chains(region), codes, _stretches(region))


def _chains(region: str) -> tuple[str, ...]:
    """``A:1-20,B:`` → A and B; ``1-20`` or ``-`` belong to a chain without a name."""
    found = {part.partition(":")[0] for part in region.split(",") if ":" in part}
    return tuple(sorted(found))


def _stretches(region: str) -> str:
    return "" if region == "-" or all(p.endswith(":") for p in region.split(",")) else region
