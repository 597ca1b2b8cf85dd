"""Reports: a record of what was done, as one HTML file that needs nothing else.

Nothing is computed here: figures draw the numbers of the record, tables print them.
"""

from kshot.report.page import page, write
from kshot.report.record import check

__all__ = ["check", "page", "write"]
