"""A study on disk: what is drawn, what is counted, and what becomes of a trial whose process has ended."""

from functools import partial

import optuna
import pytest

from hf_imgcls import load_recipe
from hf_imgcls.api.study import Study

CONTENT = {"data": {"path": "p"}, "model": {"checkpoint": "a/b"}, "training": {"output_dir": "run"}}
TUNE = {
    "rate": {"low": 1e-5, "high": 1e-1, "log": True},
    "weights": [None, "balanced"],
    "blocks": {"low": 1, "high": 4},
}


@pytest.fixture
def open_study(tmp_path):
    space = load_recipe({**CONTENT, "tune": TUNE}).tune

    def open_one(name: str) -> Study:
        (tmp_path / name).mkdir(exist_ok=True)
        return Study(tmp_path / name, space, seed=7, maximize=True)

    return open_one


def score(values) -> float:
    return -abs(values["rate"] - 1e-3) + values["blocks"]


def test_a_search_that_is_interrupted_draws_what_one_without_a_break_draws(open_study, monkeypatch):
    # It learns from two trials on, not from ten.
    monkeypatch.setattr(optuna.samplers, "TPESampler", partial(optuna.samplers.TPESampler, n_startup_trials=2))
    whole = open_study("a b?c%20#d")  # a path whose characters mean something in a URL
    whole.begin_with({"rate": 1e-2, "weights": None, "blocks": 2})
    while begun := whole.begin(6):
        whole.end(begun[0], 1.0, score(begun[1]))
    rows = whole.rows()
    assert [row.number for row in rows] == [*range(1, 7)]
    assert rows[0].values == {"rate": 1e-2, "weights": None, "blocks": 2}
    assert {row.values["weights"] for row in rows} == {None, "balanced"}
    assert all(isinstance(row.values["blocks"], int) and 1 <= row.values["blocks"] <= 4 for row in rows)
    assert len({row.values["rate"] for row in rows}) == 6
    for count in (3, 6):
        parts = open_study("parts")
        if count == 3:
            parts.begin_with({"rate": 1e-2, "weights": None, "blocks": 2})
        while begun := parts.begin(count):
            parts.end(begun[0], 1.0, score(begun[1]))
    assert parts.rows() == rows


def test_a_trial_of_a_process_that_has_ended_is_failed_and_repeated_once(open_study, capsys):
    study, other = open_study("study"), open_study("study")
    trial, values = study.begin(2)
    study.place_of(trial.number).mkdir()
    second, _ = other.begin(2)
    assert second.number == 1
    assert other.begin(2) is None  # the first one still runs
    other.end(second, 1.0, 0.5)
    study.give_up()  # as the system does when a process is killed
    _, repeated = other.begin(2)
    assert repeated == values
    assert not study.place_of(trial.number).exists()
    assert "tune: trial 1 failed, since its process has ended; its values are tried again" in capsys.readouterr().out
    assert [row.state for row in other.rows()] == ["failed", "complete", "running"]
    other.give_up()
    assert study.begin(2) is None  # failed twice, it counts
    assert "for the second time" in capsys.readouterr().out
    study = open_study("study")
    stopped, _ = study.begin(3)
    stopped.report(0.1, 1)
    study.end(stopped, 1.0, why="diverged")
    assert study.rows()[-1]._replace(values={}) == (stopped.number + 1, "stopped", None, (0.1,), {}, 1.0, "diverged")
    assert study.begin(3) is None
    assert not list(study.folder.glob("*.lock"))


def test_of_few_combinations_none_is_tried_twice(tmp_path):
    space = load_recipe({**CONTENT, "tune": {"weights": [None, "balanced"], "blocks": {"low": 1, "high": 2}}}).tune
    study, seen = Study(tmp_path, space, seed=7, maximize=True), []
    study.begin_with({"weights": None, "blocks": 2})
    while begun := study.begin(9):
        seen.append(tuple(begun[1].values()))
        study.end(begun[0], 1.0, 0.5)
    assert seen[0] == (None, 2)
    assert sorted(seen, key=str) == sorted([(None, 1), (None, 2), ("balanced", 1), ("balanced", 2)], key=str)
    assert study.untried() == []
