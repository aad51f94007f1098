"""A run from its recipe to its results, on a small folder of images and tiny models."""

import json
import shutil

import pytest
from fresh import run_fresh
from tiny import tiny_model, tiny_processor
from transformers import TrainerCallback, pipeline

from hf_imgcls import InputError, evaluate_classifier, train_classifier
from hf_imgcls.models.restore import differing_tensors
from hf_imgcls.store import describe_weights
from hf_imgcls.training.trainer import ImageTrainer

TRAINING = {
    "num_train_epochs": 2,
    "learning_rate": 5e-3,
    "per_device_train_batch_size": 4,
    "per_device_eval_batch_size": 4,
    "logging_steps": 1,
}


@pytest.fixture
def recipe(make_folder, tmp_path):
    tiny_model("vit", [f"old {n}" for n in range(7)]).save_pretrained(tmp_path / "checkpoint")
    tiny_processor().save_pretrained(tmp_path / "checkpoint")
    return {
        "description": "Colours",
        "data": {"path": str(make_folder(train=8, validation=4, test=5))},
        "model": {"checkpoint": str(tmp_path / "checkpoint")},
        "augmentation": {"train": ["RandomResizedCrop", "RandomHorizontalFlip"]},
        "training": {"output_dir": str(tmp_path / "run"), **TRAINING},
    }


def test_a_run_leaves_everything_needed_to_score_again(recipe, tmp_path, capsys):
    results = train_classifier(recipe)
    folder = tmp_path / "run"
    for name in ("model.safetensors", "config.json", "preprocessor_config.json", "recipe.json", "splits.json",
                 "digests.npz", "bad_images.csv", "results.json", "history.json", "README.md"):  # fmt: skip
        assert (folder / name).is_file(), name
    assert not list(folder.glob("*.bin")), "a pickle"
    assert json.loads((folder / "results.json").read_text()) == json.loads(json.dumps(results))
    assert json.loads((folder / "recipe.json").read_text()) == recipe
    assert results["images"] == {"train": 24, "validation": 12, "test": 15}
    assert results["scores"]["test"]["images"] == 15
    assert results["weights"] == describe_weights(folder)["weights"] != {}
    assert results["versions"]["transformers"]
    verdict = results["parity"]
    assert (verdict["passed"], verdict["images"], verdict["split"]) == (True, 12, "validation")
    assert "rows" not in verdict
    history = json.loads((folder / "history.json").read_text())
    assert [entry["step"] for entry in history if "loss" in entry] == list(range(1, 13))
    config = json.loads((folder / "config.json").read_text())
    assert config["id2label"] == {"0": "blue", "1": "green", "2": "red"}
    assert config["problem_type"] == "single_label_classification"
    out, err = capsys.readouterr()
    assert "parity check passed: pipeline() reproduces the evaluated predictions on 12 validation images" in out
    assert "majority baseline 0.3333), macro-F1" in out
    assert "\r" not in err, "a progress bar in a log file"
    assert "eval_loss" not in out

    again = evaluate_classifier(folder, recipe["data"]["path"])
    assert again["split"] == "test"
    assert again["scores"] == results["scores"]["test"]
    assert again["fingerprint"] == results["fingerprints"]["test"]
    assert again["duplicates"] == results["duplicates"] == []


@pytest.mark.usefixtures("undrawn")
def test_the_saved_folder_answers_in_a_fresh_process(recipe, tmp_path):
    train_classifier(recipe)
    image = f"{recipe['data']['path']}/test/red/000.png"
    script = f"""
from transformers import pipeline
answer = pipeline("image-classification", model={str(tmp_path / "run")!r})({image!r}, top_k=3)
print(sorted(each["label"] for each in answer), round(sum(each["score"] for each in answer), 4))
"""
    done = run_fresh(script, layer="transformers")
    assert done.stdout.strip() == "['blue', 'green', 'red'] 1.0", done.stderr


@pytest.mark.usefixtures("undrawn")
def test_a_finished_run_answers_with_its_results_and_another_recipe_is_refused(recipe, tmp_path, capsys, monkeypatch):
    results = train_classifier(recipe, ["training.max_steps=1"])
    first = capsys.readouterr().out.splitlines()
    before = {file: file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file()}
    (tmp_path / "link").symlink_to(tmp_path / "run")
    monkeypatch.chdir(tmp_path / "photos")  # the same run by other names of its folder
    for folder in (f"{tmp_path}/run", f"{tmp_path}/run/", "../run", f"{tmp_path}/link"):
        again = train_classifier(recipe, ["training.max_steps=1", f"training.output_dir={folder}"])
        assert again == json.loads(json.dumps(results))
        second = capsys.readouterr().out.splitlines()
        assert second[0].startswith("finished already: ")
        start = next(n for n, line in enumerate(first) if line.startswith("validation: accuracy"))
        assert second[1:-1] == first[start:-1]
    for changed, words in (
        (["data.path=nobody/nothing"], r"max_steps 1, now not set"),
        (
            ["training.max_steps=2"],
            r"has another recipe: training\.max_steps 1, now 2; name another folder, or add --start-over",
        ),
    ):
        with pytest.raises(InputError, match=words):
            train_classifier(recipe, changed)
    shutil.copy(tmp_path / "photos" / "train" / "red" / "000.png", tmp_path / "photos" / "train" / "red" / "001.png")
    with pytest.raises(InputError, match=r"finished, and had other images of train; .*--start-over"):
        train_classifier(recipe, ["training.max_steps=1"])
    assert {file: file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file()} == before


class Killed(Exception):
    pass


class KillAt(TrainerCallback):
    def __init__(self, step: int):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            raise Killed


@pytest.mark.usefixtures("undrawn")
def test_a_killed_run_resumes_and_ends_where_an_uninterrupted_one_does(recipe, tmp_path, monkeypatch, capsys):
    steps = ["training.save_strategy=steps", "training.save_steps=4", "training.eval_strategy=steps",
             "training.eval_steps=4"]  # fmt: skip
    whole = train_classifier(recipe, [*steps, f"training.output_dir={tmp_path / 'whole'}"])
    original = ImageTrainer.__init__

    def with_a_killer(self, *args, **kwargs):
        original(self, *args, **kwargs)
        self.add_callback(KillAt(10))

    with monkeypatch.context() as patched:
        patched.setattr(ImageTrainer, "__init__", with_a_killer)
        with pytest.raises(Killed):
            train_classifier(recipe, steps)
    with pytest.raises(InputError, match=r"unfinished.*training\.learning_rate"):
        train_classifier(recipe, [*steps, "training.learning_rate=1e-5"])
    settings = json.loads((tmp_path / "run" / "begun.json").read_text())
    settings["settings"] |= {"processes": 2, "image_processor": {"image_mean": [0.1, 0.5, 0.5]}}
    (tmp_path / "run" / "begun.json").write_text(json.dumps(settings))
    with pytest.raises(InputError, match=r"begun with processes 2, now 1; image_processor.* --resume-anyway"):
        train_classifier(recipe, steps)
    resumed = train_classifier(recipe, steps, resume_anyway=True)
    assert "resuming from" in capsys.readouterr().out
    assert resumed["notes"][-1].startswith("begun with processes 2, now 1; image_processor.image_mean.0 0.1, now ")
    assert resumed["scores"] == whole["scores"]
    assert resumed["stages"][0]["seconds"] >= resumed["stages"][0]["earlier_seconds"] > 0
    assert resumed["training"]["steps"] == 12
    model = pipeline("image-classification", str(tmp_path / "run")).model
    assert differing_tensors(model, tmp_path / "whole") == []
