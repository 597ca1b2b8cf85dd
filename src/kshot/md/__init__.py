"""Molecular dynamics with a model: settings, engines, guards, and runs that survive a kill."""

from kshot.md.guards import UnstableError
from kshot.md.run import Summary, run
from kshot.md.settings import Settings

__all__ = ["Settings", "Summary", "UnstableError", "run"]
