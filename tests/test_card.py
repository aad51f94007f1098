"""The model card: what the Hub reads in it, what people read in it, and what it must not give away."""

import json
import re

import pytest
from huggingface_hub import ModelCard, ModelCardData

from hf_imgcls.card import write_card
from hf_imgcls.recipe import load_recipe

RESULTS = {
    "labels": ["cat", "dog"],
    "pictures": {"train": 20, "validation": 10, "test": 30},
    "scores": {
        "validation": {
            "pictures": 10, "accuracy": 0.9, "macro_f1": 0.8, "loss": 0.3, "accuracy_interval_95": [0.6, 0.98],
        },
        "test": {
            "pictures": 30, "accuracy": 0.8, "macro_f1": 0.7, "loss": 0.5, "accuracy_interval_95": [0.63, 0.91],
            "top5_accuracy": 0.95,
        },
    },
    "served_as_scored": {
        "passed": True, "pictures": 10, "of": 10, "split": "validation", "largest_difference": 2e-7, "mismatch": None,
    },
    "training": {"seconds": 12.3},
    "stages": [
        {
            "stage": 1, "train": "head", "cache_features": True, "trained_parameters": 1538, "parameters": 2225858,
            "epochs": 20.0, "steps": 1260, "goes_on_with": "best",
        },
        {
            "stage": 2, "train": {"last_blocks": 4}, "cache_features": False, "trained_parameters": 912000,
            "parameters": 2225858, "epochs": 1.5, "steps": 63, "goes_on_with": "last",
        },
    ],
    "seed": 42,
    "hardware": "1 process, 2 CPU cores (x86_64)",
    "versions": {"python": "3.11.7", "torch": "2.15.0"},
}  # fmt: skip


def card(folder, model: dict, data: str = "ethz/food101", results: dict = RESULTS, hub=None, **recipe) -> str:
    folder.mkdir(exist_ok=True)
    training = {"output_dir": str(folder), "hub_model_id": hub}
    write_card(folder, load_recipe({"data": {"path": data}, "model": model, "training": training, **recipe}), results)
    return (folder / "README.md").read_text(encoding="utf-8")


def test_the_metadata_is_what_the_hub_expects(tmp_path):
    text = card(tmp_path / "run", {"checkpoint": "google/vit-base-patch16-224-in21k"}, description="ViT: a test #1")
    data = ModelCard.load(tmp_path / "run" / "README.md").data
    assert data.to_dict() == {
        "library_name": "transformers",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "hf-imgcls"],
        "base_model": "google/vit-base-patch16-224-in21k",
        "datasets": "ethz/food101",
        "metrics": ["accuracy", "f1"],
    }
    assert ModelCardData(**data.to_dict()).to_yaml() == data.to_yaml()
    assert "# ViT: a test #1\n" in text


def test_how_each_stage_was_trained_is_told(tmp_path):
    text = card(tmp_path / "run", {"checkpoint": "google/vit-base-patch16-224-in21k"})
    assert (
        "- stage 1: head, on features computed once: 1,538 of 2,225,858 parameters, 20 epochs, 1260 steps, "
        "kept: best weights\n"
    ) in text
    assert '- stage 2: {"last_blocks": 4}: 912,000 of 2,225,858 parameters, 1.5 epochs, 63 steps, kept: last' in text


def test_what_was_measured_is_told(tmp_path):
    text = card(tmp_path / "run", {"checkpoint": "google/vit-base-patch16-224-in21k"})
    assert "| test | 30 | 0.8000 | 0.6300 to 0.9100 | 0.9500 | 0.7000 | 0.5000 |" in text
    assert "| validation | 10 | 0.9000 | 0.6000 to 0.9800 | - | 0.8000 | 0.3000 |" in text
    assert "10 of 10 validation pictures; the largest difference of a score was 2.0e-07" in text
    assert "An image classifier of 2 classes: cat, dog." in text
    assert "20 train, 10 validation, 30 test" in text
    assert 'pipeline("image-classification", model="run")' in text
    assert "# run\n" in text


@pytest.mark.parametrize("place", ["absolute", "relative", "home"])
def test_paths_of_the_machine_are_not_given_away(place, tmp_path, monkeypatch):
    for name in ("weights", "photos"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    root = {"absolute": f"{tmp_path}/", "relative": "./", "home": "~/"}[place]
    text = card(tmp_path / "run", {"checkpoint": f"{root}weights"}, f"{root}photos")
    assert str(tmp_path) not in text
    assert not re.search(r"[\s\"'(`](/|~/|\./)\w", text)
    data = ModelCard.load(tmp_path / "run" / "README.md").data.to_dict()
    assert "base_model" not in data
    assert "datasets" not in data
    assert "- weights: weights\n" in text


def test_what_is_no_hub_id_is_not_said_to_be_one(tmp_path):
    text = card(tmp_path / "run", {"checkpoint": "google/vit"}, "hdfs://server/photos/*.tar")
    assert "datasets:" not in text


@pytest.mark.parametrize(
    "model", [{"architecture": "resnet"}, {"architecture": "timm/resnet18"}, {"checkpoint": "google/vit"}]
)
def test_weights_of_nobody_have_no_base(model, tmp_path):
    text = card(tmp_path / "run", {**model, "from_scratch": True})
    assert "base_model" not in text
    assert "- weights: no weights, from scratch" in text


def test_a_model_that_is_not_served_as_scored_says_so(tmp_path):
    answers = {"scored": {"label": "cat", "score": 0.9}, "served": {"label": "dog", "score": 0.8}}
    verdict = {**RESULTS["served_as_scored"], "passed": False, "mismatch": {"picture": "test/cat/1.jpg", **answers}}
    text = card(tmp_path / "run", {"checkpoint": "google/vit"}, results={**RESULTS, "served_as_scored": verdict})
    assert "**NOT served as scored: test/cat/1.jpg was scored cat (0.9000), pipeline answers dog (0.8000)**" in text
    assert "gave the answers" not in text


def test_a_run_without_anything_to_score(tmp_path):
    text = card(
        tmp_path / "run", {"checkpoint": "google/vit"}, results={**RESULTS, "scores": {}, "served_as_scored": None}
    )
    assert "There was no split to compare the served model with." in text


def test_many_classes_are_not_all_listed(tmp_path):
    results = {**RESULTS, "labels": [f"class {i}" for i in range(101)]}
    text = card(tmp_path / "run", {"checkpoint": "google/vit"}, results=results)
    assert "class 19, and 81 more." in text
    assert "class 20" not in text


def test_the_name_on_the_hub_is_the_name_to_use(tmp_path):
    text = card(tmp_path / "run", {"checkpoint": "google/vit"}, hub="someone/food")
    assert 'model="someone/food"' in text
    text = card(tmp_path / "run" / "..", {"checkpoint": "google/vit"})
    assert f'model="{tmp_path.name}"' in text


def test_a_network_with_code_of_its_own_is_opened_with_trust(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    code = {"AutoModelForImageClassification": "convnet.ConvNetForImageClassification"}
    (run / "config.json").write_text(json.dumps({"auto_map": code}))
    text = card(run, {"architecture": "convnet", "from_scratch": True})
    assert 'model="run")' in text  # code that does not lie beside the weights is not to be trusted
    (run / "convnet.py").write_text("")
    text = card(run, {"architecture": "convnet", "from_scratch": True})
    assert 'model="run", trust_remote_code=True)' in text
    assert "its code is in `convnet.py`" in text
