"""Samplers of families, and splits in which nothing alike stands on two sides."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kshot.atoms import Structure
from kshot.core.errors import InputError, UnknownNameError
from kshot.families import Family, Member
from kshot.families.distributions import (
    distributions,
    leaks,
    near_duplicate_members,
    same_label,
    same_molecule,
    same_tag,
    split_families,
)
from kshot.families.distributions.relations import Edge, molecule_key

SIDES = ("train", "validation", "test")


def family(name, molecule=0, cluster="", **tags):
    """A family of one chain molecule; `molecule` decides its atoms, and where they are."""
    rng = np.random.default_rng(molecule)
    n = 3 + molecule % 5
    positions = np.cumsum(rng.normal(size=(n, 3)) * 0.2 + [1.4, 0, 0], axis=0)
    structure = Structure(rng.choice([6, 7, 8], n), positions, charge=molecule % 2)
    tags |= {"cluster": cluster} if cluster else {}
    return Family(name, "side-chain", (Member("one", structure),), tags)


# Molecules and clusters of families: some share one, or the other, or both.
KINDS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=8, max_size=40)


def built(kinds):
    return [
        family(f"f{k:02d}", molecule, f"c{cluster}" if cluster < 20 else "")
        for k, (molecule, cluster) in enumerate(kinds)
    ]


def reachable(families, related):
    """Components by brute force, as sets of names: flood from each family."""
    found = []
    left = {f.name for f in families}
    by_name = {f.name: f for f in families}
    while left:
        group, edge = set(), {min(left)}
        while edge:
            group |= edge
            edge = {b for b in left - group for a in edge if related(by_name[a], by_name[b])}
        found.append(frozenset(group))
        left -= group
    return set(found)


KEYS = {}


def key(name, structure):
    if name not in KEYS:
        KEYS[name] = molecule_key(structure)
    return KEYS[name]


def alike(a, b):
    (x,), (y,) = a.members, b.members
    same = key(x.structure.key, x.structure) == key(y.structure.key, y.structure)
    clusters = a.tags.get("cluster"), b.tags.get("cluster")
    return same or (clusters[0] is not None and clusters[0] == clusters[1])


# --- splits --------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(KINDS, st.integers(0, 5))
def test_nothing_alike_stands_on_two_sides(kinds, seed):
    families = built(kinds)
    try:
        split = split_families(families, seed=seed)
    except InputError:
        assert len(reachable(families, alike)) < len(SIDES)
        return
    side = {name: s for s, names in split.sides.items() for name in names}
    assert sorted(side) == sorted(f.name for f in families)  # each on exactly one side
    assert sum(map(len, split.sides.values())) == len(families)
    for a, b in itertools.combinations(families, 2):
        if alike(a, b):
            assert side[a.name] == side[b.name]
    assert all(split.sides[s] for s in SIDES)
    assert {frozenset(c) for c in split.components} == reachable(families, alike)
    assert (
        leaks(families, split, (near_duplicate_members, same_molecule, same_tag("cluster"))) == []
    )


@settings(max_examples=30, deadline=None)
@given(KINDS, st.integers(0, 5), st.randoms(use_true_random=False))
def test_a_split_depends_on_the_set_and_the_seed_only(kinds, seed, random):
    families = built(kinds)
    mixed = list(families)
    random.shuffle(mixed)
    try:
        ours = split_families(families, seed=seed)
    except InputError:
        with pytest.raises(InputError):
            split_families(mixed, seed=seed)
        return
    assert split_families(mixed, seed=seed) == ours


@settings(max_examples=40, deadline=None)
@given(KINDS, st.data())
def test_held_out_families_pull_what_is_like_them(kinds, data):
    families = built(kinds)
    names = [f.name for f in families]
    held = data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=4, unique=True))
    try:
        split = split_families(families, held_out=held)
    except InputError:
        groups = reachable(families, alike)
        assert len([g for g in groups if not g & set(held)]) < len(SIDES) - 1
        return
    groups = [g for g in reachable(families, alike) if g & set(held)]
    assert set().union(*groups) <= set(split.sides["test"])
    assert set(split.pulled) == set().union(*groups) - set(held)


def joined(a, b, pairs):
    ends = int(a.name[1:]), int(b.name[1:])
    return ends in pairs or ends[::-1] in pairs


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=30))
@settings(max_examples=60, deadline=None)
def test_any_relation_is_honoured(pairs):
    """Also one of the user's own, as random edges."""
    families = [family(f"f{k:02d}", k) for k in range(20)]
    edges = [Edge(f"f{a:02d}", f"f{b:02d}", "a whim") for a, b in pairs if a != b]

    def whim(_):
        return edges

    try:
        split = split_families(families, {"train": 0.5, "test": 0.5}, relations=(whim,))
    except InputError:
        assert len(reachable(families, lambda a, b: joined(a, b, pairs))) == 1
        return
    assert all(split.side(edge.one) == split.side(edge.other) for edge in edges)
    assert leaks(families, split, (whim,)) == []


def test_near_duplicate_geometries_stay_together():
    base = family("a", 7)
    (member,) = base.members
    turned = member.structure.positions @ np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    rng = np.random.default_rng(0)
    moved = turned + rng.normal(size=turned.shape) * 1e-3
    copy = Member("one", member.structure.replace(positions=moved))
    families = [
        base,
        Family("z", "side-chain", (copy,)),
        *(family(f"m{k}", k) for k in range(8, 16)),
    ]
    for seed in range(12):
        split = split_families(families, seed=seed, relations=(near_duplicate_members,))
        assert split.side("a") == split.side("z")
    assert ("a", "z") in split.components


def test_a_conformer_is_the_same_molecule_and_an_ion_is_not():
    bent = np.array([[0.0, 0, 0], [1.5, 0, 0], [2.2, 1.3, 0], [3.7, 1.3, 0]])
    folded = np.array([[0.0, 0, 0], [1.5, 0, 0], [2.2, 1.3, 0], [1.7, 1.9, 1.3]])
    carbon = np.array([6, 6, 6, 8])
    one, other = (Structure(carbon, x) for x in (bent, folded))
    assert molecule_key(one) == molecule_key(other)
    assert molecule_key(one) != molecule_key(one.replace(charge=1))
    assert molecule_key(one) != molecule_key(Structure(np.array([6, 8, 6, 6]), bent))


def test_leaks_of_a_careless_split_are_found():
    families = [family(f"f{k}", k, cluster="x" if k < 2 else "") for k in range(6)]
    split = split_families(families, relations=())
    found = [
        leaks(families, split_families(families, relations=(), seed=s), (same_tag("cluster"),))
        for s in range(20)
    ]
    assert any(edges and edges[0].why == "the same cluster" for edges in found)
    assert len(split.components) == 6


def test_labels_of_a_classification_make_a_relation():
    families = [family(f"f{k}", k) for k in range(9)]
    folds = {f.name: frozenset({str(k // 2)}) for k, f in enumerate(families)}
    split = split_families(families, relations=(same_label(folds, "the same fold"),))
    assert ("f0", "f1") in split.components
    assert split.side("f4") == split.side("f5")


def test_fractions_are_met_as_well_as_components_allow():
    families = [family(f"f{k:03d}", k) for k in range(200)]
    split = split_families(families, {"train": 0.7, "test": 0.3}, relations=())
    assert len(split.sides["train"]) == pytest.approx(140, abs=1)
    other = split_families(families, {"train": 0.7, "test": 0.3}, relations=(), seed=1)
    assert other.sides != split.sides


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fractions": {"train": 0.5, "test": 0.4}}, "add up to 1"),
        ({"fractions": {"train": 1.5, "test": -0.5}}, "add up to 1"),
        ({"held_out_side": "exam"}, "'exam'"),
        ({"relations": (same_tag("pdb"),)}, "1 of them, the largest with 4"),
    ],
)
def test_what_cannot_be_split_is_said(options, words):
    families = [family(f"f{k}", k, pdb="1abc") for k in range(4)]
    with pytest.raises(InputError, match=words):
        split_families(families, **options)


def test_names_are_checked():
    families = [family("alanine"), family("glycine", 1), family("serine", 2)]
    with pytest.raises(UnknownNameError, match="Did you mean 'glycine'"):
        split_families(families, held_out=["glycin"])
    with pytest.raises(InputError, match="'alanine' twice"):
        split_families([*families, family("alanine")])


# --- samplers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(distributions))
def test_contract(name):
    """Whatever is registered is seeded, normalised, and draws by its weights."""
    found = distributions.example(name)
    assert found.weights.sum() == pytest.approx(1)
    assert (found.weights > 0).all()
    assert len(found.families) == len(found.strata) == len({f.name for f in found.families})
    first, again = (found.sample(50, seed=3, step=7) for _ in range(2))
    assert [f.name for f in first] == [f.name for f in again]
    assert [f.name for f in first] != [f.name for f in found.sample(50, seed=3, step=8)]
    counts = {f.name: 0 for f in found.families}
    for drawn in found.sample(4000, seed=1):
        counts[drawn.name] += 1
    shares = np.array(list(counts.values())) / 4000
    assert shares == pytest.approx(found.weights, abs=5 * np.sqrt(0.25 / 4000))


def test_strata_are_drawn_evenly_whatever_their_size():
    families = [family(f"f{k}", k) for k in range(10)]
    classes = {f.name: frozenset({"1" if k < 9 else "2"}) for k, f in enumerate(families)}
    found = distributions.get("by_class")(families, classes)
    assert found.share() == pytest.approx({"1": 0.5, "2": 0.5})
    found = distributions.get("by_class")(families, classes, {"2": 3.0})
    assert found.share() == pytest.approx({"1": 0.25, "2": 0.75})


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.sets(st.integers(0, 12), max_size=3), min_size=1, max_size=15), st.integers(0, 9)
)
def test_representatives_share_no_cluster(clusters, seed):
    families = [family(f"f{k:02d}", k) for k in range(len(clusters))]
    labels = {f.name: frozenset(map(str, c)) for f, c in zip(families, clusters, strict=True)}
    one_per_cluster = distributions.get("one_per_cluster")
    if not any(clusters):
        with pytest.raises(InputError):
            one_per_cluster(families, labels, seed)
        return
    found = one_per_cluster(families, labels, seed)
    for a, b in itertools.combinations(found.families, 2):
        assert not labels[a.name] & labels[b.name]
    reversed_order = one_per_cluster(families[::-1], labels, seed)
    assert {f.name for f in reversed_order.families} == {f.name for f in found.families}


def test_chemistry_goes_by_modification_cofactor_metal_then_stratum():
    families = [
        family("a", 0, metal="zn", cofactor="haem"),
        family("b", 1, metal="zn"),
        family("c", 2),
    ]
    found = distributions.get("by_chemistry")(families)
    assert dict(zip("abc", found.strata, strict=True)) == {
        "a": "cofactor: haem",
        "b": "metal: zn",
        "c": "side-chain",
    }
    with pytest.raises(InputError, match="'metal: fe'"):
        distributions.get("by_chemistry")(families, {"metal: fe": 2.0})
    with pytest.raises(InputError, match="zero up"):
        distributions.get("by_chemistry")(families, {"metal: zn": -1.0})


def test_a_distribution_on_one_side_of_a_split():
    families = [family(f"f{k}", k, metal="zn" if k % 2 else "mg") for k in range(12)]
    whole = distributions.get("by_tag")(families, "metal")
    split = split_families(families)
    train = whole.restrict(split.sides["train"])
    assert {f.name for f in train.sample(300)} <= set(split.sides["train"])
    assert train.weights.sum() == pytest.approx(1)
    with pytest.raises(InputError, match="none of them"):
        whole.restrict(["nobody"])
    with pytest.raises(InputError, match="'fold'"):
        distributions.get("by_tag")(families, "fold")
