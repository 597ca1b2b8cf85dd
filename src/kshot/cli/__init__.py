"""The command line ``kshot``: one file per verb; none imports anything heavy at its top."""

from kshot.cli.main import app, main

__all__ = ["app", "main"]
