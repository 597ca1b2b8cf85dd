"""Model files: the same model back, bit for bit, and nothing else from broken or hostile ones."""

import hashlib
import io
import json
import random
import shutil
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest

from kshot.atoms import Labelled, Labels, Structure
from kshot.core.errors import KshotError, ModelFileError, OptionError, ParameterError
from kshot.potentials import EnergyForces, Potential, classical, frames, potentials
from kshot.potentials.model import Model, Seen
from kshot.potentials.model_archive import ARRAYS, JSON, pack, pack_arrays
from kshot.potentials.model_file import load, save
from kshot.potentials.model_starts import start_path, starts

E0S = {1: -13.6, 6: -1029.5, 7: -1485.25, 8: -2041.0 / 3}
SEEN = Seen((1, 6, 7, 8), (0, 1), (1, 2), ("{}",))
WATER = Structure(np.array([8, 1, 1]), np.array([[0.0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]]))
LEARNED = {
    "gauss_newton": {"log_precisions": [np.arange(3, dtype=np.float32), np.float32(0.5)]},
    "sgd": {"rate": np.asarray(0.1, np.float64), "none": None, "empty": {}},
}


def make(potential: Potential) -> Model:
    params = potential.init(jax.random.key(1))
    record = {"families": {"trained": ["a", "b/c"], "held out": []}, "errors": {"meV": 1.25}}
    return Model(potential, params, E0S, SEEN, LEARNED, record)


class Foreign(classical.Morse):
    """A potential that files do not know."""


@pytest.fixture
def morse() -> Model:
    return make(potentials.get("morse")((1, 6, 7, 8)))


def adapted(one: Model) -> Model:
    """One gradient step of the energy-force loss: what any inner rule does first."""
    rng = np.random.default_rng(3)
    labels = [
        Labelled(
            WATER.replace(positions=WATER.positions + rng.normal(0, 0.03, (3, 3))),
            Labels(
                sum(E0S[int(z)] for z in WATER.numbers) + rng.normal(), rng.normal(0, 1, (3, 3))
            ),
        )
        for _ in range(4)
    ]
    sums = [sum(E0S[int(z)] for z in WATER.numbers)] * 4
    loss = EnergyForces(one.potential)
    gradient = jax.jit(jax.grad(loss))(one.params, frames(labels, one.potential, sums=sums))
    moved = jax.tree.map(lambda p, g: p - np.float32(1e-3) * g, one.params, gradient)
    return one.with_(params=moved, e0s={**E0S, 8: -680.5}, record={"adapted": True})


def same(one: Model, other: Model) -> bool:
    [a], [b] = one.predict([WATER]), other.predict([WATER])
    return a.energy == b.energy and a.forces.tobytes() == b.forces.tobytes()


@pytest.mark.parametrize("name", ["morse", "lennard_jones", "harmonic", "zbl", "sum"])
def test_a_classical_model_comes_back_bit_for_bit(tmp_path, name):
    kind = potentials.get("morse" if name == "sum" else name)((1, 6, 7, 8))
    one = make(classical.with_repulsion(kind) if name == "sum" else kind)
    save(one, tmp_path / "a.kshot")
    back = load(tmp_path / "a.kshot")
    assert back.potential == one.potential
    assert back.e0s == one.e0s
    assert back.seen == one.seen
    assert back.record == one.record
    assert back.digest == one.digest
    assert jax.tree.structure(back.learned) == jax.tree.structure(one.learned)
    assert same(one, back)


@pytest.mark.parametrize("name", ["mace", "nequip", "allegro", "visnet", "esen"])
def test_a_network_comes_back_bit_for_bit(tmp_path, name, rng):
    potential = potentials.get(name)((1, 6, 7, 8), size="tiny", cutoff=4.25, neighbours=9.5)
    shapes = jax.eval_shape(potential.init, jax.random.key(0))
    params = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(leaf.dtype), shapes)
    one = Model(potential, params, E0S, SEEN)
    save(one, tmp_path / "a.kshot")
    back = load(tmp_path / "a.kshot")
    assert back.potential == one.potential
    assert jax.tree.structure(back.params) == jax.tree.structure(one.params)
    pairs = zip(jax.tree.leaves(back.params), jax.tree.leaves(one.params), strict=True)
    assert all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("name", ["morse", pytest.param("mace", marks=pytest.mark.slow)])
def test_save_load_adapt_save_gives_identical_energies(tmp_path, name, quick_compile):
    options = {"size": "tiny"} if name == "mace" else {}
    start = make(potentials.get(name)((1, 6, 7, 8), **options))
    save(start, tmp_path / "start.kshot")
    one = adapted(load(tmp_path / "start.kshot"))
    save(one, tmp_path / "whole.kshot")
    save(one, tmp_path / "delta.kshot", parent=tmp_path / "start.kshot")
    whole, delta = load(tmp_path / "whole.kshot"), load(tmp_path / "delta.kshot")
    assert same(one, whole)
    assert same(one, delta)
    assert not same(one, start)
    assert one.digest == whole.digest == delta.digest
    assert delta.record == {"adapted": True}
    assert save(delta, tmp_path / "again.kshot") == save(whole, tmp_path / "third.kshot")


def test_equal_models_make_equal_bytes_and_the_hash_is_the_files(tmp_path, morse):
    first = save(morse, tmp_path / "a.kshot")
    second = save(load(tmp_path / "a.kshot"), tmp_path / "b.kshot")
    assert first == second
    assert hashlib.sha256((tmp_path / "b.kshot").read_bytes()).hexdigest() == first


def test_a_delta_is_small_where_little_changed(tmp_path):
    rng = np.random.default_rng(0)
    params = {f"layer{i}": rng.normal(size=(50, 50)).astype(np.float32) for i in range(4)}
    start = make(potentials.get("morse")((1, 6, 7, 8))).with_(params=params)
    head = start.with_(params=params | {"layer3": params["layer3"] * np.float32(1.001)})
    every = start.with_(params={k: v * np.float32(1.001) for k, v in params.items()})
    save(start, tmp_path / "start.kshot")
    sizes = {}
    for name, one in {"head": head, "every": every, "same": start}.items():
        save(one, tmp_path / f"{name}.kshot", parent=start)
        sizes[name] = (tmp_path / f"{name}.kshot").stat().st_size
        assert load(tmp_path / f"{name}.kshot", start=start).digest == one.digest
    whole = (tmp_path / "start.kshot").stat().st_size
    assert sizes["same"] < 4000 < sizes["head"] < 0.35 * sizes["every"]
    assert sizes["every"] < 0.7 * whole


def test_a_delta_finds_its_start_beside_it_and_refuses_another(tmp_path, morse):
    save(morse, tmp_path / "start.kshot")
    save(adapted(morse), tmp_path / "delta.kshot", parent=tmp_path / "start.kshot")
    save(adapted(morse), tmp_path / "other.kshot")
    with pytest.raises(ModelFileError, match="only the start it was adapted from"):
        load(tmp_path / "delta.kshot", start=tmp_path / "other.kshot")
    with pytest.raises(ModelFileError, match="only the start it was adapted from"):
        load(tmp_path / "delta.kshot", start=adapted(morse))
    (tmp_path / "start.kshot").rename(tmp_path / "moved.kshot")
    with pytest.raises(ModelFileError, match=r"called 'start.kshot'"):
        load(tmp_path / "delta.kshot")
    moved = load(tmp_path / "delta.kshot", start=tmp_path / "moved.kshot")
    assert moved.digest == adapted(morse).digest


def test_new_shapes_and_leaves_go_into_a_delta_as_they_are(tmp_path, morse):
    one = morse.with_(
        params={**morse.params, "log_depth": np.ones(7, np.float32), "new": np.ones(2, np.int32)},
        learned={},
    )
    save(one, tmp_path / "delta.kshot", parent=morse)
    assert load(tmp_path / "delta.kshot", start=morse).digest == one.digest


def test_not_all_that_is_finite_in_a_file_survives_but_bits_do(tmp_path, morse):
    odd = np.array([np.nan, -0.0, np.inf, 1e-45], np.float32)
    one = morse.with_(params={**morse.params, "odd": odd})
    other = morse.with_(params={**morse.params, "odd": -odd})
    save(one, tmp_path / "a.kshot")
    save(other, tmp_path / "b.kshot", parent=one)
    assert load(tmp_path / "a.kshot").params["odd"].tobytes() == odd.tobytes()
    assert load(tmp_path / "b.kshot", start=one).params["odd"].tobytes() == (-odd).tobytes()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"record": {"array": np.ones(3)}}, ParameterError),
        ({"record": {"error": float("nan")}}, ParameterError),
        ({"params": {"a": np.ones(2, np.complex64)}}, ParameterError),
        ({"params": {"a": np.array(["x"], object)}}, ParameterError),
        ({"params": {1: np.ones(2, np.float32)}}, ParameterError),
        ({"params": {"a": "text"}}, ParameterError),
        ({"potential": Foreign((1, 6, 7, 8), 5.0)}, OptionError),
    ],
)
def test_what_files_cannot_hold_is_refused_and_nothing_is_written(tmp_path, morse, change, error):
    save(morse, tmp_path / "a.kshot")
    before = (tmp_path / "a.kshot").read_bytes()
    with pytest.raises(error):
        save(morse.with_(**change), tmp_path / "a.kshot")
    assert (tmp_path / "a.kshot").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.kshot"]


def test_an_interrupted_write_leaves_the_old_file(tmp_path, morse, monkeypatch):
    save(morse, tmp_path / "a.kshot")
    before = (tmp_path / "a.kshot").read_bytes()

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save(adapted(morse), tmp_path / "a.kshot")
    assert (tmp_path / "a.kshot").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.kshot"]


def test_where_nothing_can_be_written_or_read(tmp_path, morse):
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelFileError, match="file that can be written"):
        save(morse, tmp_path / "file" / "a.kshot")
    for name in ("absent.kshot", ".", "file"):
        with pytest.raises(ModelFileError):
            load(tmp_path / name)


# --- files that somebody or something has changed ---


def rewritten(path: Path, change) -> None:
    """Change what model.json says, with a checksum that fits: what an enemy would do."""
    with zipfile.ZipFile(path) as archive:
        content, arrays = json.loads(archive.read(JSON)), archive.read(ARRAYS)
    content = change(content)
    if isinstance(content, dict):
        content.pop("checksum", None)
        text = json.dumps(content, sort_keys=True).encode()
        content["checksum"] = hashlib.sha256(text).hexdigest()
    path.write_bytes(pack(json.dumps(content), arrays))


def test_a_newer_schema_says_how_to_upgrade(tmp_path, morse):
    save(morse, tmp_path / "a.kshot")
    rewritten(tmp_path / "a.kshot", lambda content: content | {"schema": 99, "future": 1})
    with pytest.raises(ModelFileError, match="pip install -U kshot"):
        load(tmp_path / "a.kshot")


def test_an_edit_by_hand_is_noticed(tmp_path, morse):
    save(morse, tmp_path / "a.kshot")
    with zipfile.ZipFile(tmp_path / "a.kshot") as archive:
        text, arrays = archive.read(JSON).decode(), archive.read(ARRAYS)
    (tmp_path / "a.kshot").write_bytes(pack(text.replace("1.25", "0.25"), arrays))
    with pytest.raises(ModelFileError, match="edited"):
        load(tmp_path / "a.kshot")


def test_no_module_that_a_file_names_is_imported(tmp_path, monkeypatch):
    one = Model(potentials.get("mace")((1, 6, 7, 8), size="tiny"), {}, E0S, SEEN)
    (tmp_path / "evil.py").write_text("raise SystemExit('executed')")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("evil:Evil", "os:system", "mlip.models.mace.network:json", ""):
        save(one, tmp_path / "a.kshot")
        change = lambda content, name=name: (  # noqa: E731
            content | {"potential": content["potential"] | {"architecture": name}}
        )
        rewritten(tmp_path / "a.kshot", change)
        with pytest.raises(ModelFileError, match="one of the networks"):
            load(tmp_path / "a.kshot")


def test_a_configuration_the_network_does_not_know_is_refused(tmp_path):
    one = Model(potentials.get("mace")((1, 6, 7, 8), size="tiny"), {}, E0S, SEEN)
    for config in ("{", "[]", '{"num_channels": "many"}', '{"made_up": 1}'):
        save(one, tmp_path / "a.kshot")
        change = lambda content, config=config: (  # noqa: E731
            content | {"potential": content["potential"] | {"config": config}}
        )
        rewritten(tmp_path / "a.kshot", change)
        with pytest.raises(ModelFileError):
            load(tmp_path / "a.kshot")


def test_zip_bombs_are_refused_before_they_are_opened(tmp_path, morse):
    save(morse, tmp_path / "a.kshot")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("params/big.npy", bytes(1 << 27))
    rewritten(
        tmp_path / "a.kshot",
        lambda content: content | {"arrays": hashlib.sha256(stream.getvalue()).hexdigest()},
    )
    with zipfile.ZipFile(tmp_path / "a.kshot") as archive:
        text = archive.read(JSON).decode()
    (tmp_path / "a.kshot").write_bytes(pack(text, stream.getvalue()))
    with pytest.raises(ModelFileError, match="at most"):
        load(tmp_path / "a.kshot")


def test_pickles_and_objects_in_arrays_are_refused(tmp_path, morse):
    save(morse, tmp_path / "a.kshot")
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=True, **{"params/log_depth": np.array([{}], object)})
    with zipfile.ZipFile(tmp_path / "a.kshot") as archive:
        content = json.loads(archive.read(JSON))
    content["arrays"] = hashlib.sha256(stream.getvalue()).hexdigest()
    (tmp_path / "a.kshot").write_bytes(pack(json.dumps(content), stream.getvalue()))
    rewritten(tmp_path / "a.kshot", lambda content: content)
    with pytest.raises(ModelFileError, match="an array of numbers"):
        load(tmp_path / "a.kshot")


def test_a_delta_that_names_itself_ends(tmp_path, morse):
    save(morse, tmp_path / "a.kshot")
    rewritten(
        tmp_path / "a.kshot",
        lambda content: content | {"start": {"digest": content["digest"], "file": "a.kshot"}},
    )
    with pytest.raises(ModelFileError, match="without an end"):
        load(tmp_path / "a.kshot")


def test_no_corruption_raises_anything_but_our_own_error(tmp_path, morse):
    """A thousand random corruptions; what still opens must be the very model."""
    start, delta = tmp_path / "start.kshot", tmp_path / "delta.kshot"
    save(morse, start)
    save(adapted(morse), delta, parent=start)
    want = {start: morse.digest, delta: adapted(morse).digest}
    bad = tmp_path / "bad.kshot"
    rng = random.Random(0)
    refused = longest = 0
    for trial in range(1000):
        source = (start, delta)[trial % 2]
        shutil.copy(source, bad)
        rng.choice(CORRUPTIONS)(bad, rng)
        try:
            found = load(bad).digest
        except ModelFileError as error:
            found, refused = want[source], refused + 1
            longest = max(longest, len(str(error)))
        assert found == want[source]
    assert refused > 900
    assert longest < 500


def flip(path: Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(rng.choice([1, 2, 10, 100])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def cut(path: Path, rng: random.Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: rng.randrange(len(data))])


def insert(path: Path, rng: random.Random) -> None:
    data = path.read_bytes()
    place = rng.randrange(len(data))
    path.write_bytes(data[:place] + rng.randbytes(rng.choice([1, 4, 1000])) + data[place:])


def drop(path: Path, rng: random.Random) -> None:
    data = path.read_bytes()
    place = rng.randrange(len(data))
    path.write_bytes(data[:place] + data[place + rng.choice([1, 4, 300]) :])


def swap(path: Path, rng: random.Random) -> None:
    """Exchange, rename, double or leave out members, of the archive or of the arrays in it."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    if rng.random() < 0.7:
        with zipfile.ZipFile(io.BytesIO(members[ARRAYS])) as inner:
            arrays = {name: inner.read(name) for name in inner.namelist()}
        members[ARRAYS] = zipped(shuffled(arrays, rng))
        content = json.loads(members[JSON])
        content["arrays"] = hashlib.sha256(members[ARRAYS]).hexdigest()
        members[JSON] = json.dumps(content).encode()
        path.write_bytes(zipped(list(members.items())))
        rewritten(path, lambda content: content)
    else:
        path.write_bytes(zipped(shuffled(members, rng)))


def shuffled(members: dict[str, bytes], rng: random.Random) -> list[tuple[str, bytes]]:
    names = list(members)
    match rng.randrange(4):
        case 0:
            names = names[1:] or ["else"]
        case 1:
            names[0] = rng.choice(["../../evil.npy", "/etc/x.npy", "", "a" * 300, names[0] + "x"])
        case 2:
            first, last = members[names[0]], members[names[-1]]
            return (
                [*members.items(), ("extra.npy", first)]
                if first == last
                else [(names[0], last), *list(members.items())[1:-1], (names[-1], first)]
            )
        case 3:
            name = rng.choice(names)
            data = bytearray(members[name])
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            members = members | {name: bytes(data)}
    return list(zip(names, members.values(), strict=False))


def zipped(members: list[tuple[str, bytes]]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data)
    return stream.getvalue()


ODD = [None, True, -1, 0, 2**70, 1e308, "", "x" * 10000, "\0", [], {}, [[[]]], {"dict": 3}, ["a"]]


def edit(path: Path, rng: random.Random) -> None:
    """Put something odd anywhere into model.json, or take something out; the checksum fits."""

    def change(content):
        at, key = content, "root"
        while isinstance(at, dict | list) and at:
            parent, key = at, rng.choice(list(at) if isinstance(at, dict) else range(len(at)))
            at = parent[key]
            if rng.random() < 0.3:
                break
        if rng.random() < 0.3:
            del parent[key]
        else:
            parent[key] = rng.choice(ODD)
        return content

    rewritten(path, change)


def nest(path: Path, rng: random.Random) -> None:
    """Nest something without end."""
    depth = rng.choice([200, 400, 900, 5000])
    name = rng.choice(["outline", "record", "potential", "seen", "e0s"])
    deep = {"outline": '{"list": [', "potential": '{"kind": "sum", "parts": ['}.get(name, "[")
    with zipfile.ZipFile(path) as archive:
        content, arrays = json.loads(archive.read(JSON)), archive.read(ARRAYS)
    text = json.dumps(content | {name: "HERE"})
    closing = "]}" if deep.startswith("{") else "]"
    path.write_bytes(pack(text.replace('"HERE"', deep * depth + closing * depth), arrays))


def replace(path: Path, rng: random.Random) -> None:
    """Something else altogether."""
    empty = pack_arrays({})
    path.write_bytes(
        rng.choice(
            [
                b"",
                b"PK",
                rng.randbytes(2000),
                b"PK\x05\x06" + bytes(18),
                pack("null", empty),
                pack("[1]", empty),
                pack('{"schema": true}', empty),
                pack('{"schema": 1}', empty),
                pack("{" * 100, empty),
            ]
        )
    )


CORRUPTIONS = [flip, flip, cut, insert, drop, swap, swap, edit, edit, edit, nest, replace]


def test_shipped_starts_open_and_names_are_found(tmp_path, morse):
    for path in starts().values():
        assert load(path).seen.elements
    save(morse, tmp_path / "mine.kshot")
    assert start_path(tmp_path / "mine.kshot") == tmp_path / "mine.kshot"
    with pytest.raises(KshotError, match="no file and no start is called 'nosuch'"):
        start_path("nosuch")
