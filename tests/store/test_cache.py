"""The cache: an entry is there whole or not at all, and what is damaged is built again."""

import errno
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import datasets
import pytest

from hf_imgcls.cli import main
from hf_imgcls.errors import CacheError, MachineError
from hf_imgcls.store import as_machine_error, cache
from hf_imgcls.store.cache import cached
from hf_imgcls.store.cache_place import cache_folder, cache_in_use, clear_cache, list_cache
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


def test_a_whole_entry_is_read_where_nothing_can_be_written(folder, monkeypatch):
    number(1)

    def refuse(*path, **options):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr(Lock, "try_to_take", refuse)
    assert number(2) == (1, True)
    with cache_in_use():
        pass
    with pytest.raises(CacheError, match=r"numbers: Read-only file system; HF_DATASETS_CACHE names another folder"):
        number(2, "another")


def test_a_full_disk_is_said_with_the_place_and_the_next_run_goes_on(folder):
    def build(to: Path) -> None:
        (to / "n.json").write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(to / "n.json"))

    with (
        pytest.raises(MachineError, match=r"/hf_imgcls/numbers/.*: the disk is full \(.* free\); make room"),
        as_machine_error(),
    ):
        cached("numbers", "key", build, None)
    assert list((folder / "numbers").iterdir()) == []
    assert number(2) == (2, False)


def test_a_cache_in_use_is_not_cleared(folder, capsys):
    number(1)
    with cache_in_use():
        assert main(["cache", "--clear"]) == 2
        line = capsys.readouterr().err
        assert f"hf-imgcls: cache: {folder} is being used by process {os.getpid()} (" in line
        assert "clear it when that has ended" in line
        assert number(2) == (1, True)
        with cache_in_use():
            assert len(list((folder / ".in_use").iterdir())) == 2
    killed = folder / ".in_use" / "killed.lock"
    killed.write_text("{}")
    with cache_in_use():
        assert not killed.exists()
    assert main(["cache", "--clear"]) == 0
    assert not folder.exists()


def test_rows_stay_readable_when_another_process_rebuilds_their_entry(folder):
    kept, _ = cached("rows", "key", lambda to: datasets.Dataset.from_dict({"n": [1]}).map(
        lambda row: row, cache_file_name=str(to / "rows.arrow")))  # fmt: skip
    (folder / "rows" / KEY / "manifest.json").unlink()
    rows([7, 8])
    assert kept["n"][:] == [1]


def test_what_datasets_puts_beside_the_rows_is_not_read_as_rows(folder):
    found, _ = cached("rows", "key", lambda to: datasets.Dataset.from_dict({"n": [1, 2]}).map(
        lambda row: row, cache_file_name=str(to / "rows.arrow")))  # fmt: skip
    found.map(lambda row: {"n": row["n"] + 1})
    assert len(list((folder / "rows" / KEY).glob("*.arrow"))) == 2
    assert rows([]) == ([1, 2], True)


def test_a_cache_that_cannot_be_written_is_a_user_error(folder):
    folder.parent.mkdir()
    folder.write_text("a file")
    with pytest.raises(CacheError, match=r"cache: .*/hf_imgcls/numbers: .*; HF_DATASETS_CACHE names another folder"):
        number(1)


def test_it_is_listed_and_cleared(folder, capsys):
    number(1)
    number(1, "another")
    rows([1, 2])
    (folder / "numbers" / "killed.1234.part").mkdir()
    (folder / "numbers" / "killed.1234.part" / "n.json").write_bytes(bytes(2_000_000))
    (folder.parent / "hf_imgcls_features").mkdir()
    (folder.parent / "hf_imgcls_features" / "old.arrow").write_bytes(bytes(1_000_000))
    (folder.parent / "somebody_elses").mkdir()
    assert [usage[:2] for usage in list_cache()] == [("numbers", 2), ("rows", 1)]
    assert main(["cache"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "numbers          2 entries        2.0 MB",
        "rows               1 entry        0.0 MB",
        f"{folder}: 2.0 MB",
    ]
    assert main(["cache", "--clear"]) == 0
    assert capsys.readouterr().out == f"{folder}: 3.0 MB deleted\n"
    assert [path.name for path in folder.parent.iterdir()] == ["somebody_elses"]
    assert (list_cache(), clear_cache()) == ([], 0)
    assert number(3) == (3, False)


@pytest.mark.parametrize(
    "environment",
    [{"HF_DATASETS_CACHE": "~/d"}, {"HF_HOME": "/h"}, {"XDG_CACHE_HOME": "/x"}, {}],
    ids=lambda environment: next(iter(environment), "nothing"),
)
def test_it_lies_where_that_of_datasets_does(environment, monkeypatch):
    """Also where `datasets` is not imported; the rule is that of datasets/config.py."""
    for name in ("HF_DATASETS_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    source = Path(datasets.config.__file__).read_text(encoding="utf-8").splitlines()
    starts = ("DEFAULT_XDG_CACHE_HOME", "XDG_CACHE_HOME", "DEFAULT_HF_CACHE_HOME", "HF_CACHE_HOME",
              "DEFAULT_HF_DATASETS_CACHE", "HF_DATASETS_CACHE")  # fmt: skip
    names: dict = {}
    exec("import os\nfrom pathlib import Path\n" + "\n".join(s for s in source if s.split(" = ")[0] in starts), names)
    monkeypatch.delitem(sys.modules, "datasets.config")
    assert cache_folder() == names["HF_DATASETS_CACHE"].expanduser() / "hf_imgcls"


def test_it_is_listed_without_the_heavy_libraries():
    code = (
        "import sys; from hf_imgcls.cli import main; main(['cache']); print({'torch', 'datasets'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
