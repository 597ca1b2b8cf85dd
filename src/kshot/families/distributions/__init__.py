"""p(τ): samplers over families, readers of CATH, SCOP and cluster files, and disjoint splits."""

from kshot.core.registry import Registry
from kshot.families.distributions.cath import (
    read_cath_boundaries,
    read_cath_domains,
    read_cath_names,
)
from kshot.families.distributions.clusters import in_clusters, read_pdb_clusters
from kshot.families.distributions.distribution import Distribution
from kshot.families.distributions.domains import Domain, classify
from kshot.families.distributions.mmseqs import cluster_fasta, leaking_pairs, similar_pairs
from kshot.families.distributions.neighbours import Likeness, likeness, near_neighbours
from kshot.families.distributions.relations import (
    Edge,
    near_duplicate_members,
    same_label,
    same_molecule,
    same_tag,
)
from kshot.families.distributions.scop import read_scop
from kshot.families.distributions.split import Split, leaks, split_families

distributions = Registry(
    "distribution",
    {
        "uniform": "kshot.families.distributions.samplers:uniform",
        "by_class": "kshot.families.distributions.samplers:by_class",
        "one_per_cluster": "kshot.families.distributions.samplers:one_per_cluster",
        "by_chemistry": "kshot.families.distributions.samplers:by_chemistry",
        "by_tag": "kshot.families.distributions.samplers:by_tag",
    },
)

__all__ = [
    "Distribution",
    "Domain",
    "Edge",
    "Likeness",
    "Split",
    "classify",
    "cluster_fasta",
    "distributions",
    "in_clusters",
    "leaking_pairs",
    "leaks",
    "likeness",
    "near_duplicate_members",
    "near_neighbours",
    "read_cath_boundaries",
    "read_cath_domains",
    "read_cath_names",
    "read_pdb_clusters",
    "read_scop",
    "same_label",
    "same_molecule",
    "same_tag",
    "similar_pairs",
    "split_families",
]
