"""Trials of a search one after the other: those that fail, are interrupted, or are not begun."""

from types import SimpleNamespace

import pytest
import torch
from test_tune import RATE
from tiny import tiny_model
from transformers import Trainer, TrainingArguments

from hf_imgcls.api import TuneOptions, trial, tune
from hf_imgcls.errors import DivergenceError, Interrupted, MachineError

pytestmark = pytest.mark.usefixtures("undrawn")


class Trials:
    """In place of a study: as many trials as are asked for."""

    maximize, folder = True, None

    def __init__(self, folder):
        self.folder, self.ended, self.number = folder, [], 0

    def begin(self, count):
        self.number += 1
        return (SimpleNamespace(number=self.number - 1), {RATE: 1.0}) if self.number <= count else None

    def end(self, trial, seconds, value, why):
        self.ended.append((value, why))

    def give_up(self):
        self.ended.append("given up")

    def rows(self):
        return [SimpleNamespace(value=None, seconds=50.0)] * len(self.ended)

    def untried(self):
        return None

    def place_of(self, number):
        return self.folder / f"trial-{number}"


@pytest.fixture
def search(tmp_path, monkeypatch):
    monkeypatch.setattr(tune, "_keep", lambda search: None)
    return tune._Search({}, {}, None, tmp_path, Trials(tmp_path), "accuracy")


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (
            DivergenceError("training diverged at step 3: the loss is NaN; lower it"),
            "training diverged at step 3: the loss",
        ),
        (torch.OutOfMemoryError("CUDA out of memory."), "the memory of the GPU does not suffice"),
        (trial.Stopped("stopped after evaluation 2"), "stopped after evaluation 2"),
    ],
)
def test_a_trial_that_cannot_end_is_noted_and_the_next_one_begins(search, monkeypatch, error, why):
    outcomes = iter([error, 0.5])

    def train(content, overrides, data, place, report):
        place.mkdir()
        if isinstance(outcome := next(outcomes), Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(tune, "train_trial", train)
    tune._try_all(search, TuneOptions(trials=2))
    assert search.study.ended[0][0] is None
    assert search.study.ended[0][1].startswith(why)
    assert search.study.ended[1] == (0.5, "")
    assert not list(search.folder.iterdir())


@pytest.mark.parametrize("error", [Interrupted(15, "at step 2; saved x"), MachineError("the disk is full")])
def test_a_search_that_is_ended_gives_its_trial_up(search, monkeypatch, error):
    def train(*arguments):
        raise error

    monkeypatch.setattr(tune, "train_trial", train)
    with pytest.raises(type(error), match=r"interrupted in trial 1, which begins anew|the disk is full") as caught:
        tune._try_all(search, TuneOptions(trials=2))
    assert search.study.ended == ["given up"]
    assert getattr(caught.value, "number", 15) == 15


def test_no_trial_is_begun_that_would_end_after_the_minutes(search, monkeypatch, capsys):
    monkeypatch.setattr(tune, "train_trial", lambda *arguments: 0.5)
    tune._try_all(search, TuneOptions(trials=9, minutes=0.5))
    assert len(search.study.ended) == 1
    assert "another trial would end after --minutes 0.5; the same command goes on" in capsys.readouterr().out


def test_trainer_passes_over_what_is_no_training_argument(tmp_path):
    """Why a search does not go through Trainer.hyperparameter_search: other keys have no effect there."""
    arguments = TrainingArguments(str(tmp_path), use_cpu=True, report_to="none")
    trainer = Trainer(tiny_model("vit"), arguments)
    trainer.hp_search_backend, trainer.hp_space = "optuna", lambda trial: {"class_weights": "balanced"}
    trainer._hp_search_setup(SimpleNamespace(params={}))
    assert not hasattr(trainer.args, "class_weights")
