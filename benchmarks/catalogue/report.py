"""The report of a run over the catalogue, from its files alone."""

import json
from collections import Counter

from kshot.atoms.files import read_labelled
from kshot.core.manifest import code_versions
from kshot.families import coverage
from kshot.families.coverage import HEADINGS, cells_of
from kshot.labelers import Ledger, labeler


def report(families, request, took):
    """Return Markdown: counts, coverage, what is marked in the catalogue, what failed now."""
    labelled = list(read_labelled(request.out))
    found = coverage(families, labelled)
    path = request.out.with_name(f"{request.out.name}.failures.json")
    failed = json.loads(path.read_text()) if path.exists() else []
    return "\n".join(
        [
            "# The catalogue, drawn and labelled",
            "",
            "Made by `python benchmarks/catalogue/run.py`; not to be edited.",
            "",
            *counts(found, request, labelled, failed, took),
            "",
            *table(HEADINGS, cells_of(found)),
            "",
            "Spread: median over scaffolds of the standard deviation of their energies. Marked:",
            "members that the catalogue's status says the engine does not do.",
            "",
            "Members by element: " + ", ".join(f"{k} {n}" for k, n in found.by_element.items()),
            "",
            "Members by charge: " + ", ".join(f"{k:+d} {n}" for k, n in found.by_charge.items()),
            "",
            "## Marked in the catalogue",
            "",
            *marked(families),
            "",
            "## Failures of this run",
            "",
            *failures(failed),
            "",
        ]
    )


def counts(found, request, labelled, failed, took):
    whole = found.whole
    by_sampler = Counter(f.structure.info["sampler"] for f in labelled)
    versions = code_versions(("kshot", "tblite", "rdkit", "ase", "numpy"))
    fingerprint = labeler(request.engine).fingerprint
    with Ledger(request.ledger, write=False) as ledger:
        cost = sum(row.cost for row in ledger.rows(fingerprint))
    asked = f"{request.n} configurations of each at {request.temperature:g} K, seed {request.seed}"
    done = f"{len(labelled)} labelled, {len(failed)} failures of {whole.members * request.n}"
    return [
        f"- {whole.families} families, {whole.members} members; {asked}",
        f"- {done}; by {fingerprint}, {dict(fingerprint.settings)}",
        "- drawn by: " + ", ".join(f"{name} {n}" for name, n in sorted(by_sampler.items())),
        f"- the labels cost {cost:.0f} s of CPU; the last run of the command took {took}",
        "- " + ", ".join(f"{name} {version}" for name, version in versions.items()),
    ]


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def marked(families):
    rows = [
        (family.name, member.name, member.status.get("gfn2", "not tried"))
        for family in families
        for member in family.members
        if member.status.get("gfn2") != "converges"
    ]
    return table(("family", "member", "GFN2"), rows) if rows else ["none"]


def failures(failed):
    counted = Counter(
        (f["family"], f["member"], f["stage"], f["reason"], f["detail"][:120]) for f in failed
    )
    rows = [(*key, str(count)) for key, count in counted.items()]
    head = ("family", "member", "stage", "reason", "in the words of the program", "times")
    return table(head, rows) if rows else ["none"]
