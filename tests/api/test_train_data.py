"""Runs on unusual data and checkpoints: unreadable images, labels in another order, images of test in train."""

import csv
import json
import shutil

import pytest
import test_train
from test_train import TRAINING
from tiny import tiny_model
from transformers import pipeline

from hf_imgcls import InputError, evaluate_classifier, train_classifier
from hf_imgcls.errors import ParityError
from hf_imgcls.training.trainer import ImageTrainer

recipe = test_train.recipe


@pytest.mark.usefixtures("undrawn")
def test_unreadable_images_are_reported_and_left_alone(recipe, tmp_path):
    broken = tmp_path / "photos" / "train" / "red" / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff nothing more")
    results = train_classifier(recipe, ["training.max_steps=1"])
    assert results["bad_images"] == 1
    rows = list(csv.DictReader((tmp_path / "run" / "bad_images.csv").open()))
    assert [(row["file"], row["label"], row["split"]) for row in rows] == [("train/red/broken.jpg", "red", "train")]
    assert broken.exists()
    with pytest.raises(InputError, match=r"train/red/broken\.jpg .*cannot be read"):
        train_classifier(recipe, ["data.bad_images=raise", f"training.output_dir={tmp_path / 'other'}"])
    assert not (tmp_path / "other").exists()


@pytest.mark.usefixtures("undrawn")
def test_a_checkpoint_of_the_same_labels_keeps_its_order(recipe, tmp_path):
    tiny_model("vit", ["red", "blue", "green"]).save_pretrained(tmp_path / "checkpoint")
    # A learning rate of 0: the run scores the checkpoint itself, so its answers must follow names, not positions.
    results = train_classifier(recipe, ["training.learning_rate=0", "training.max_steps=1"])
    assert results["labels"] == ["red", "blue", "green"]
    direct = evaluate_classifier(tmp_path / "checkpoint", recipe["data"]["path"])
    assert direct["scores"] == results["scores"]["test"]


@pytest.mark.usefixtures("undrawn")
def test_images_of_test_that_were_trained_on_stand_beside_the_accuracy(recipe, tmp_path, capsys):
    photos = tmp_path / "photos"
    for name in ("red/000.png", "blue/001.png"):
        shutil.copy(photos / "train" / name, photos / "test" / f"{name[:-4]}_again.png")
    results = train_classifier(recipe, ["training.max_steps=1"])
    caution = results["cautions"]["test"][0]
    assert caution.startswith("2 of 17 images are also in train, byte for byte; accuracy ")
    out = capsys.readouterr().out
    assert out.index("data: test: 2 of 17 images are also in train") < out.index("machine: ")
    lines = out.splitlines()
    assert lines[next(n for n, line in enumerate(lines) if line.startswith("test: accuracy")) + 1] == f"test: {caution}"
    card = (tmp_path / "run" / "README.md").read_text()
    assert card.index("Accuracy on 17 test images") < card.index(f"**Test: {caution}.**") < card.index("## Use")
    assert json.loads((tmp_path / "run" / "results.json").read_text())["duplicates"][0]["images"] == 2


@pytest.mark.usefixtures("undrawn")
def test_a_failed_parity_check_fails_the_run(recipe, tmp_path, monkeypatch):
    save = ImageTrainer.save_run

    def save_another_processor(self, folder):
        save(self, folder)
        file = folder / "preprocessor_config.json"
        file.write_text(file.read_text().replace('"image_mean": [', '"image_mean": [9, '))
        settings = json.loads(file.read_text())
        file.write_text(json.dumps({**settings, "image_mean": [0.1, 0.2, 0.9]}))

    monkeypatch.setattr(ImageTrainer, "save_run", save_another_processor)
    with pytest.raises(ParityError, match="parity check FAILED: validation/"):
        train_classifier(recipe)
    verdict = json.loads((tmp_path / "run" / "results.json").read_text())["parity"]
    assert not verdict["passed"]
    assert verdict["mismatch"]["image"].startswith("validation/")


@pytest.mark.usefixtures("undrawn")
def test_from_scratch_with_a_held_out_part_and_no_test(make_folder, tmp_path):
    recipe = {
        "data": {"path": str(make_folder(10))},
        "model": {
            "architecture": "resnet",
            "from_scratch": True,
            "image_size": 24,
            "config": {"embedding_size": 8, "hidden_sizes": [8], "depths": [1], "layer_type": "basic"},
        },
        "training": {"output_dir": str(tmp_path / "run"), **TRAINING},
    }
    results = train_classifier(recipe)
    assert results["images"] == {"train": 27, "validation": 3}
    assert list(results["scores"]) == ["validation"]
    served = pipeline("image-classification", str(tmp_path / "run"))
    assert dict(served.image_processor.size)["height"] == 24


@pytest.mark.usefixtures("undrawn")
def test_all_images_are_trained_on_where_nothing_is_held_out(make_folder, tmp_path, capsys):
    recipe = {
        "data": {"path": str(make_folder(4)), "validation_fraction": 0},
        "model": {"architecture": "convnet", "from_scratch": True, "image_size": 12, "config": {"filters": [4]}},
        "training": {"output_dir": str(tmp_path / "run"), **TRAINING, "num_train_epochs": 1},
    }
    results = train_classifier(recipe)
    assert (results["images"], results["scores"]) == ({"train": 12}, {})
    assert results["stages"][0]["selected_checkpoint"] == "last"
    verdict = results["parity"]
    assert (verdict["passed"], verdict["split"], verdict["images"], verdict["of"]) == (True, "train", 12, 12)
    out = capsys.readouterr().out
    assert "data: validation: none (data.validation_fraction is 0)" in out
    assert "reproduces the evaluated predictions on 12 train images" in out
    card = (tmp_path / "run" / "README.md").read_text()
    assert "It was not scored: the data had neither a validation nor a test split." in card
    assert "12 of 12 train images" in card


@pytest.mark.usefixtures("undrawn")
def test_a_stream_of_images(make_folder, tmp_path):
    recipe = {
        "data": {"path": str(make_folder(train=8, validation=4)), "streaming": True,
                 "label_names": ["blue", "green", "red"]},
        "model": {"architecture": "timm/resnet10t", "from_scratch": True, "image_size": 32},
        "training": {"output_dir": str(tmp_path / "run"), **TRAINING, "max_steps": 8},
    }  # fmt: skip
    results = train_classifier(recipe)
    assert results["training"]["steps"] == 8
    assert results["scores"]["validation"]["images"] == 12
    assert results["parity"]["passed"]
    assert results["parity"]["images"] == 12
    with pytest.raises(InputError, match=r"training\.max_steps"):
        train_classifier(recipe, ["training.max_steps=-1", f"training.output_dir={tmp_path / 'other'}"])
