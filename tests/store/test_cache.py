"""The cache: an entry is there whole or not at all, and what is damaged is built again."""

import hashlib
import shutil
from pathlib import Path

import datasets
import pytest

from hf_imgcls.store import cache
from hf_imgcls.store.cache import cached
from hf_imgcls.store.files import read_json, write_json
from hf_imgcls.store.locks import Lock

KEY = hashlib.sha256(b'"key"').hexdigest()[:32]  # the name of an entry's folder


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "cache" / "hf_imgcls"


def number(value: int, key: str = "key"):
    """A number from the cache, and whether it was there."""
    return cached(
        "numbers", key, lambda to: write_json(to / "n.json", value), lambda entry: read_json(entry / "n.json")
    )


def rows(values: list[int]):
    def build(to: Path) -> None:
        for part, half in enumerate((values[: len(values) // 2], values[len(values) // 2 :])):
            # Not mapped, which would write beside them.
            made = datasets.Dataset.from_dict({"n": half})
            with datasets.arrow_writer.ArrowWriter(path=str(to / f"{part}.arrow"), features=made.features) as writer:
                writer.write_batch(made[:])
                writer.finalize()

    found, known = cached("rows", "key", build)
    return found["n"][:], known


def test_an_entry_is_built_once():
    assert number(1) == (1, False)
    assert number(2) == (1, True)
    assert number(2, "another") == (2, False)
    assert rows([1, 2, 3]) == ([1, 2, 3], False)
    assert rows([4, 5, 6]) == ([1, 2, 3], True)
    assert cached("rows", "key", None)[0]._fingerprint == KEY


def flip(file: Path, place: int) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)


DAMAGE = {
    "gone": Path.unlink,
    "empty": lambda file: file.write_bytes(b""),
    "cut off": lambda file: file.write_bytes(file.read_bytes()[:-2]),
    "one bit at the front": lambda file: flip(file, 3),
    "one bit in the middle": lambda file: flip(file, file.stat().st_size // 2),
    "one bit at the end": lambda file: flip(file, -1),
    "another file": lambda file: file.write_text("{}"),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", ["0.arrow", "1.arrow", "manifest.json"])
def test_what_is_damaged_is_built_again(damage, name, folder):
    rows([1, 2, 3, 4])
    DAMAGE[damage](folder / "rows" / KEY / name)
    assert rows([5, 6, 7, 8]) == ([5, 6, 7, 8], False)
    assert rows([]) == ([5, 6, 7, 8], True)


@pytest.mark.parametrize("content", ["[]", "{}", "null", "3", '{"0.arrow": 1}', '["0.arrow", 1]', "{"])
def test_a_manifest_that_is_none_is_damage(content, folder):
    rows([1, 2])
    (folder / "rows" / KEY / "manifest.json").write_text(content)
    assert rows([3, 4]) == ([3, 4], False)


@pytest.mark.parametrize("error", [ValueError, OSError, datasets.arrow_writer.pa.ArrowInvalid])
def test_what_is_whole_but_cannot_be_loaded_is_built_again(error):
    """Such as a file that a newer version of pyarrow has written."""
    number(1)

    def load(entry: Path) -> int:
        found = read_json(entry / "n.json")
        if found == 1:
            raise error("of another version")
        return found

    assert cached("numbers", "key", lambda to: write_json(to / "n.json", 2), load) == (2, False)


def test_every_byte_of_a_large_file_is_compared(monkeypatch, tmp_path):
    """In blocks that several threads read, each in steps."""
    monkeypatch.setattr(cache, "_BLOCK", 8)
    monkeypatch.setattr(cache, "_STEP", 3)
    file = tmp_path / "large"
    file.write_bytes(bytes(range(29)))
    digests = [cache.file_digests(tmp_path, ["large"])]
    for place in range(29):
        flip(file, place)
        digests.append(cache.file_digests(tmp_path, ["large"]))
        flip(file, place)
    assert len({found["large"] for found in digests}) == 30
    assert cache.file_digests(tmp_path, ["large"]) == digests[0]


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, OSError])
def test_what_is_interrupted_leaves_nothing(error, folder):
    def build(to: Path) -> None:
        write_json(to / "n.json", 1)
        raise error

    with pytest.raises(error):
        cached("numbers", "key", build, None)
    assert list((folder / "numbers").iterdir()) == []
    assert number(2) == (2, False)


def test_one_process_builds_an_entry_and_others_wait_for_it(monkeypatch):
    """Another one has it while this one asks, and is ready when this one gets the lock."""
    waited = []

    def wait_for(lock: Lock, file: Path, what: str) -> None:
        waited.append((file.name, what))
        if file.name == f"{KEY}.lock" and len(waited) < 4:
            monkeypatch.undo()
            monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", file.parents[2])
            assert number(1) == (1, False)

    monkeypatch.setattr(Lock, "wait_for", wait_for)
    assert number(2) == (1, True)
    assert (f"{KEY}.lock", "cache: numbers") in waited


def test_what_killed_processes_have_left_is_deleted_but_not_what_others_are_building(folder):
    number(1)
    dead, old, live = (folder / "numbers" / f"{name}.part" for name in ("a.1", f"{KEY}.2.part.old", "b.3"))
    for draft in (dead, old, live):
        draft.mkdir()
        (draft / "n.json").touch()
    with Lock() as lock:
        lock.try_to_take(folder / "numbers" / "b.lock")
        number(2, "another")
        assert (dead.exists(), old.exists(), live.exists()) == (False, False, True)
    number(3, "a third")
    assert not live.exists()
    assert [file for file in (folder / "numbers").iterdir() if "." in file.name] == []


@pytest.mark.parametrize("place", ["entry", "entry/n.json", "entry/manifest.json"])
def test_a_folder_where_a_file_should_be_and_a_file_for_a_folder(place, folder):
    number(1)
    path = folder / "numbers" / place.replace("entry", KEY)
    if place == "entry":
        shutil.rmtree(path)
        path.write_text("a file")
    else:
        path.unlink()
        path.mkdir()
    assert number(2) == (2, False)
    assert [path.name for path in (folder / "numbers").iterdir()] == [KEY]
