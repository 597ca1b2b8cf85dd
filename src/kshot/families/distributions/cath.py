"""CATH's published files: the domain list (CLF 2.0), names of nodes (CNF), boundaries (CDF)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from kshot.families.distributions.domains import Domain, bad_line, lines_of

LEVELS: Final = ("class", "architecture", "topology", "superfamily", "s35", "s60", "s95", "s100")
COLUMNS = 12
DOMAIN_NAME = 7  # characters: PDB code, chain, two digits


def read_cath_domains(path: str | Path) -> tuple[Domain, ...]:
    """Read ``cath-domain-list.txt`` (CATH List File, format 2.0).

    Twelve columns: name, the four numbers of C.A.T.H, the numbers of its S35, S60, S95 and S100
    clusters, a count, its length, and the resolution in Å (999 for NMR, 1000 for obsolete).

    Args:
        path: the file.

    Returns:
        One domain per line, with codes like ``1.10.8.10`` at the levels ``class``,
        ``architecture``, ``topology``, ``superfamily``, ``s35``, ``s60``, ``s95``, ``s100``.
    """
    what = "a CATH domain list (CLF 2.0: name and 11 numbers a line)"
    found = []
    for n, line in lines_of(path, what):
        words = line.split()
        numbers = words[1:9]
        whole = len(words) == COLUMNS and all(word.isdigit() for word in [*numbers, *words[9:11]])
        if not whole or len(words[0]) != DOMAIN_NAME or not _is_number(words[11]):
            raise bad_line(what, path, n, line)
        codes = {level: ".".join(numbers[: depth + 1]) for depth, level in enumerate(LEVELS)}
        found.append(Domain(words[0], words[0][:4].lower(), (words[0][4],), codes))
    return tuple(found)


def read_cath_names(path: str | Path) -> dict[str, str]:
    """Read ``cath-names.txt`` (CNF 2.0): node, a representative domain, and its name after a colon.

    Returns:
        The names of nodes, by code; nodes without a name are left out.
    """
    what = "CATH names (CNF 2.0: code, domain, :name)"
    found = {}
    for n, line in lines_of(path, what):
        words = line.split(maxsplit=2)
        if len(words) != 3 or not words[2].startswith(":"):
            raise bad_line(what, path, n, line)
        if words[2][1:].strip():
            found[words[0]] = words[2][1:].strip()
    return found


def read_cath_boundaries(path: str | Path) -> dict[str, str]:
    """Read ``cath-domain-boundaries.txt`` (CDF 2.0).

    Returns:
        The residues of each domain, by its name, such as ``A:2-87,A:146-243``.
    """
    what = "CATH domain boundaries (CDF 2.0: chain, Dnn, Fnn, segments)"
    found = {}
    for n, line in lines_of(path, what):
        words = line.split()
        try:
            found |= _segments(words)
        except (IndexError, ValueError) as error:
            raise bad_line(what, path, n, line) from error
    return found


def _segments(words: list[str]) -> dict[str, str]:
    chain, domains, fragments = words[:3]
    if domains[0] != "D" or fragments[0] != "F":
        raise ValueError(domains)
    count, at, found = int(domains[1:]), 3, {}
    for d in range(1, count + 1):
        pieces = []
        segments, at = int(words[at]), at + 1
        for _ in range(segments):
            first, low, low_code, last, high, high_code = words[at : at + 6]
            if first != last:
                raise ValueError(first)
            ends = [
                number + code.strip("-") for number, code in ((low, low_code), (high, high_code))
            ]
            pieces.append(f"{first}:{ends[0]}-{ends[1]}")
            at += 6
        # A whole chain that is one domain without fragments is numbered 00.
        whole = count == 1 and int(fragments[1:]) == 0
        found[f"{chain}{0 if whole else d:02d}"] = ",".join(pieces)
    return found


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
