"""Stages of a run: what each trains, which checkpoint the next starts from, and resuming in the middle of one."""

import itertools
import json

import pytest
import torch
import transformers
from safetensors.torch import load_file
from tiny import tiny_model, tiny_processor
from transformers import TrainerCallback

from hf_imgcls import InputError, train_classifier
from hf_imgcls.training.trainer import ImageTrainer

pytestmark = pytest.mark.usefixtures("undrawn")
AUGMENTATION = {"train": ["RandomResizedCrop", "RandomHorizontalFlip"]}


@pytest.fixture
def recipe(make_folder, tmp_path):
    """Two stages of two epochs of three steps: the head alone, then everything."""
    tiny_model("vit").save_pretrained(tmp_path / "checkpoint")
    tiny_processor().save_pretrained(tmp_path / "checkpoint")
    return {
        "data": {"path": str(make_folder(train=4, validation=2, test=2))},
        "model": {"checkpoint": str(tmp_path / "checkpoint")},
        "augmentation": AUGMENTATION,
        "stages": [{"train": "head", "training": {"learning_rate": 1e-2}}, {"train": "all"}],
        "training": {
            "output_dir": str(tmp_path / "run"),
            "num_train_epochs": 2,
            "learning_rate": 1e-3,
            "per_device_train_batch_size": 4,
            "per_device_eval_batch_size": 8,
            "disable_tqdm": True,
            "logging_steps": 1,
        },
    }


def weights(folder):
    return load_file(folder / "model.safetensors")


def changed(before: dict, after: dict) -> set[str]:
    return {name for name in before if not before[name].equal(after[name])}


class Killed(Exception):
    pass


def kill(monkeypatch, stage: int, step: int):
    """Stop a run in the middle of a stage."""
    original = ImageTrainer.__init__

    class Kill(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step == step and args.output_dir.endswith(f"stage-{stage}"):
                raise Killed

    def with_a_killer(self, *args, **kwargs):
        original(self, *args, **kwargs)
        self.add_callback(Kill())

    monkeypatch.setattr(ImageTrainer, "__init__", with_a_killer)


def test_each_stage_trains_its_part_and_the_next_starts_from_it(recipe, tmp_path, capsys):
    results = train_classifier(recipe)
    run = tmp_path / "run"
    begun, first, last = weights(tmp_path / "checkpoint"), weights(run / "stage-1"), weights(run)
    assert changed(begun, first) == {"classifier.weight", "classifier.bias"}
    assert len(changed(first, last)) > 20
    assert [(s["stage"], s["train"], s["steps"]) for s in results["stages"]] == [(1, "head", 6), (2, "all", 6)]
    assert [stage["seed"] for stage in results["stages"]] == [42, 43], "the same images in the same order again"
    assert results["stages"][0]["trained_parameters"] == 51
    assert results["stages"][1]["trained_parameters"] == results["stages"][0]["parameters"]
    assert results["training"]["steps"] == 12
    assert results["parity"]["passed"]
    history = json.loads((run / "history.json").read_text())
    losses = [(entry["stage"], entry["step"], entry["learning_rate"]) for entry in history if "loss" in entry]
    assert [entry[:2] for entry in losses] == [(1, s) for s in range(1, 7)] + [(2, s) for s in range(1, 7)]
    assert (losses[0][2], losses[6][2]) == (1e-2, 1e-3)
    out = capsys.readouterr().out
    assert "stage 1: trains 51 of " in out
    assert "stage 2 starts from the best checkpoint of stage 1" in out
    assert not list((run / "stage-1").glob("*.bin")), "a pickle"


def test_a_convolutional_network_stays_channels_last_in_every_stage(recipe, tmp_path, monkeypatch):
    tiny_model("convnet").save_pretrained(tmp_path / "checkpoint")
    layouts, train = [], ImageTrainer.train

    def watched(self, *args, **kwargs):
        kernels = [parameter for parameter in self.model.parameters() if parameter.ndim == 4]
        layouts.append({kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels})
        return train(self, *args, **kwargs)

    monkeypatch.setattr(ImageTrainer, "train", watched)
    results = train_classifier(recipe)
    assert results["machine"]["channels_last"] is True
    assert layouts == [{True}, {True}]


@pytest.mark.parametrize(("best", "step"), [(True, 3), (False, 6)])
def test_the_selected_checkpoint_is_the_best_or_the_last(recipe, best, step, tmp_path):
    # A metric that falls from one evaluation to the next: the best step is the first evaluated and not the last.
    falling = itertools.count(0, -1)
    recipe["stages"][0]["training"].update({"load_best_model_at_end": best, "metric_for_best_model": "falling"})
    results = train_classifier(recipe, metrics={"falling": lambda predictions, labels: float(next(falling))})
    assert results["stages"][0]["best_step"] == 3
    assert results["stages"][0]["selected_checkpoint"] == ("best" if best else "last")
    stage = tmp_path / "run" / "stage-1"
    assert changed(weights(stage), weights(stage / f"checkpoint-{step}")) == set()
    assert changed(weights(stage), weights(stage / f"checkpoint-{9 - step}")) != set()


@pytest.fixture
def on_features(recipe):
    recipe["stages"][0] = {
        "train": "head", "cache_features": True, "augmentation": {}, "early_stopping": {"patience": 2},
        "training": {"learning_rate": 1e-2, "label_smoothing_factor": 0.1},
    }  # fmt: skip
    return recipe


def test_a_head_on_features_is_the_start_of_the_next_stage_and_later_runs_read_the_features(
    on_features, tmp_path, capsys
):
    train_classifier(on_features)
    assert "features: 12 computed and cached" in capsys.readouterr().out
    begun, first = weights(tmp_path / "checkpoint"), weights(tmp_path / "run" / "stage-1")
    assert changed(begun, first) == {"classifier.weight", "classifier.bias"}
    again = train_classifier(on_features, [f"training.output_dir={tmp_path / 'again'}"])
    out = capsys.readouterr().out
    assert "features: 12 read from the cache" in out
    assert "computed" not in out
    assert changed(weights(tmp_path / "run"), weights(tmp_path / "again")) == set()
    assert again["parity"]["passed"]


def test_a_single_stage_on_features_is_scored_and_saved_as_the_whole_model(on_features, tmp_path):
    del on_features["stages"][1]
    results = train_classifier(on_features)
    assert results["parity"]["passed"]
    assert changed(weights(tmp_path / "checkpoint"), weights(tmp_path / "run")) == {
        "classifier.weight", "classifier.bias"
    }  # fmt: skip
    # Nothing random in it: the head on features learns what it learns on the frozen network.
    direct = {**on_features, "stages": [{**on_features["stages"][0], "cache_features": False}]}
    same = train_classifier(direct, [f"training.output_dir={tmp_path / 'direct'}"])
    assert same["stages"][0]["trained_parameters"] == results["stages"][0]["trained_parameters"] == 51
    heads = [weights(tmp_path / name)["classifier.weight"] for name in ("run", "direct")]
    assert (heads[0] - heads[1]).abs().max() < 1e-3


def test_features_of_random_images_are_refused(on_features):
    on_features["stages"][0]["augmentation"] = {"train": ["RandomResizedCrop"]}
    with pytest.raises(InputError, match=r"stages\.0\.augmentation\.train: RandomResizedCrop is random"):
        train_classifier(on_features)


def test_two_heads_have_no_one_feature(on_features, tmp_path):
    config = transformers.DeiTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24, image_size=16, patch_size=8
    )
    transformers.DeiTForImageClassificationWithTeacher(config).save_pretrained(tmp_path / "checkpoint")
    with pytest.raises(InputError, match=r"model: DeiTForImageClassificationWithTeacher has 2 output layers"):
        train_classifier(on_features)
    assert not (tmp_path / "run").exists()
