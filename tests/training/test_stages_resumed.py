"""Stages that are resumed, refused before the first begins, or not better than the one before."""

import json
from types import SimpleNamespace

import pytest
import test_stages
from test_stages import AUGMENTATION, Killed, changed, kill, weights
from transformers import pipeline

from hf_imgcls import InputError, train_classifier
from hf_imgcls.models.restore import differing_tensors
from hf_imgcls.training.records import is_better

recipe = test_stages.recipe

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.mark.parametrize(("features", "kills"), [(False, [(1, 5), (2, 5)]), (True, [(1, 5), (2, 1)])])
def test_a_run_killed_in_a_stage_resumes_there_and_ends_like_an_uninterrupted_one(
    recipe, features, kills, tmp_path, monkeypatch, capsys
):
    recipe["augmentation"] = {**AUGMENTATION, "mix": ["MixUp", "CutMix"]}
    recipe["stages"][0].update({"cache_features": True, "augmentation": {}} if features else {})
    recipe["stages"][1]["optimizer"] = {"layer_decay": 0.5, "learning_rates": {"position": 2}}
    # The last weights, not the best: these might be from before the interruption, and hide what came after it.
    steps = ["training.load_best_model_at_end=false", "training.save_strategy=steps", "training.save_steps=2",
             "training.eval_strategy=steps", "training.eval_steps=2"]  # fmt: skip
    whole = train_classifier(recipe, [*steps, f"training.output_dir={tmp_path / 'whole'}"])
    for stage, step in kills:
        run = tmp_path / f"killed in stage {stage}"
        with monkeypatch.context() as patched:
            kill(patched, stage, step)
            with pytest.raises(Killed):
                train_classifier(recipe, [*steps, f"training.output_dir={run}"])
        capsys.readouterr()
        resumed = train_classifier(recipe, [*steps, f"training.output_dir={run}"])
        out = capsys.readouterr().out
        assert ("stage 1: trains" in out) == (stage == 1)
        assert ("resuming from" in out) == (step > 1)
        assert resumed["scores"] == whole["scores"]
        assert [s["steps"] for s in resumed["stages"]] == [6, 6]
        groups = [group.get("layer", "pattern") for group in resumed["stages"][1]["parameter_groups"]]
        assert groups == [3, 2, 1, 0, "pattern"]
        assert "learning rates:" in out
        assert differing_tensors(pipeline("image-classification", str(run)).model, tmp_path / "whole") == []
        histories = [json.loads((folder / "history.json").read_text()) for folder in (run, tmp_path / "whole")]
        losses = [[entry["loss"] for entry in history if "loss" in entry] for history in histories]
        assert losses[0] == losses[1]


def test_a_resumed_run_continues_the_count_of_early_stopping(recipe, tmp_path, monkeypatch):
    # A learning rate of 0: the first evaluation is the best, and the next three bring nothing.
    recipe["stages"][1:] = [{"early_stopping": {"patience": 3}, "training": {"learning_rate": 0.0}}]
    recipe["training"]["num_train_epochs"] = 9
    with monkeypatch.context() as patched:
        kill(patched, 2, 8)
        with pytest.raises(Killed):
            train_classifier(recipe)
    results = train_classifier(recipe)
    assert [s["steps"] for s in results["stages"]] == [27, 12]
    (tmp_path / "run" / "results.json").unlink()  # killed after the last step of training
    again = train_classifier(recipe)
    assert [s["steps"] for s in again["stages"]] == [27, 12]
    assert again["scores"] == results["scores"]


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ('stages.1.augmentation={"train":["RandomFlip"]}', r"stages\.1\.augmentation\.train\.0: .* no transform"),
        ('stages.1.augmentation={"mix":["MixDown"]}', r"stages\.1\.augmentation\.mix\.0: found 'MixDown'"),
        ('stages.1.train=["vit.encoder.layer.1"]', r"stages\.1\.train.*vit\.layers"),
        ("stages.1.train={\"last_blocks\": 3}", r"stages\.1\.train\.last_blocks: .*2 blocks"),
        ("optimizer.layer_decay=0.5", r"stages\.0\.optimizer: the head alone trains"),
        ('stages.1.optimizer.learning_rates={"head": 2}', r"stages\.1\.optimizer\.learning_rates: 'head' matches no"),
        ('loss.class_weights={"yellow": 2}', r"loss\.class_weights: the data has no class 'yellow'"),
        ('stages.1.training={"eval_strategy":"no"} stages.1.early_stopping={}', r"stages\.1\.early_stopping: needs"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_last_stage_shows_before_the_first_begins(recipe, override, line, tmp_path):
    with pytest.raises(InputError, match=line):
        train_classifier(recipe, override.split(" ") if "early" in override else [override])
    assert not (tmp_path / "run").exists()


def test_class_weights_move_predictions_towards_the_heavy_class(recipe, tmp_path):
    recipe["stages"] = [{"train": "head", "training": {"learning_rate": 1e-2, "load_best_model_at_end": False}}]
    plain = train_classifier(recipe, [f"training.output_dir={tmp_path / 'plain'}"])
    heavy = train_classifier(recipe, ['loss.class_weights={"red": 50}'])
    assert plain["stages"][0]["steps"] == heavy["stages"][0]["steps"]
    image = f"{recipe['data']['path']}/test/blue/000.png"
    score = {}
    for run in ("plain", "run"):
        predictions = pipeline("image-classification", str(tmp_path / run))(image)
        score[run] = next(each["score"] for each in predictions if each["label"] == "red")
    assert score["run"] > score["plain"] + 0.02


@pytest.mark.parametrize("better", [True, False])
def test_a_stage_that_is_not_better_leaves_the_weights_of_the_one_before(recipe, tmp_path, capsys, monkeypatch, better):
    recipe["stages"] = [
        {"train": "head", "cache_features": True, "augmentation": {}, "logistic_regression": True},
        {"train": "all", "only_if_better": True, "training": {"num_train_epochs": 1}},
    ]
    monkeypatch.setattr("hf_imgcls.training.stages.is_better", lambda *_: better)
    results = train_classifier(recipe)
    differing = changed(weights(tmp_path / "run" / "stage-1"), weights(tmp_path / "run"))
    assert bool(differing) == better
    assert ("whose weights are kept" in capsys.readouterr().out) != better
    assert results["stages"][1]["selected_checkpoint"] == ("best" if better else "stage 1")
    assert results["parity"]["passed"]


@pytest.mark.parametrize(
    ("metric", "values", "expected"),
    [("accuracy", (0.9, 0.8), True), ("accuracy", (0.9, 0.9), False), ("loss", (0.3, 0.4), True)],
)
def test_the_better_stage_is_that_of_the_better_best_step(metric, values, expected):
    records = [
        {"best_step": 2, "history": [{"step": 1, f"eval_{metric}": 0.5}, {"step": 2, f"eval_{metric}": value}]}
        for value in values
    ]
    arguments = SimpleNamespace(metric_for_best_model=metric, greater_is_better=metric != "loss")
    assert is_better(*records, arguments) is expected
    records[1]["history"].clear()
    with pytest.raises(InputError, match=f"has no {metric} on validation"):
        is_better(*records, arguments)
