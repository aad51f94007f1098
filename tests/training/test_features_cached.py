"""Cached features: what they follow from, what is believed, and heads that are trained on them."""

import json

import datasets
import numpy as np
import pytest
import test_features
import torch
from safetensors.torch import load_file, save_file
from test_features import INPUT, compute
from tiny import SIZE, tiny_model, tiny_processor
from transformers import DefaultDataCollator

from hf_imgcls import InputError, train_classifier
from hf_imgcls.errors import RestoreError
from hf_imgcls.images.transforms import TrainTransform
from hf_imgcls.models.restore import restore_weights
from hf_imgcls.training.features import HeadOnFeatures
from hf_imgcls.training.trainer import ImageTrainer

arguments, cache = test_features.arguments, test_features.cache


def test_other_transforms_are_other_features(cache, data, arguments, capsys):
    for specs in (["Resize"], ["Resize", {"Grayscale": {"num_output_channels": 3}}]):
        compute(tiny_model("vit"), data, arguments, TrainTransform(specs, tiny_processor(), [0, 1, 2], 0))
    assert capsys.readouterr().out.count("computed and cached") == 2


def test_a_killed_run_leaves_nothing_that_is_believed(cache, data, arguments, monkeypatch, capsys):
    model = tiny_model("vit")
    forward, calls = model.forward, []

    def killed(**inputs):
        calls.append(1)
        if len(calls) == 4:  # the first finds the head; of three batches two are written
            raise KeyboardInterrupt
        return forward(**inputs)

    monkeypatch.setattr(model, "forward", killed)
    with pytest.raises(KeyboardInterrupt):
        compute(model, data, arguments)
    assert not list(cache.iterdir())
    monkeypatch.undo()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache.parents[1])
    assert len(compute(model, data, arguments)) == 12


def test_images_of_the_training_path_are_normalised_as_the_trainer_does(cache, data, arguments):
    model, split = tiny_model("vit"), data.splits["train"]
    images = TrainTransform([{"Resize": {"size": [SIZE, SIZE]}}], tiny_processor(), [0, 1, 2], seed=0)
    features = compute(model, data, arguments, images)
    trainer = ImageTrainer(model, arguments, data_collator=DefaultDataCollator(), images=images)
    batch = DefaultDataCollator()([split.with_transform(images)[i] for i in range(len(split))])
    assert batch["pixel_values"].dtype == torch.uint8
    with torch.no_grad():
        direct = model.eval()(**{k: v for k, v in trainer._prepare_inputs(batch).items() if k == "pixel_values"}).logits
        on_features = HeadOnFeatures(model, INPUT).eval()(features[:]["pixel_values"])["logits"]
    assert (direct - on_features).abs().max() <= 1e-5


def test_a_checkpoint_of_the_head_alone_is_restored_exactly_or_not_at_all(tmp_path):
    head = HeadOnFeatures(tiny_model("vit"), INPUT)
    saved = {key: tensor + 1 for key, tensor in head.state_dict().items()}
    save_file(saved, tmp_path / "model.safetensors")
    restore_weights(head, tmp_path)
    assert all(torch.equal(head.state_dict()[key], saved[key]) for key in saved)
    save_file({"head.weight": saved["head.weight"]}, tmp_path / "model.safetensors")
    with pytest.raises(RestoreError, match=r"head\.bias"):
        restore_weights(head, tmp_path)
    save_file({**saved, "head.bias": torch.zeros(4)}, tmp_path / "model.safetensors")
    with pytest.raises(RestoreError, match=r"size mismatch for head\.bias"):
        restore_weights(head, tmp_path)


@pytest.fixture
def recipe(make_folder, tmp_path, undrawn):
    tiny_model("vit").save_pretrained(tmp_path / "checkpoint")
    tiny_processor().save_pretrained(tmp_path / "checkpoint")
    return {
        "data": {"path": str(make_folder(train=6, validation=3, test=2))},
        "model": {"checkpoint": str(tmp_path / "checkpoint")},
        "stages": [{"train": "head", "cache_features": True}],
        "training": {
            "output_dir": str(tmp_path / "run"),
            "num_train_epochs": 3,
            "learning_rate": 0.02,
            "per_device_train_batch_size": 4,
            "disable_tqdm": True,
        },
    }


def test_a_run_on_cached_features_ends_where_one_without_them_does(recipe, cache, tmp_path, capsys):
    cached = train_classifier(recipe)
    assert "features: 18 computed and cached" in capsys.readouterr().out
    again = train_classifier(recipe, [f"training.output_dir={tmp_path / 'again'}"])
    out = capsys.readouterr().out
    assert "features: 18 read from the cache" in out
    assert "computed and cached" not in out
    recipe["stages"][0]["cache_features"] = False
    direct = train_classifier(recipe, [f"training.output_dir={tmp_path / 'direct'}"])
    assert again["scores"] == cached["scores"]
    begun, one, two, three = (
        load_file(tmp_path / place / "model.safetensors") for place in ("checkpoint", "run", "again", "direct")
    )
    assert all(torch.equal(one[key], two[key]) for key in one)
    # Training images without features are rounded to uint8; everything else is the same, steps and order included.
    assert max(difference(one, three, key) for key in one) < 1e-3
    assert difference(one, begun, "classifier.weight") > 1e-2
    assert json.loads((tmp_path / "run" / "config.json").read_text())["architectures"] == ["ViTForImageClassification"]
    assert cached["parity"]["passed"]
    assert np.isclose(cached["scores"]["test"]["loss"], direct["scores"]["test"]["loss"], atol=1e-3)


def difference(one: dict, other: dict, key: str) -> float:
    return float((one[key] - other[key]).abs().max())


def test_random_augmentation_in_the_same_stage_is_an_error(recipe, cache):
    recipe["augmentation"] = {"train": ["RandomHorizontalFlip"]}
    with pytest.raises(
        InputError, match=r"stages.0.augmentation.train: RandomHorizontalFlip is random.*views.*\"augmentation"
    ):
        train_classifier(recipe)
    assert not cache.exists()
