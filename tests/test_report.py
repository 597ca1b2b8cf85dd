"""Reports: one file, only what the record holds, all of it escaped."""

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kshot.core.errors import DataError
from kshot.report import check, page, write


def full() -> dict:
    rng = np.random.default_rng(0)
    energy, forces = rng.normal(-1500, 0.3, 60), rng.normal(0, 1.5, 1200)
    time = np.arange(0, 500, 5.0)
    return {
        "title": "imidazole, adapted from bio-small",
        "summary": "K = 20 labels of GFN2-xTB, 34 s.\nChosen: Gauss-Newton, 1.2 of 3.1 kcal/mol.",
        "methods": [
            {"name": "zero-shot + shift", "energy_meV": 137.0, "force_meV_per_A": 436.0,
             "baseline": True},
            {"name": "fine-tune", "energy_meV": 72.0, "force_meV_per_A": 197.0, "baseline": True},
            {"name": "Gauss-Newton", "energy_meV": 46.0, "energy_meV_low": 31.0,
             "energy_meV_high": 78.0, "force_meV_per_A": 164.0, "chosen": True},
            {"name": "Meta-SGD", "energy_meV": None, "force_meV_per_A": 210.0},
        ],
        "curve": [
            {"K": 5, "energy_meV": 110.0, "force_meV_per_A": 300.0, "extrapolated": False},
            {"K": 20, "energy_meV": 46.0, "force_meV_per_A": 164.0, "extrapolated": False},
            {"K": 40, "energy_meV": 33.0, "force_meV_per_A": 120.0, "extrapolated": True},
        ],
        "parity": {
            "energy": {"label": list(energy), "kshot": list(energy + rng.normal(0, 0.04, 60))},
            "forces": {"label": list(forces), "kshot": list(forces + rng.normal(0, 0.15, 1200)),
                       "start": list(forces + rng.normal(0, 0.4, 1200))},
        },
        "forgetting": {"before": {"energy_meV": 31.0, "force_meV_per_A": 95.0},
                       "after": {"energy_meV": 35.5, "force_meV_per_A": 101.0}},
        "md": {"time_fs": list(time), "energy_eV": list(-1500 + 1e-3 * np.sin(time / 9)),
               "temperature_K": list(300 + 40 * np.sin(time / 30))},
        "provenance": {"start": {"name": "bio-small", "sha256": "ab" * 32}, "seeds": [0, 1]},
    }  # fmt: skip


class Loose(HTMLParser):
    """Collects tags, and whatever a page would load."""

    def __init__(self):
        super().__init__()
        self.tags, self.loads, self.open = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in {"meta", "br"}:
            self.open.append(tag)
        attributes = dict(attrs)
        for name in ("src", "href", "xlink:href", "action"):
            if not (attributes.get(name) or "#").startswith("#"):
                self.loads.append(attributes[name])

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def parsed(text: str) -> Loose:
    parser = Loose()
    parser.feed(text)
    parser.close()
    assert parser.open == []
    return parser


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> str:
    """The page of the full record."""
    folder = tmp_path_factory.mktemp("report") / "new"
    write(folder / "report.html", full())
    assert [path.name for path in folder.iterdir()] == ["report.html"]
    return (folder / "report.html").read_text(encoding="utf-8")


def test_a_whole_record_has_every_section_and_loads_nothing(whole):
    text, found = whole, parsed(whole)
    assert found.loads == []
    assert found.tags.count("section") == 6
    assert found.tags.count("svg") == 4
    assert "script" not in found.tags
    assert "@import" not in text
    assert len(text) < 1_500_000
    for words in (
        "bio-small",
        "Gauss-Newton",
        "chosen",
        "RMSE 0.0",
        "before",
        ", less -1",
        "seeds",
    ):
        assert words in text


def test_numbers_are_printed_and_not_made_up():
    text = page({"methods": full()["methods"]})
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", text)
    assert cells[:4] == ["zero-shot + shift", "137", "436", "baseline"]
    assert cells[8:11] == ["Gauss-Newton", "46 (31–78)", "164"]
    assert cells[12:15] == ["Meta-SGD", "–", "210"]


def test_figures_are_well_formed_and_share_no_names(whole):
    figures = re.findall(r"<svg.*?</svg>", whole, flags=re.S)
    ids = [set(re.findall(r'\bid="([^"]+)"', figure)) for figure in figures]
    for figure, own in zip(figures, ids, strict=True):
        ET.fromstring(figure)
        assert set(re.findall(r'(?:href="|url\()#([^")]+)', figure)) <= own
    assert sum(map(len, ids)) == len(set().union(*ids))


def test_equal_records_make_equal_pages(whole):
    assert page(full()) == whole


@pytest.mark.parametrize("key", full())
def test_every_key_is_optional(key):
    alone = parsed(page({key: full()[key]}))
    assert alone.tags.count("section") == (key not in {"title", "summary"})


def test_an_empty_record_is_a_page_with_a_title():
    assert parsed(page({})).tags.count("section") == 0
    empty = {"methods": [], "curve": [], "parity": {}, "forgetting": {}, "md": {"time_fs": []},
             "provenance": {}}  # fmt: skip
    assert parsed(page(empty)).tags.count("svg") == 0
    hollow = {"parity": {"energy": {"label": [], "kshot": []}}}
    assert parsed(page(hollow)).tags.count("svg") == 1


def test_what_is_missing_or_infinite_is_left_out():
    nan, inf = float("nan"), float("inf")
    record = {
        "methods": [{"name": "a", "energy_meV": inf, "force_meV_per_A": nan}, {"name": "b"}],
        "parity": {"forces": {"label": [nan, 1.0], "kshot": [1.0, inf]}},
        "md": {"time_fs": [0.0, 1.0], "energy_eV": [nan, None]},
        "forgetting": {"before": {"forces (meV/Å)": None}, "after": {"forces (meV/Å)": 3.0}},
    }
    text = page(record)
    assert "inf" not in re.sub(r"<svg.*?</svg>", "", text, flags=re.S)
    assert '<td>forces (meV/Å)</td><td class="number">–</td>' in text


def test_everything_wrong_is_said_at_once():
    wrong = {
        "titel": "x",
        "summary": 3,
        "methods": [{"energy_meV": "low", "chosen": 1}],
        "parity": {"energy": {"kshot": [1.0]}, "forces": {"label": [1.0], "kshot": [1.0, 2.0]}},
        "md": {"time_fs": [0.0], "pressure": [1.0]},
        "curve": {},
        "provenance": "me",
    }
    with pytest.raises(DataError) as caught:
        check(wrong)
    for words in (
        "titel: unknown, did you mean title?",
        "summary: int, not text",
        "methods[0].energy_meV: str, not a number",
        "methods[0].chosen: int, not true or false",
        "methods[0].name: missing",
        "parity.energy.label: missing",
        "equally long",
        "md.pressure: unknown",
        "curve: dict, not a list",
        "provenance: str, not a dict",
    ):
        assert words in str(caught.value)


@settings(max_examples=20, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40))
def test_all_text_is_escaped(text):
    nasty = f"<script>alert(1)</script>&\"'{text}"
    record = {"title": nasty, "summary": nasty, "provenance": {nasty: [nasty]},
              "forgetting": {"before": {nasty: 1.0}}}  # fmt: skip
    assert "script" not in parsed(page(record)).tags


def test_text_in_figures_is_escaped_and_no_mathematics():
    nasty = "<script>x</script> $\\frac{ & _^ %"
    record = {
        "methods": [{"name": nasty, "energy_meV": 1.0}],
        "parity": {"energy": {"label": [1.0, 2.0], nasty: [1.0, 2.0]}},
    }
    text = page(record)
    assert "script" not in parsed(text).tags
    for figure in re.findall(r"<svg.*?</svg>", text, flags=re.S):
        ET.fromstring(figure)


def test_a_refused_record_writes_nothing(tmp_path):
    with pytest.raises(DataError):
        write(tmp_path / "report.html", {"unknown": 1})
    assert list(tmp_path.iterdir()) == []
