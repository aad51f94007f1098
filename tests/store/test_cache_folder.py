"""The folder of the cache: read-only, full, in use, cleared, listed."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import datasets
import pytest
import test_cache
from test_cache import KEY, number, rows

from hf_imgcls.cli import main
from hf_imgcls.errors import CacheError, MachineError
from hf_imgcls.store import as_machine_error
from hf_imgcls.store.cache import cached
from hf_imgcls.store.cache_place import cache_folder, cache_in_use, clear_cache, list_cache
from hf_imgcls.store.locks import Lock

folder = test_cache.folder


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
