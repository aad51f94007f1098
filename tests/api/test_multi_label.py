"""Several labels an image, from a table to a served model; the colours of a made image's halves are its labels."""

import csv
import json
import re
import shutil

import numpy as np
import pytest
import torch
from conftest import COLOURS, make_image
from PIL import Image
from tiny import tiny_model, tiny_processor
from transformers import pipeline
from undrawn import Plots

from hf_imgcls import ImageClassifier, InputError, evaluate_classifier, train_classifier
from hf_imgcls.api import average_models
from hf_imgcls.api.fit import fit_folder
from hf_imgcls.api.predict import predict_images
from hf_imgcls.models import applied_thresholds, load_network
from hf_imgcls.models.build import build_model
from hf_imgcls.models.ensemble import EnsembleConfig, EnsembleForImageClassification
from hf_imgcls.publishing.space import _app
from hf_imgcls.recipe.sections import ModelSection
from hf_imgcls.serving import open_classifier
from hf_imgcls.serving.image_classifier import NO_LABEL
from hf_imgcls.serving.onnx.pixels import usage
from hf_imgcls.serving.page import with_thresholds
from hf_imgcls.serving.parity import compare_predictions

NAMES = list(COLOURS)
SETS = [["blue"], ["green"], ["red"], ["blue", "green"], ["green", "red"], []]


def make_pairs(folder, **counts):
    """Images of two halves, each of a colour or grey, and a metadata.csv for each split."""
    for split, count in counts.items():
        (folder / split).mkdir(parents=True)
        with (folder / split / "metadata.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["file_name", "labels"])
            for number in range(count):
                labels, image = SETS[number % len(SETS)], Image.new("RGB", (24, 24), (90, 90, 90))
                for place, colour in enumerate(labels):
                    image.paste(make_image(colour, number + 1000 * len(split), (12, 24)), (12 * place, 0))
                image.putpixel((0, 0), (number, len(split), 0))  # no two grey ones are alike
                image.save(folder / split / f"{number:03d}.png")
                table.writerow([f"{number:03d}.png", "|".join(labels)])
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A recipe and its results: a solved head, and all weights behind it."""
    root = tmp_path_factory.mktemp("pairs")
    tiny_model("vit", [f"old {n}" for n in range(7)]).save_pretrained(root / "checkpoint")
    tiny_processor().save_pretrained(root / "checkpoint")
    recipe = {
        "data": {"path": str(make_pairs(root / "photos", train=30, validation=18, test=18))},
        "model": {"checkpoint": str(root / "checkpoint"), "multi_label": True},
        "augmentation": {"mix": ["MixUp", "Identity"]},
        "loss": {"class_weights": "balanced"},
        "stages": [
            {"train": "head", "cache_features": True, "logistic_regression": True, "augmentation": {}},
            {"train": "all", "training": {"num_train_epochs": 2}},
        ],
        "training": {
            "output_dir": str(root / "run"),
            "learning_rate": 2e-3,
            "label_smoothing_factor": 0.05,
            "per_device_train_batch_size": 6,
            "per_device_eval_batch_size": 6,
        },
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hf_imgcls.reports.figures.import_plots", Plots)
        patch.setattr("hf_imgcls.training.regression._FEW", 0)  # the validation split chooses the penalty without folds
        return root / "run", recipe, train_classifier(recipe)


def test_a_run_is_scored_by_map_and_saves_its_thresholds(run):
    folder, _, results = run
    config = json.loads((folder / "config.json").read_text())
    assert config["problem_type"] == "multi_label_classification"
    assert config["label_thresholds"] == results["thresholds"]
    assert set(results["thresholds"]) == set(NAMES)
    scores = results["scores"]["test"]
    assert scores["map"] > scores["map_baseline"]
    assert {"micro_f1", "macro_f1", "loss", "map_interval_95"} <= scores.keys()
    assert "accuracy" not in scores
    history = json.loads((folder / "history.json").read_text())
    assert any("eval_map" in entry for entry in history if entry["stage"] == 1)
    assert results["parity"]["passed"]
    shown = json.loads((folder / "report/report.json").read_text())["splits"]["test"]["map"]
    assert shown["images"] == shown["of"] == scores["images"]
    assert any("thresholds were set on these images" in line for line in results["cautions"]["validation"])


def test_evaluate_scores_with_the_saved_thresholds(run):
    folder, recipe, results = run
    again = evaluate_classifier(folder, recipe["data"]["path"])
    assert again["scores"] == results["scores"]["test"]
    assert again["breakdown"]["classes"] == results["breakdown"]["test"]["classes"]
    flipped = evaluate_classifier(folder, recipe["data"]["path"], tta=["flip"])
    assert flipped["tta"]["compared"].keys() >= {"changed", "loss"}


def predicted_by_pipeline(folder, image) -> list[str]:
    config = json.loads((folder / "config.json").read_text())
    served = pipeline("image-classification", model=str(folder), function_to_apply="sigmoid", device="cpu")
    scores = {each["label"]: each["score"] for each in served(image, top_k=3)}
    return [label for label, score in scores.items() if score >= config["label_thresholds"][label]]


def test_predict_demo_space_and_card_apply_the_thresholds(run, tmp_path, monkeypatch, capsys):
    folder, recipe, _ = run
    images = [f"{recipe['data']['path']}/test/00{number}.png" for number in range(6)]
    expected = [predicted_by_pipeline(folder, image) for image in images]
    assert len({tuple(each) for each in expected}) > 1
    for suffix in (".csv", ".jsonl", ".parquet"):
        predict_images(str(folder), images, tmp_path / f"out{suffix}")
    rows = list(csv.DictReader((tmp_path / "out.csv").open()))
    assert [row["labels"] for row in rows] == ["|".join(each) for each in expected]
    assert predict_images(str(folder), images, tmp_path / "out.csv").earlier == 6

    classify, served = ImageClassifier(folder, "cpu"), pipeline("image-classification", model=str(folder), device="cpu")
    of_space = with_thresholds(served, 3)
    for path, labels in zip(images, expected, strict=True):
        shown = [each["label"] for each in classify(path, 3)]
        assert shown == (labels or [NO_LABEL, *[each["label"] for each in served(path, top_k=3)]])
        assert [each["label"] for each in of_space(path)] == shown
    assert "make_page(with_thresholds(classifier, 3)" in _app(folder, "me/colours", None)

    code = re.search(r"```python\n(.*?)\n```", (folder / "README.md").read_text(), re.DOTALL)[1]
    monkeypatch.chdir(tmp_path)
    Image.open(images[3]).save("photo.jpg", quality=100, subsampling=0)
    capsys.readouterr()
    exec(code.replace('model="run"', f"model={str(folder)!r}"), {})
    printed = [line.split(maxsplit=1)[1] for line in capsys.readouterr().out.splitlines()]
    assert printed == predicted_by_pipeline(folder, "photo.jpg")


def test_thresholds_are_set_anew_on_other_images(run, tmp_path, capsys):
    folder, recipe, results = run
    shutil.copytree(folder, tmp_path / "run", ignore=shutil.ignore_patterns("stage*", "checkpoint*"))
    again = evaluate_classifier(tmp_path / "run", recipe["data"]["path"], "test", set_thresholds=True)
    kept, changed = (json.loads((tmp_path / "run" / name).read_text()) for name in ("config.json", "results.json"))
    before, now = results["breakdown"]["test"]["classes"], again["breakdown"]["classes"]
    assert kept["label_thresholds"] == changed["thresholds"] == {name: each["threshold"] for name, each in now.items()}
    assert changed["thresholds"] != results["thresholds"]
    assert all(now[name]["f1"] >= before[name]["f1"] for name in NAMES)
    assert changed["scores"] == results["scores"]
    later = "the thresholds were set later, on 18 images of test: F1, precision and recall are those of the ones before"
    assert changed["cautions"]["test"][-1] == later
    assert later[1:] in (tmp_path / "run/README.md").read_text()
    assert "test: the thresholds were set on these images, so F1" in capsys.readouterr().out
    with pytest.raises(InputError, match="the model has several labels an image, or none of them"):
        evaluate_classifier(folder, recipe["data"]["path"], overrides=["rejection.by=score"], set_thresholds=True)


def test_an_average_has_thresholds_of_its_own(run, tmp_path):
    folder, _, results = run
    checkpoint = min((folder / "stage-2").glob("checkpoint-*"), key=lambda each: int(each.name.rpartition("-")[2]))
    average = average_models([folder, checkpoint], tmp_path / "average")
    assert average["parity"]["passed"]
    first, second = average["average"]["models"]
    assert average["average"]["metric"] == "map"
    known = results["scores"]["validation"]
    assert {key: first["scores"]["validation"][key] - known[key] for key in ("map", "micro_f1", "macro_f1")} == {
        "map": 0, "micro_f1": 0, "macro_f1": 0
    }  # fmt: skip
    config = json.loads((tmp_path / "average/config.json").read_text())
    assert config["label_thresholds"] == average["thresholds"] != results["thresholds"]
    assert second["scores"]["test"]["micro_f1"] != first["scores"]["test"]["micro_f1"]
    assert "| average of 2 |" in (tmp_path / "average/README.md").read_text()


def test_a_folder_that_scores_with_a_softmax_fails_the_parity_check(run, tmp_path):
    folder, recipe, _ = run
    shutil.copytree(folder, tmp_path / "changed", ignore=shutil.ignore_patterns("stage*", "checkpoint*"))
    config = json.loads((tmp_path / "changed/config.json").read_text())
    (tmp_path / "changed/config.json").write_text(json.dumps({**config, "problem_type": "single_label_classification"}))
    path = f"{recipe['data']['path']}/test/003.png"  # of two labels, whose sigmoids are both high
    with Image.open(path) as image:
        logits = open_classifier(str(folder)).outputs([open_classifier(str(folder)).process(image.convert("RGB"))])
    rows = [{"image": {"bytes": None, "path": path}, "name": "000.png"}] * 2
    both = np.repeat(logits, 2, axis=0)
    assert compare_predictions(folder, rows, both, "cpu", several=True)["passed"]
    assert not compare_predictions(tmp_path / "changed", rows, both, "cpu", several=True)["passed"]


def test_an_ensemble_is_the_mean_of_sigmoids(run):
    network, _ = load_network(str(run[0]))
    settings = {"networks": [network.config.to_dict()] * 2, "scales": [[1.0] * 3] * 2, "shifts": [[0.0] * 3] * 2}
    config = EnsembleConfig(**settings, orders=[[0, 1, 2]] * 2, problem_type="multi_label_classification")
    ensemble = EnsembleForImageClassification(config).eval()
    for part in ensemble.networks:
        part.load_state_dict(network.state_dict())
    pixels = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        assert torch.allclose(ensemble(pixels).logits.sigmoid(), network(pixels).logits.sigmoid(), atol=1e-6)
        # Logits of sure labels too, which an export has to reproduce: 1 - p has digits of its own.
        before = network(pixels).logits
        for shift in (14, -14, 60):
            for part in ensemble.networks:
                part.classifier.bias.copy_(network.classifier.bias + shift)
            assert torch.allclose(ensemble(pixels).logits, before + shift, rtol=0, atol=1e-4)


def test_onnx_code_applies_thresholds():
    about = {"resize": None, "thresholds": [0.5]}
    assert "scores = zip(about" in usage(about)
    assert usage(about).startswith("import json")
    assert "import numpy as np" in usage(about)


def test_fit_refuses_several_labels(run, tmp_path):
    with pytest.raises(InputError, match="fit compares networks with one label an image"):
        fit_folder(run[1]["data"]["path"], overrides=["model.multi_label=true", f"training.output_dir={tmp_path}"])


def test_thresholds_that_were_written_wrongly_are_refused(run):
    config = load_network(str(run[0]))[0].config
    for changed in (
        {"red": 0.5},
        {**config.label_thresholds, "red": 1.5},
        {**config.label_thresholds, "red": "0.5"},
        [1],
    ):
        config.label_thresholds = changed
        with pytest.raises(InputError, match=r"label_thresholds in config\.json: found .*, expected a number"):
            applied_thresholds(config)


def test_a_run_whose_labels_were_one_each_starts_with_a_new_head(run, tmp_path):
    """A head of softmaxes is none of sigmoids, and thresholds of a run before are not those of this one."""
    model, _ = build_model(ModelSection(checkpoint=str(run[0])), NAMES, 0)
    saved, _ = load_network(str(run[0]))
    assert not hasattr(model.config, "label_thresholds")
    assert not np.allclose(model.classifier.weight.detach(), saved.classifier.weight.detach())
    same, _ = build_model(ModelSection(checkpoint=str(run[0]), multi_label=True), NAMES, 0)
    assert np.allclose(same.classifier.weight.detach(), saved.classifier.weight.detach())
