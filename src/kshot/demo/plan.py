"""What the demo does: which molecule, which start, which engine, how many labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from kshot.core.errors import InputError

FALLBACK = "bio-small"


class Plan(NamedTuple):
    """What is done.

    Args:
        engine: what labels; see ``kshot label --help``.
        start: what is adapted.
        family: whose first member is the molecule; see ``kshot families list``.
        budget: labels to pay for.
        test_frames: labels of another trajectory, which nothing is fitted to.
    """

    engine: str
    start: str
    family: str
    budget: int
    test_frames: int


PLANS = {
    "dft": Plan("pyscf:wb97x-d3bj/def2-svp", "so3lr", "side-chain-asn", 10, 6),
    "gfn2": Plan("gfn2", FALLBACK, "uracil", 30, 20),
}
"""A foundation model and ten labels of DFT; kshot's own start and labels of a fast engine.

A start of a DFT level adapted to GFN2 would be a step backwards, so each has its own engine.
"""


def with_start(plan: Plan, say: Callable[[str], None]) -> Plan:
    """Return the plan with a start that is here: fetched, or else the one that kshot ships."""
    from kshot.potentials.fetching import fetch_start
    from kshot.potentials.model_starts import GETTABLE, fetched

    if plan.start not in GETTABLE or plan.start in fetched():
        return plan
    say(f"fetching the start `{plan.start}` from the package index, by its hash")
    try:
        fetch_start(plan.start)
    except InputError as error:
        say(f"`{plan.start}` cannot be had, so the shipped `{FALLBACK}` is adapted: {error}")
        return plan._replace(start=FALLBACK)
    return plan


def standing(record: Mapping[str, Any], family: str) -> str:
    """Say what a start, by its own record, has to do with a family."""
    lists = record.get("config", {}).get("families", {})
    if family in record.get("families", ()):
        return "the start was trained on this family: its errors flatter"
    if family in lists.get("validation", ()):
        return "the start was not trained on this family, but its prior was learned on it"
    if family in (*lists.get("held_out", ()), *lists.get("relatives", ())):
        return "held out when the start was trained; families alike may have been in training"
    return "the start's record does not name this family"
