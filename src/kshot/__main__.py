"""``python -m kshot`` is the command line."""

from kshot.cli import main

main()
