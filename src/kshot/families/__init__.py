"""Families p(τ): the catalogue, fragments of proteins, samplers of configurations, and splits.

The subpackages `distributions`, `proteins` and `samplers` are imported when they are first used.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

from kshot.families.catalogue import find_family, load_catalogue
from kshot.families.catalogue.select import elements_of, select
from kshot.families.coverage import Coverage, coverage, coverage_table
from kshot.families.family import Family, Member

if TYPE_CHECKING:
    from kshot.families import distributions, proteins, samplers

__all__ = [
    "Coverage",
    "Family",
    "Member",
    "coverage",
    "coverage_table",
    "distributions",
    "elements_of",
    "find_family",
    "load_catalogue",
    "proteins",
    "samplers",
    "select",
]


def __getattr__(name: str) -> ModuleType:
    """Import a subpackage."""
    if name in __all__:
        return importlib.import_module(f"kshot.families.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
