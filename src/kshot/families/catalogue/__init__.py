"""The catalogue: chemistries of proteins, drugs, cofactors and metal sites, in strata.

`load_catalogue` reads families from the data files in ``data/``, and their reference geometries
and status from ``made/``. To add a family, add its lines to a data file; the rest of this package
builds, relaxes and examines it.
"""

from kshot.families.catalogue.build import build_entry
from kshot.families.catalogue.entries import Entry, FamilyEntry, Site, data_files, read_entries
from kshot.families.catalogue.load import find_entries, find_family, load_catalogue
from kshot.families.catalogue.molecules import build_molecule
from kshot.families.catalogue.select import elements_of, select
from kshot.families.catalogue.sites import build_site
from kshot.families.catalogue.store import Status, read_status, status_file

__all__ = [
    "Entry",
    "FamilyEntry",
    "Site",
    "Status",
    "build_entry",
    "build_molecule",
    "build_site",
    "data_files",
    "elements_of",
    "find_entries",
    "find_family",
    "load_catalogue",
    "read_entries",
    "read_status",
    "select",
    "status_file",
]
