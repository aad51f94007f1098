"""A search from its recipe to its best one: on validation alone, in one process or in several."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from fresh import run_fresh
from tiny import tiny_model, tiny_processor

from hf_imgcls import load_recipe, train_classifier, tune_recipe
from hf_imgcls.api import TuneOptions
from hf_imgcls.api.search_space import check_effects, own_values
from hf_imgcls.cli import main
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
        (['tune={"training.learning_rate": [0.1, 0.2]}'], "tune.training.learning_rate: makes no difference"),
        (["stages.0.logistic_regression=true", f'tune={{"{RATE}": [0.1, 0.2]}}'], f"tune.{RATE}: makes no difference"),
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


def test_the_recipes_own_values_are_found_as_they_are_listed():
    content = {
        "data": {"path": "photos"},
        "model": {"checkpoint": "a/b"},
        "stages": [{"train": {"last_blocks": 2}}],
        "tune": {
            "training.label_smoothing_factor": [0.1, 0],
            "stages.0.train": ["head", {"last_blocks": 2}],
            "training.num_train_epochs": {"low": 1, "high": 5},
        },
        "training": {"output_dir": "run"},
    }
    recipe = load_recipe(content)
    own, _ = own_values(recipe, recipe.tune)
    assert own == {
        "training.label_smoothing_factor": 0,
        "stages.0.train": {"last_blocks": 2},
        "training.num_train_epochs": 3.0,
    }
    check_effects({key: value for key, value in content.items() if key != "tune"}, recipe.tune)
    recipe.tune["training.label_smoothing_factor"].pop()
    assert own_values(recipe, recipe.tune)[0] is None


def test_what_is_no_search_is_left_alone_and_optuna_may_be_missing(recipe, tmp_path, capsys, monkeypatch):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "a.txt").write_text("kept")
    assert main(["tune", str(recipe), "--output", str(mine)]) == 2
    assert f"--output: {mine} holds files that are not a search" in capsys.readouterr().err
    assert [file.name for file in mine.iterdir()] == ["a.txt"]
    assert main(["tune", str(recipe), "--output", str(tmp_path / "photos" / "search")]) == 2
    assert "would lie in " in capsys.readouterr().err
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["tune", str(recipe)]) == 2
    assert "start the command once for each" in capsys.readouterr().err
    monkeypatch.delenv("WORLD_SIZE")
    monkeypatch.setitem(__import__("sys").modules, "hf_imgcls.api.study", None)
    assert main(["tune", str(recipe)]) == 2
    assert 'tune: optuna is not installed; pip install "hf-imgcls[tune]"' in capsys.readouterr().err
