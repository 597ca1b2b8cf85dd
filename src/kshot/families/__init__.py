"""Families p(τ): the catalogue, fragments of proteins, samplers of configurations, and splits."""

from kshot.families.catalogue import find_family, load_catalogue
from kshot.families.catalogue.select import elements_of, select
from kshot.families.coverage import Coverage, coverage, coverage_table
from kshot.families.family import Family, Member

__all__ = [
    "Coverage",
    "Family",
    "Member",
    "coverage",
    "coverage_table",
    "elements_of",
    "find_family",
    "load_catalogue",
    "select",
]
