"""Near neighbours: families too alike to be tested on after training on the other."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from kshot.atoms import Structure
from kshot.families import Family, Member, load_catalogue
from kshot.families.catalogue.load import find_family
from kshot.families.distributions import leaks, likeness, near_neighbours, split_families
from kshot.families.distributions.heavy_atoms import (
    HeavyGraph,
    fewest_edits,
    heavy_graph,
    metal_ligands,
    shared_part,
)
from kshot.families.distributions.relations import same_molecule

NOWHERE = Structure(np.array([6]), np.zeros((1, 3)))
AUDIT = {  # tested: what trained beside it in the first edition of the study
    "dipeptide-ser": ["dipeptide-thr"],
    "uracil": ["uridine", "pseudouridine", "thymidine", "cytosine", "thiouracil"],
    "side-chain-tyr": ["dopa-model", "nitrotyrosine", "sulfotyrosine"],
    "dipeptide-met": ["met-sulfoxide", "met-sulfone"],
    "sulfonamide": ["sulfonyl-fluoride"],
    "zn-cys2-his2": ["zn-cys-his3", "zn-cys4", "zn-cys2-his-water"],
}


@pytest.fixture(scope="module")
def catalogue():
    return load_catalogue()


def family(name, *smiles):
    members = tuple(Member(f"m{i}", NOWHERE, text) for i, text in enumerate(smiles))
    return Family(name, "drug-fragment", members)


def graph(smiles):
    return heavy_graph(Member("m", NOWHERE, smiles))


@pytest.mark.parametrize(("tested", "training"), AUDIT.items())
def test_pairs_that_an_audit_named_are_near(catalogue, tested, training):
    families = [find_family(name, catalogue) for name in training]
    found = likeness(find_family(tested, catalogue), families)
    assert {each.family for each in found if each.near} == set(training)
    assert all(each.why for each in found)


def test_penam_is_like_nothing_it_was_tested_beside(catalogue):
    names = ["thiomorpholine", "dipeptide-pro", "azetidine", "biotin", "cysteine"]
    known = {each.name for each in catalogue}
    families = [find_family(name, catalogue) for name in names if name in known]
    assert len(families) > 2
    assert not any(each.near for each in likeness(find_family("penam", catalogue), families))


def test_coverage_is_that_of_the_tested_molecule():
    benzene, drug = family("benzene", "c1ccccc1"), family("drug", "Clc1cccc(Cl)c1NC1=NCCN1")
    [of_drug], [of_benzene] = likeness(drug, [benzene], 0.1), likeness(benzene, [drug])
    assert not of_drug.near
    assert of_drug.coverage == pytest.approx(6 / 14)
    assert of_benzene.near
    assert of_benzene.coverage == 1


def test_relation_asks_both_ways_and_serves_a_split(catalogue):
    names = ["uracil", "uridine", "sulfonamide", "sulfonyl-fluoride", "penam", "isocyanate"]
    families = [find_family(name, catalogue) for name in names]
    pairs = {frozenset(edge[:2]) for edge in near_neighbours(families)}
    assert pairs == {frozenset(names[:2]), frozenset(names[2:4])}
    apart = split_families(families, seed=1, relations=[near_neighbours])
    assert not leaks(families, apart, [near_neighbours])
    blind = [split_families(families, seed=s, relations=[same_molecule]) for s in range(5)]
    assert any(leaks(families, split, [near_neighbours]) for split in blind)


def test_a_ring_is_shared_whole_or_not_at_all():
    assert shared_part(graph("C1CCCCC1"), graph("CCCCCC")).atoms < 2
    assert shared_part(graph("c1ccccc1C"), graph("C1CCCCC1C")).atoms == 7  # bond orders aside


def test_a_search_that_is_cut_short_counts_as_near(monkeypatch):
    from rdkit.Chem import rdFMCS

    cut_short = SimpleNamespace(canceled=True, numAtoms=1)
    monkeypatch.setattr(rdFMCS, "FindMCS", lambda *_, **__: cut_short)
    [cut] = likeness(family("a", "CCOC(=O)CCN1CC1"), [family("b", "CC1(CCNOCC)CC1=O")])
    assert cut.timed_out
    assert cut.near
    assert "cut short" in cut.why


def test_metal_ligand_pairs_come_from_smiles_and_from_distances(catalogue):
    site = find_family("zn-cys2-his2", catalogue).members[0]
    assert not site.smiles
    assert metal_ligands(heavy_graph(site)) == {"Zn–S(C)", "Zn–N(CC)"}
    assert metal_ligands(graph("CP1(C)=S->[Zn]2(<-S=P(C)(C)S2)S1")) == {"Zn–S(P)"}
    other = find_family("zn-cys4", catalogue).members[0]
    assert metal_ligands(heavy_graph(other)) == {"Zn–S(C)"}


def brute_force(one, other):
    """The graph edit distance by every match of atoms to atoms or to nothing."""
    size = len(one.numbers) + len(other.numbers)
    best = size**2
    for image in itertools.permutations(range(size), len(one.numbers)):
        matched = {i: j for i, j in enumerate(image) if j < len(other.numbers)}
        cost = len(one.numbers) + len(other.numbers) - 2 * len(matched)
        cost += sum(one.numbers[i] != other.numbers[j] for i, j in matched.items())
        bonds = {frozenset(pair) for pair in other.bonds}
        moved = {frozenset(matched.get(i, (i,)) for i in pair) for pair in one.bonds}
        best = min(best, cost + len(bonds ^ moved))
    return best


@pytest.mark.parametrize("seed", range(6))
def test_edits_are_those_of_a_search_without_bounds(seed):
    rng = np.random.default_rng(seed)

    def random_graph():
        n = int(rng.integers(2, 5))
        bonded = np.triu(rng.random((n, n)) < 0.5, 1)
        beside = tuple(frozenset(np.flatnonzero(row).tolist()) for row in bonded | bonded.T)
        return HeavyGraph(tuple(rng.choice([6, 7, 8], n).tolist()), beside)

    one, other = random_graph(), random_graph()
    exact = brute_force(one, other)
    assert fewest_edits(one, other, 12) == fewest_edits(other, one, 12) == exact
    assert fewest_edits(one, other, exact - 1) is None


def test_edits_count_atoms_elements_and_bonds():
    assert fewest_edits(graph("CCO"), graph("CCO"), 4) == 0
    assert fewest_edits(graph("CCO"), graph("CCN"), 4) == 1
    assert fewest_edits(graph("CCCC"), graph("C1CCC1"), 4) == 1
    assert fewest_edits(graph("CCO"), graph("CCOC"), 4) == 2
    assert fewest_edits(graph("CC"), graph("CCCCCC"), 4) is None


def test_hydrogens_charges_and_bond_orders_do_not_count():
    assert graph("CC(=O)[O-]") == graph("CC(O)O")
    assert graph("O").numbers == (8,)
