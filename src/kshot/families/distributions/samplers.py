"""Ways to weight families: evenly, by class or fold, one per cluster, by chemistry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from kshot.atoms import Structure
from kshot.core.errors import InputError
from kshot.core.seeds import named_generator
from kshot.families.distributions.components import Components
from kshot.families.distributions.distribution import Distribution, weighted
from kshot.families.distributions.domains import Labels
from kshot.families.family import Family, Member

CHEMISTRY = ("modification", "cofactor", "metal")
"""Tags that make a stratum of their own, the first that a family has."""


def uniform(families: Sequence[Family]) -> Distribution:
    """Return the distribution in which every family is equally likely."""
    return weighted(families, {family.name: family.name for family in families})


def by_class(
    families: Sequence[Family], classes: Labels, weights: Mapping[str, float] | None = None
) -> Distribution:
    """Return the distribution that is stratified over classes or folds.

    Args:
        families: any; those in no class are left out.
        classes: nodes of CATH or SCOP that each family is in, from `classify`. A family in several
            makes a stratum with the others that are in the same ones, ``1.10+3.40``.
        weights: of strata; 1 for those not named.
    """
    strata = {name: "+".join(sorted(found)) for name, found in classes.items() if found}
    return weighted(families, strata, weights)


def one_per_cluster(families: Sequence[Family], clusters: Labels, seed: int = 0) -> Distribution:
    """Return the distribution over one representative of each cluster, drawn with a seed.

    Families that share a cluster, directly or through others, have one representative together:
    no two of those drawn are in the same cluster.

    Args:
        families: any; those in no cluster are left out.
        clusters: of each family, from `in_clusters`, or of sequences by `cluster_fasta`.
        seed: of the choice; it does not depend on the order of families.
    """
    by_name = {family.name: family for family in families if clusters.get(family.name)}
    groups = Components(by_name)
    first: dict[str, str] = {}
    for name in sorted(by_name):
        for cluster in clusters[name]:
            groups.join(first.setdefault(cluster, name), name)
    chosen = []
    for group in groups.groups():
        rng = named_generator(seed, f"representative of {group[0]}")
        chosen.append(by_name[group[int(rng.integers(len(group)))]])
    strata = {f.name: "+".join(sorted(clusters[f.name])) for f in chosen}
    return weighted(chosen, strata)


def by_chemistry(
    families: Sequence[Family],
    weights: Mapping[str, float] | None = None,
    tags: Sequence[str] = CHEMISTRY,
) -> Distribution:
    """Return the distribution stratified by chemistry.

    Args:
        families: any.
        weights: of strata, such as ``{"metal: zn": 3}``; 1 for those not named.
        tags: the first of these that a family has makes its stratum, ``metal: zn``; a family
            without any goes by its own stratum.
    """
    strata = {}
    for family in families:
        kinds = [f"{tag}: {family.tags[tag]}" for tag in tags if family.tags.get(tag)]
        strata[family.name] = kinds[0] if kinds else family.stratum
    return weighted(families, strata, weights)


def by_tag(
    families: Sequence[Family], tag: str, weights: Mapping[str, float] | None = None
) -> Distribution:
    """Return the distribution stratified by the values of one tag.

    Args:
        families: those without the tag are left out.
        tag: such as ``metal`` or ``cath``.
        weights: of its values; 1 for those not named.

    Raises:
        InputError: no family has the tag.
    """
    strata = {family.name: family.tags[tag] for family in families if tag in family.tags}
    if not strata:
        known = ", ".join(sorted({kind for family in families for kind in family.tags})) or "none"
        raise InputError(f"a tag of these families ({known})", repr(tag), "Choose one.")
    return weighted(families, strata, weights)


def _examples() -> tuple[Family, ...]:
    """Six families of one atom each, in three chemistries."""
    tags = [{"metal": "zn"}, {"metal": "zn"}, {"cofactor": "haem"}, {}, {}, {}]
    return tuple(
        Family(
            f"family-{k}",
            "side-chain",
            (Member("only", Structure(np.array([k + 2]), np.zeros((1, 3)))),),
            tag,
        )
        for k, tag in enumerate(tags)
    )


def example_uniform() -> Distribution:
    """Return the instance the contract tests run."""
    return uniform(_examples())


def example_by_class() -> Distribution:
    """Return the instance the contract tests run."""
    families = _examples()
    return by_class(families, {f.name: frozenset({str(k % 2)}) for k, f in enumerate(families)})


def example_one_per_cluster() -> Distribution:
    """Return the instance the contract tests run."""
    families = _examples()
    return one_per_cluster(
        families, {f.name: frozenset({str(k // 2)}) for k, f in enumerate(families)}
    )


def example_by_chemistry() -> Distribution:
    """Return the instance the contract tests run."""
    return by_chemistry(_examples(), {"metal: zn": 3.0})


def example_by_tag() -> Distribution:
    """Return the instance the contract tests run."""
    return by_tag(_examples(), "metal")
