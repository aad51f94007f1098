"""One writer at a time: who is second is told who is first, and a killed process holds nothing."""

import errno
import os
import signal
import time
from pathlib import Path

import filelock
import pytest

from hf_imgcls.errors import InputError
from hf_imgcls.store import Beginning, locks, open_run
from hf_imgcls.store.locks import Lock, holder, lock_beside
from hf_imgcls.store.run_folder import lock_run


@pytest.fixture
def in_another_process(tmp_path):
    """Hold a lock in a forked process until it is killed, which happens at the end at the latest."""
    started = []

    def hold(take) -> int:
        ready, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            lock = Lock()
            take(lock)
            os.write(tell, b"!")
            time.sleep(60)
            os._exit(0)
        started.append(pid)
        assert os.read(ready, 1) == b"!"
        return pid

    yield hold
    for pid in started:
        kill(pid)


def kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass


def without_flock(monkeypatch, number: int) -> None:
    """A file system without locks, as seen on NFS mounts without a lock daemon and under FUSE."""

    def refuse(descriptor: int) -> bool:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(filelock._native._unix, "lock_fd_nonblocking", refuse)


@pytest.mark.parametrize("without", [None, errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_second_writer_is_told_who_is_the_first_and_takes_over_when_that_is_killed(
    without, in_another_process, tmp_path, monkeypatch
):
    if without:
        without_flock(monkeypatch, without)
    folder = tmp_path / "runs" / "flowers"
    first = in_another_process(lambda lock: lock_run(folder, lock))
    with Lock() as second, pytest.raises(InputError) as refused:
        lock_run(folder, second)
    line = str(refused.value)
    assert f"training.output_dir: {folder} is being written by process {first} " in line
    assert "name another folder" in line
    assert "(delete" in line if without else ", since 20" in line
    assert len(line) < 400 + len(str(tmp_path))
    kill(first)
    with Lock() as third:
        lock_run(folder, third)
        assert list(folder.iterdir())
    assert [path for path in folder.iterdir() if path.name == ".lock"] == []


def test_a_run_that_writes_nothing_leaves_no_folder(tmp_path):
    with Lock() as lock:
        lock_run(tmp_path / "runs" / "flowers", lock)
    assert list(tmp_path.iterdir()) == []


def test_nothing_of_a_lock_is_left_after_an_error_or_an_interruption(tmp_path):
    def run(error: type[BaseException]) -> None:
        with Lock() as lock:
            lock_run(tmp_path, lock)
            (tmp_path / "kept").touch()
            raise error

    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error):
            run(error)
        assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_process_that_was_forked_from_the_holder_does_not_hold_the_lock(in_another_process, tmp_path):
    """Workers outlive a killed process by seconds, and those of a pool for ever."""

    def take_and_fork(lock: Lock) -> None:
        lock_run(tmp_path, lock)
        worker = os.fork()
        if worker == 0:
            time.sleep(20)
            os._exit(0)
        (tmp_path / "worker").write_text(str(worker))

    kill(in_another_process(take_and_fork))
    with Lock() as lock:
        lock_run(tmp_path, lock)
    kill(int((tmp_path / "worker").read_text()))


def test_one_that_waits_says_for_whom(in_another_process, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(locks, "_AGAIN", 0.0)
    file = tmp_path / "entry.lock"
    first = in_another_process(lambda lock: lock.wait_for(file, "features"))
    attempts = []

    def attempt(lock: Lock, file: Path, seconds: float = 0, try_to_take=Lock.try_to_take) -> bool:
        attempts.append(seconds)
        if len(attempts) == 3:
            kill(first)
        return try_to_take(lock, file, 0.01)

    monkeypatch.setattr(Lock, "try_to_take", attempt)
    with Lock() as lock:
        lock.wait_for(file, "features")
    said = capfd.readouterr().err.splitlines()
    assert len(attempts) == 3
    assert len(said) == 2
    assert all(line.startswith(f"features: waiting for process {first} (") for line in said)


def test_starting_over_keeps_the_lock_and_leaves_none_in_the_old_run(in_another_process, tmp_path):
    folder, splits = tmp_path / "run", {"fingerprints": {}}
    open_run(folder, Beginning({"n": 1}, splits, {}, {}))
    with Lock() as lock:
        lock_run(folder, lock)
        open_run(folder, Beginning({"n": 2}, splits, {}, {}), True, lock=lock)
        assert sorted(path.name for path in (tmp_path / "run.1").iterdir()) == [
            "begun.json",
            "recipe.json",
            "splits.json",
        ]
        with Lock() as other, pytest.raises(InputError, match=f"by process {os.getpid()} "):
            lock_run(folder, other)
    assert sorted(path.name for path in folder.iterdir()) == ["begun.json", "recipe.json", "splits.json"]


def test_a_run_that_comes_between_is_not_written_into(tmp_path, monkeypatch):
    """Another train takes the place of a folder that was just moved aside."""
    folder, rename = tmp_path / "run", Path.rename
    folder.mkdir()
    with Lock() as faster, Lock() as lock:
        lock_run(folder, lock)
        monkeypatch.setattr(Path, "rename", lambda old, new: (rename(old, new), lock_run(folder, faster)))
        with pytest.raises(InputError, match="what was there is in"):
            lock.move_aside(folder, tmp_path / "run.1")
        assert list((tmp_path / "run.1").iterdir()) == []
        assert holder(folder / ".lock").startswith(f"process {os.getpid()} ")


def test_the_lock_of_a_folder_that_was_deleted_and_made_anew_is_not_removed(tmp_path):
    folder = tmp_path / "run"
    with Lock() as lock, Lock() as other:
        lock_run(folder, lock)
        folder.rename(tmp_path / "away")
        lock_run(folder, other)
        lock.release()
        assert (folder / ".lock").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"pid": "x"}', "\0" * 9])
def test_a_lock_that_does_not_say_whose_it_is(content, tmp_path):
    (tmp_path / "lock").write_text(content)
    assert holder(tmp_path / "lock") == "another process"


def test_another_machine_is_named(tmp_path):
    (tmp_path / "lock").write_text('{"pid": 3, "host": "node7", "command": "hf-imgcls train r.json", "since": "10:02"}')
    assert holder(tmp_path / "lock") == "process 3 on node7 (hf-imgcls train r.json, since 10:02)"


def test_the_lock_of_a_file_lies_hidden_beside_it(tmp_path):
    assert lock_beside(tmp_path / "rows.csv") == tmp_path / ".rows.csv.lock"
