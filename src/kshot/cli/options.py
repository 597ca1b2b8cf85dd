"""Options that mean the same in every verb."""

from __future__ import annotations

from typing import Annotated

import typer

Force = Annotated[bool, typer.Option("--force", help="Replace outputs that are there.")]
