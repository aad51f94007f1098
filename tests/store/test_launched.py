"""What several processes of a machine print and tell their launcher when one fails: in files, without a launch."""

import json
import sys

import pytest

from hf_imgcls import cli
from hf_imgcls.errors import InputError, ProcessError
from hf_imgcls.store import as_process_error, launched, reports_first

LOST = "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:561] Connection closed by peer [127.0.0.1]:14517"


@pytest.fixture
def process(tmp_path, monkeypatch):
    """Make this process one of two, by its rank; returns the file that the launcher reads."""

    def become(rank: int):
        file = tmp_path / str(rank) / "error.json"
        file.parent.mkdir(exist_ok=True)
        monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(file))
        return file

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(launched, "_SECONDS", 0)
    return become


def test_the_first_process_prints_and_the_launcher_gets_the_line(process):
    printed, files = [], [process(rank) for rank in (0, 1)]
    for rank in (1, 0):
        process(rank)
        printed.append(reports_first("data.path: no such folder"))
    assert printed == [True, False]
    assert [json.loads(file.read_text())["message"]["message"] for file in files] == ["data.path: no such folder"] * 2


def test_without_a_launcher_that_gives_a_folder_or_room_in_it_each_one_prints(process, monkeypatch, tmp_path):
    process(0)
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / "none" / "0" / "error.json"))
    assert reports_first("no room")
    monkeypatch.delenv("TORCHELASTIC_ERROR_FILE")
    monkeypatch.setenv("RANK", "1")
    assert reports_first("no room")


@pytest.mark.parametrize("error", [RuntimeError(LOST), type("DistError", (RuntimeError,), {})("ncclRemoteError")])
def test_the_loss_of_another_process_is_named_and_not_taken_for_the_cause(process, capsys, monkeypatch, error):
    file = process(0)

    def lose(options):
        raise lose.error

    lose.error = error
    monkeypatch.setattr("hf_imgcls.commands.recipes.run", lose)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    assert cli.main(["recipes"]) == 1
    assert capsys.readouterr().err.startswith("hf-imgcls: another process of this launch has failed")
    assert not file.exists()
    lose.error = ProcessError("the first process failed (OSError)")
    assert cli.main(["recipes"]) == 1
    assert capsys.readouterr().err == ""  # another one has printed what it is


def test_only_a_group_loses_a_process(process, monkeypatch):
    process(0)
    with pytest.raises(ValueError, match="pair"), as_process_error():
        raise ValueError("pair")
    with pytest.raises(InputError), as_process_error():
        raise InputError(LOST) from RuntimeError(LOST)
    with pytest.raises(ProcessError), as_process_error():
        raise RuntimeError("in a step") from RuntimeError(LOST)
    monkeypatch.setenv("WORLD_SIZE", "1")
    with pytest.raises(RuntimeError, match="gloo"), as_process_error():
        raise RuntimeError(LOST)


def test_a_bug_has_its_traceback_once(process, capsys, monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    for rank in (1, 0):
        process(rank)
        try:
            raise ZeroDivisionError("a bug")
        except ZeroDivisionError as error:
            cli._report_bug(type(error), error, error.__traceback__)
    assert capsys.readouterr().err.count("ZeroDivisionError: a bug\n") == 1
