"""A command that a signal ends: one line with what goes on, the signal's status, no traceback."""

import signal
import sys

import pytest
from fresh import run_fresh

from hf_imgcls.cli import main
from hf_imgcls.commands import train
from hf_imgcls.commands.ending import Ending
from hf_imgcls.errors import ENDING_SIGNALS, Interrupted


def during(monkeypatch, work) -> None:
    monkeypatch.setattr(train, "run", lambda options: work())


@pytest.mark.parametrize("number", ENDING_SIGNALS)
def test_a_signal_is_one_line_and_its_status(number, monkeypatch, capsys):
    before = signal.getsignal(number), sys.unraisablehook
    during(monkeypatch, lambda: signal.raise_signal(number))
    assert main(["train", "a recipe.json", "training.seed=3", "--start-over"]) == 128 + number
    assert capsys.readouterr().err == (
        "hf-imgcls: interrupted; the same command resumes: hf-imgcls train 'a recipe.json' training.seed=3\n"
    )
    assert (signal.getsignal(number), sys.unraisablehook) == before


def test_what_a_library_makes_of_the_signal_is_not_shown(monkeypatch, capsys):
    def import_something():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            raise ImportError("cannot import name 'half'")

    during(monkeypatch, import_something)
    assert main(["train", "recipe.json"]) == 143
    assert capsys.readouterr().err.startswith("hf-imgcls: interrupted; the same command resumes: ")


@pytest.mark.parametrize(
    ("words", "environment", "line"),
    [
        (["train", "r.json"], {}, "so far; the same command resumes: hf-imgcls train r.json"),
        (["train", "r.json"], {"RANK": "0"}, "so far; the same command resumes"),
        (["train", "r.json", "--start-over"], {"RANK": "0"}, "so far; the same command resumes without --start-over"),
        (["train", "r" * 300], {}, "so far; the same command resumes"),
        (["predict", "m", "a.png", "--output=p.csv"], {}, "so far; the same command resumes: hf-imgcls predict m a.png "
         "--output=p.csv"),
        (["embed", "m", "a", "--output", "e.parquet"], {}, "so far; the same command resumes: hf-imgcls embed m a "
         "--output e.parquet"),
        (["predict", "m", "a.png"], {}, "so far"),
        (["evaluate", "m", "photos"], {}, "so far"),
        ([], {}, "so far"),
    ],
)  # fmt: skip
def test_the_line_has_the_command_that_goes_on(words, environment, line, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert Ending(words).line("so far") == line


def test_it_leaves_alone_what_is_ignored(monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as `nohup` does
    try:
        during(monkeypatch, lambda: signal.raise_signal(signal.SIGHUP))
        assert main(["train", "recipe.json"]) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


_TWICE = """
import os, signal, sys, time
from hf_imgcls.cli import main
from hf_imgcls.commands import train

class Late:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)
        time.sleep(0)

def run(options):
    how = sys.argv[3]
    if how == "deleted":
        Late()
        time.sleep(60)
    try:
        signal.raise_signal(signal.SIGTERM)
    finally:
        if how == "twice":
            signal.raise_signal(signal.SIGINT)
            time.sleep(60)
        if os.fork() == 0:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
            time.sleep(60)
        assert os.waitstatus_to_exitcode(os.wait()[1]) == 143

signal.signal(signal.SIGINT, signal.default_int_handler)  # which the server of fresh processes ignores
train.run = run
sys.argv[0] = "hf-imgcls"
sys.exit(main())
"""


@pytest.mark.parametrize("how", ["once", "twice", "deleted"])
def test_the_process_ends_with_one_line_also_where_it_is_told_twice(how):
    done = run_fresh(_TWICE, "train", "recipe.json", how)
    line = f"hf-imgcls: interrupted; the same command resumes: hf-imgcls train recipe.json {how}\n"
    assert (done.returncode, done.stderr) == (143, line)


def test_an_interruption_is_a_keyboard_interrupt():
    assert isinstance(Interrupted(signal.SIGTERM), KeyboardInterrupt)
    assert str(Interrupted(signal.SIGTERM, "interrupted at step 3")) == "interrupted at step 3"
