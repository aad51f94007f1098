"""Test-time augmentation in predict and evaluate: what is averaged, what is said of it, continuing and refusing."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from tiny import tiny_model, tiny_processor
from transformers import pipeline

from hf_imgcls import InputError, evaluate_classifier, predict_images
from hf_imgcls.cli import main
from hf_imgcls.models import MeanOfViews
from hf_imgcls.reports.tta import cautions_of_tta, describe_tta
from hf_imgcls.serving import Classifier, ClassifierOfViews, PredictOptions, Tally, describe_tally


def views_of(image: Image.Image) -> list[Image.Image]:
    """The ten views for a processor that shows the whole image, by Pillow alone."""
    width, height = image.size
    part = round(7 / 8 * width), round(7 / 8 * height)
    corners = [
        image.crop((left, top, left + part[0], top + part[1]))
        for left in (0, width - part[0])
        for top in (0, height - part[1])
    ]
    views = [image, *corners]
    return views + [ImageOps.mirror(view) for view in views]


def test_predictions_are_the_mean_of_the_pipelines_on_each_view(model, make_folder, tmp_path, capsys):
    photos, output = make_folder(test=2), tmp_path / "rows.csv"
    command = ["predict", model, "--output", str(output), "--tta", "flip,crops"]
    assert main([*command, str(photos / "test" / "red")]) == 0
    assert main([*command, str(photos)]) == 0  # goes on
    assert "has 2 of the images, 4 are left" in (said := capsys.readouterr().err)
    assert "tta: scores are the mean over 10 views of each image (as evaluated and four corners, each also mirr" in said
    rows = list(csv.DictReader(output.open()))
    assert len(rows) == 6
    assert all(row["model"].endswith("-tta-flip-crops") for row in rows)
    serve = pipeline("image-classification", model=model, device="cpu")
    for row in rows[1:3]:
        found = [{each["label"]: each["score"] for each in serve(view)} for view in views_of(Image.open(row["image"]))]
        mean = {label: np.mean([each[label] for each in found]) for label in found[0]}
        for place in (1, 2, 3):
            assert float(row[f"score_{place}"]) == pytest.approx(mean[row[f"label_{place}"]], abs=2e-5)
    written = output.read_bytes()
    plain = PredictOptions(tta=())
    with pytest.raises(InputError, match=r"has predictions of another model \(model@.*-tta-flip-crops, not model@"):
        predict_images(model, [str(photos)], output, plain)
    assert output.read_bytes() == written


def test_evaluate_scores_the_same_and_says_what_it_gains_and_costs(model, make_folder, tmp_path, capsys):
    photos, output = make_folder(test=4), tmp_path / "rows.jsonl"
    plain = evaluate_classifier(model, photos)
    predict_images(model, [str(photos)], output, PredictOptions(tta=("flip",)))
    capsys.readouterr()
    assert main(["evaluate", model, str(photos), "--tta", "flip", "--output", str(tmp_path / "x.json")]) == 0
    result = json.loads((tmp_path / "x.json").read_text())
    losses, right = [], []
    for row in map(json.loads, output.read_text().splitlines()):
        scores = {row[f"label_{place}"]: row[f"score_{place}"] for place in (1, 2, 3)}
        losses.append(-np.log(scores[Path(row["image"]).parent.name]))
        right.append(row["label_1"] == Path(row["image"]).parent.name)
    assert result["scores"]["loss"] == pytest.approx(np.mean(losses), abs=1e-5)
    assert result["scores"]["accuracy"] == pytest.approx(np.mean(right), abs=1e-6)
    tta, compared = result["tta"], result["tta"]["compared"]
    assert plain["tta"] is None
    assert tta["without"] == plain["scores"] != result["scores"]
    assert compared["loss"]["change"] == pytest.approx(result["scores"]["loss"] - plain["scores"]["loss"], abs=2e-6)
    difference = result["scores"]["accuracy"] - plain["scores"]["accuracy"]
    assert compared["to_right"] - compared["to_wrong"] == pytest.approx(12 * difference, abs=1e-4)
    assert (tta["kinds"], tta["views"]) == (["flip"], 2)
    lines = capsys.readouterr().out.splitlines()
    assert result["cautions"][0].startswith("with test-time augmentation, the mean of the probabilities of 2 views of")
    assert f"test: {result['cautions'][0]}" in lines
    assert [line.split()[1] for line in lines if line.startswith("tta:")][:3] == ["accuracy", "macro-F1", "loss"]
    assert lines[-1].endswith(" without, reading included")


@pytest.mark.parametrize("words", ["flop", "", "flip,flip"])
def test_other_views_are_refused_before_anything_is_opened(words, capsys):
    assert main(["predict", "no model", "no image", "--tta", words]) == 2
    assert main(["evaluate", "no model", "no data", "--tta", words]) == 2
    assert capsys.readouterr().err.count("hf-imgcls: --tta: ") == 2


def test_what_a_difference_is_worth_is_said():
    assert len(cautions_of_tta(("flip",), rejects=False)) == 1
    assert "not scored" in cautions_of_tta(("flip",), rejects=True)[1]
    change = {"change": 0.02, "interval_95": [-0.01, 0.05]}
    compared = {
        "changed": 3,
        "of": "images",
        "to_right": 1,
        "to_wrong": 2,
        "accuracy": change,
        "loss": {**change, "interval_95": [1, 2]},
    }
    tta = {"without": {"accuracy": 0.5, "loss": None}, "compared": compared, "seconds": 3.0, "seconds_without": 1.5}
    lines = describe_tta(tta, {"accuracy": 0.52, "loss": float("nan"), "images": 9})
    assert lines[0].endswith("+0.0200 (95 % interval, paired: -0.0100 to +0.0500; no difference is shown)")
    assert lines[1].startswith("tta: loss - without, - with")
    assert "no difference" not in lines[1]
    assert lines[2:] == [
        "tta: 3 images predicted otherwise: 1 changed to right, 2 to wrong",
        "tta: 2.0 times the time: 3 s, 1.5 s without, reading included",
    ]


def test_scores_of_any_classifier_are_averaged_and_counted():
    """An export, or a model of several labels, is a classifier with another function of its logits."""
    sigmoid = Classifier("x@1", ["a", "b"], tiny_processor(), lambda p: p[:, 0, 0, :2], lambda x: 1 / (1 + np.exp(-x)))
    several = ClassifierOfViews(sigmoid, ("flip",))
    views = torch.zeros(2, 3, 4, 4)
    views[0, 0, 0, 0], views[1, 0, 0, 1] = 1.0, 3.0
    found = several.scores([list(views), list(views.flip(0))])
    mean = [(1 / (1 + np.exp(-1)) + 0.5) / 2, (1 / (1 + np.exp(-3)) + 0.5) / 2]
    assert found == pytest.approx(np.array([mean, mean]), abs=1e-6)
    assert several.tally[:2] == (2, 1)
    assert "best label changed for 1 of 2 images" in describe_tally(("flip",), several.tally)
    assert describe_tally(("flip",), Tally(9, 1, 4.0, 2.0)).endswith(
        "the network took 2.0 times the time: 4 s, 2 s without"
    )
    assert describe_tally(("flip",), Tally()).endswith("took 0 s, 0 s without")


@pytest.mark.parametrize("problem", ["single_label_classification", "multi_label_classification"])
def test_logits_of_the_mean_give_the_mean_of_the_probabilities(problem):
    network = tiny_model("vit").eval()
    network.config.problem_type = problem
    function = torch.sigmoid if problem.startswith("multi") else lambda logits: logits.softmax(-1)
    views = torch.randn(2, 5, 3, 16, 16)
    with torch.no_grad():
        expected = function(network(pixel_values=views.flatten(0, 1)).logits).unflatten(0, (2, 5)).mean(1)
        assert torch.allclose(function(MeanOfViews(network)(views)["logits"]), expected, atol=1e-6)
