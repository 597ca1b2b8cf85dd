"""Families p(τ): the catalogue, fragments of proteins, samplers of configurations, and splits."""

from kshot.families.family import Family, Member

__all__ = ["Family", "Member"]
