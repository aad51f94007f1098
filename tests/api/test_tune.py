"""A search from its recipe to its best one: on validation alone, in one process or in several."""

import json
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch
from fresh import run_fresh
from tiny import tiny_model, tiny_processor
from transformers import Trainer, TrainingArguments

from hf_imgcls import train_classifier, tune_recipe
from hf_imgcls.api import TuneOptions, trial, tune
from hf_imgcls.cli import main
from hf_imgcls.errors import DivergenceError, Interrupted, MachineError
from hf_imgcls.training.trainer import ImageTrainer

pytestmark = pytest.mark.usefixtures("undrawn")
RATE = "stages.0.training.learning_rate"
METRIC = ["training.metric_for_best_model=null"]


@pytest.fixture
def recipe(make_folder, tmp_path):
    tiny_model("vit").save_pretrained(tmp_path / "checkpoint")
    tiny_processor().save_pretrained(tmp_path / "checkpoint")
    content = {
        "data": {"path": str(make_folder(train=8, validation=4, test=2))},
        "model": {"checkpoint": str(tmp_path / "checkpoint")},
        "stages": [{"train": "head", "cache_features": True, "training": {"learning_rate": 1e-6}}],
        "tune": {RATE: {"low": 1e-6, "high": 1.0, "log": True}, "loss.class_weights": [None, "balanced"]},
        "training": {
            "output_dir": str(tmp_path / "run"), "num_train_epochs": 1, "per_device_train_batch_size": 8,
            "metric_for_best_model": "loss", "seed": 2,
        },
    }  # fmt: skip
    (tmp_path / "recipe.json").write_text(json.dumps(content))
    return tmp_path / "recipe.json"


def test_a_search_chooses_on_validation_goes_on_and_its_best_recipe_trains(recipe, tmp_path, monkeypatch, capsys):
    score = ImageTrainer.score
    monkeypatch.setattr(ImageTrainer, "score", lambda *args, **kwargs: pytest.fail("a split was scored"))
    assert main(["tune", str(recipe), "--trials", "2"]) == 0
    folder, out = tmp_path / "run-tune", capsys.readouterr().out
    assert "tune: the first trial has the recipe's own values" in out
    assert f"trial 1: {RATE}=1e-06, loss.class_weights=null" in out
    assert {file.name for file in folder.iterdir()} == {"search.json", "study.db", "trials.csv", "best.json", "plots"}
    best = tune_recipe(recipe, how=TuneOptions(trials=3))
    assert "tune: 2 trials of " in capsys.readouterr().out
    rows = [line.split(",") for line in (folder / "trials.csv").read_text().splitlines()]
    assert rows[0] == ["trial", "state", "loss", "evaluations", RATE, "loss.class_weights", "seconds", "why"]
    assert [row[:2] for row in rows[1:]] == [[str(n), "complete"] for n in (1, 2, 3)]
    assert float(rows[1][4]) == 1e-6
    assert best["value"] == min(float(row[2]) for row in rows[1:]) < float(rows[1][2])  # a lower loss is better
    content = json.loads((folder / "best.json").read_text())
    assert content["stages"][0]["training"]["learning_rate"] == best["values"][RATE]
    assert content["loss"]["class_weights"] == best["values"]["loss.class_weights"]
    assert "tune" not in content
    monkeypatch.setattr(ImageTrainer, "score", score)
    assert train_classifier(folder / "best.json")["training"]["best_metric"] == best["value"]
    assert main(["tune", str(recipe), 'tune={"training.weight_decay": [0.0, 0.1]}']) == 2
    assert "the search in " in capsys.readouterr().err


WORKER = """
import os, signal, sys
from hf_imgcls.api import trial
from hf_imgcls.cli import main
from hf_imgcls.reports import trials
from undrawn import Plots
trials.import_plots = Plots
if sys.argv.pop(1) == "killed":
    trial.train_stages = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)
sys.exit(main(sys.argv[1:]))
"""


def test_two_processes_share_the_trials_and_one_repeats_what_was_killed_in_the_other(recipe, tmp_path):
    words = ["tune", str(recipe), "--trials", "3"]
    done = [run_fresh(WORKER, "killed", *words, layer="package")]
    with ThreadPoolExecutor(2) as pool:
        done += pool.map(lambda kind: run_fresh(WORKER, kind, *words, layer="package"), ("whole", "whole"))
    assert [each.returncode for each in done[1:]] == [0, 0], done[1].stderr + done[2].stderr
    assert done[0].returncode != 0
    assert main(words) == 0  # two that end at once may each have written the table before the other's last trial
    rows = [line.split(",") for line in (tmp_path / "run-tune" / "trials.csv").read_text().splitlines()[1:]]
    assert sorted(row[1] for row in rows) == ["complete"] * 3 + ["failed"]
    failed = next(row for row in rows if row[1] == "failed")
    assert [row[4:6] for row in rows].count(failed[4:6]) == 2
    assert sum(each.stdout.count("its values are tried again") for each in done) == 1
    assert all("trial" in each.stdout for each in done)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--trials", "0"], "--trials: found 0"),
        (["--minutes", "nan"], "--minutes: found nan"),
        (["tune={}"], "tune: the recipe has no ranges to search"),
        (["data.folds=2"], "data.folds: tune compares trials on one validation split"),
        (['tune={"training.learning_rat": [1]}'], "with training.learning_rat=1: training.learning_rat: unknown key"),
        (['tune={"training.num_train_epochs": {"low": -1, "high": 3}}'], "num_train_epochs: found -1"),
        (['tune={"stages.0.train": ["head", {"last_blocks": 1}]}'], 'stages.0.cache_features: needs "train": "head"'),
        (['tune={"model.config.no_such": [1]}'], "model.config.no_such"),
        (["stages.0.cache_features=false", 'tune={"stages.0.train": ["all", {"last_blocks": 9}]}'], "last_blocks"),
        (["training.eval_strategy=no", *METRIC], "training.eval_strategy: tune compares"),
        (["data.validation_split=false", "data.validation_fraction=0", *METRIC], "there is no validation split to"),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_is_one_line_before_any_trial(recipe, tmp_path, capsys, words, line):
    assert main(["tune", str(recipe), *words]) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run-tune").exists()


def test_what_is_no_search_is_left_alone_and_optuna_may_be_missing(recipe, tmp_path, capsys, monkeypatch):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "a.txt").write_text("kept")
    assert main(["tune", str(recipe), "--output", str(mine)]) == 2
    assert f"--output: {mine} holds files that are not a search" in capsys.readouterr().err
    assert [file.name for file in mine.iterdir()] == ["a.txt"]
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["tune", str(recipe)]) == 2
    assert "start the command once for each" in capsys.readouterr().err
    monkeypatch.delenv("WORLD_SIZE")
    monkeypatch.setitem(__import__("sys").modules, "hf_imgcls.api.study", None)
    assert main(["tune", str(recipe)]) == 2
    assert 'tune: optuna is not installed; pip install "hf-imgcls[tune]"' in capsys.readouterr().err


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
