"""None of these, from the recipe to whoever predicts with the model."""

import csv
import json
import re
import shutil

import numpy as np
import pytest
from conftest import make_image
from PIL import Image
from tiny import tiny_model, tiny_processor
from transformers import pipeline
from undrawn import Plots

from hf_imgcls import InputError, evaluate_classifier, train_classifier
from hf_imgcls.api import check_recipe, predict_images
from hf_imgcls.api.rejection import check_can_reject
from hf_imgcls.data.rows import Data
from hf_imgcls.models.build import build_model
from hf_imgcls.publishing.space import _app
from hf_imgcls.recipe import load_recipe, networks_of
from hf_imgcls.recipe.sections import ModelSection
from hf_imgcls.serving import ClassifierOfViews, open_classifier
from hf_imgcls.serving.demo import _classify

HEAD = {"train": "head", "cache_features": True, "augmentation": {}, "logistic_regression": True}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose classes are colours, and a folder of images of none of them."""
    place = tmp_path_factory.mktemp("rejecting")
    tiny_model("vit").save_pretrained(place / "own")
    tiny_processor().save_pretrained(place / "own")
    for split, count, first in (("train", 8, 0), ("validation", 10, 100), ("test", 5, 200)):
        for colour in ("blue", "green", "red"):
            (place / "photos" / split / colour).mkdir(parents=True)
            for number in range(first, first + count):
                make_image(colour, number).save(place / "photos" / split / colour / f"{number}.png")
    (place / "unknown").mkdir()
    random = np.random.default_rng(0)
    for number in range(12):
        noise = Image.fromarray(random.integers(0, 256, (16, 16, 3), np.uint8))
        noise.save(place / "unknown" / f"{number}.png")
    recipe = {
        "data": {"path": str(place / "photos")},
        "model": {"checkpoint": str(place / "own")},
        "stages": [HEAD],
        "rejection": {"by": "energy", "keep": 0.9, "unknown_path": str(place / "unknown")},
        "training": {"output_dir": str(place / "run"), "per_device_eval_batch_size": 8, "disable_tqdm": True},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hf_imgcls.reports.figures.import_plots", Plots)
        return place, recipe, train_classifier(recipe)


def test_the_threshold_keeps_what_was_asked_for_and_is_reported(run, capsys):
    place, recipe, results = run
    found = results["rejection"]
    assert json.loads((place / "run" / "config.json").read_text())["none_of_these"] == {
        "by": "energy",
        "threshold": found["threshold"],
    }
    assert found["splits"]["validation"]["kept"] == 27
    assert found["splits"]["validation"]["images"] == 30
    unknown = found["unknown"]
    assert (unknown["images"], unknown["chose_threshold"], unknown["against"]) == (12, False, "test")
    card = (place / "run" / "README.md").read_text()
    assert "### None of these" in card
    assert f"{unknown['rejected']} of 12 rejected; AUROC {unknown['auroc']:.4f} against test" in card
    capsys.readouterr()
    assert train_classifier(recipe)["rejection"] == found
    assert "validation: none of these: energy below" in capsys.readouterr().out


def predictions(folder, images, output):
    predict_images(str(folder), images, output)
    with output.open() as lines:
        return list(csv.DictReader(lines))


def test_prediction_evaluation_the_page_and_the_cards_code_agree(run, tmp_path, monkeypatch, capsys):
    place, recipe, results = run
    data = recipe["data"]["path"]
    rows = predictions(place / "run", [f"{data}/validation", str(place / "unknown")], tmp_path / "out.csv")
    assert (
        f"{results['rejection']['unknown']['rejected'] + 3} images predicted as none of these"
        in capsys.readouterr().err
    )
    none = [row for row in rows if row["label_1"] == "none of these"]
    known = [row for row in none if "validation" in row["image"]]
    assert len(known) == 3
    assert len(none) - 3 == results["rejection"]["unknown"]["rejected"]
    assert all(row["score_1"] == "" and row["label_2"] in results["labels"] and row["score_2"] for row in none)

    capsys.readouterr()
    evaluated = evaluate_classifier(place / "run", data, "validation")["rejection"]
    found = results["rejection"]
    assert evaluated == {**found["splits"]["validation"], "by": "energy", "threshold": found["threshold"]}
    assert "validation: none of these: energy below" in capsys.readouterr().out

    card = (place / "run" / "README.md").read_text()
    code = re.search(r"With `none of these`:\s+```python\n(.*?)```", card, re.DOTALL)[1]
    code = code.replace('model="run"', f"model={str(place / 'run')!r}")
    monkeypatch.chdir(tmp_path)
    kept = next(row for row in rows if row["label_1"] != "none of these")
    from hf_imgcls.serving import page

    classifier = open_classifier(str(place / "run"))
    by_pipeline = page.with_rejection(pipeline("image-classification", str(place / "run")), 2)
    for row in (none[0], kept):
        image = Image.open(row["image"]).convert("RGB")
        image.save("photo.jpg", quality=100, subsampling=0)
        shutil.copy(row["image"], "photo.jpg")
        exec(code, {})
        label, score, best = capsys.readouterr().out.strip().rsplit(" ", 2)
        assert label == row["label_1"]
        shift = 2 if label == "none of these" else 1
        assert best == row[f"label_{shift}"]
        assert float(score) == pytest.approx(float(row[f"score_{shift}"]), abs=1e-5)
        for shown in (_classify(classifier, 2, image), by_pipeline(image)):
            assert shown[0]["label"] == row["label_1"]
            assert (shown[0]["score"] is None) == (label == "none of these")
            bars = page._bars(shown)
            assert (bars.label if label == "none of these" else next(iter(bars))) == row["label_1"]


def test_with_views_it_is_decided_on_the_image_as_it_is(run):
    place, _, _ = run
    classifier = open_classifier(str(place / "run"))
    several = ClassifierOfViews(classifier, ("flip",))
    images = [Image.open(file).convert("RGB") for file in sorted((place / "unknown").iterdir())]
    _, rejected = several.judge([several.process(image) for image in images])
    assert rejected.tolist() == classifier.judge([classifier.process(image) for image in images])[1].tolist()
    assert rejected.any()


def test_a_space_rejects_too(run):
    place, _, _ = run
    app = _app(place / "run", "me/run", None)
    assert "from page import LAUNCH, make_page, with_rejection\n" in app
    assert "make_page(with_rejection(classifier, 3), " in app


def test_another_threshold_is_another_model_and_one_trained_from_it_has_none(run, tmp_path):
    place, _, _ = run
    folder = shutil.copytree(place / "run", tmp_path / "run", ignore=shutil.ignore_patterns("checkpoint-*", "plots"))
    settings = json.loads((folder / "config.json").read_text())
    names = []
    for threshold in (settings["none_of_these"]["threshold"], 1e9, None):
        content = {**settings, "none_of_these": {"by": "energy", "threshold": threshold}}
        (folder / "config.json").write_text(json.dumps(content))
        names.append(open_classifier(str(folder)).name)
    assert len(set(names)) == 3
    model, _ = build_model(ModelSection(checkpoint=str(place / "run")), ["blue", "green", "red"], 0)
    assert "none_of_these" not in model.config.to_dict()


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"keep": 0.9}, "rejection.keep: needs rejection.by, score or energy"),
        ({"by": "distance"}, 'rejection.by: found "distance"'),
        ({"by": "score", "keep": 0}, "rejection.keep: found 0"),
        ({"by": "score", "unknown_path": "no/such"}, "rejection.unknown_path: no such file or folder 'no/such'"),
        ({"by": "score", "unknown_path": "-"}, "rejection.unknown_path: no such file or folder '-'"),
    ],
)
def test_a_section_that_cannot_be_is_one_line(section, words, run):
    with pytest.raises(InputError, match=re.escape(words)):
        check_recipe({**run[1], "rejection": section})


def test_images_of_a_class_are_none_of_no_class(run):
    _, recipe, _ = run
    with pytest.raises(InputError, match=r"lies in data.path, whose images are of a class"):
        check_recipe({**recipe, "rejection": {"by": "score", "unknown_path": recipe["data"]["path"] + "/test"}})


def test_what_only_the_data_show_is_refused_before_training(run):
    recipe = load_recipe({**run[1], "rejection": {"by": "score"}})
    with pytest.raises(InputError, match="rejection: its threshold is set on a validation split"):
        check_can_reject(recipe, Data({"train": [], "test": []}, ["a", "b"]))
    with pytest.raises(InputError, match="'none of these' is a class of the data"):
        check_can_reject(recipe, Data({"validation": []}, ["a", "none of these"]))


def test_an_ensemble_rejects_by_score_as_a_whole(run):
    _, recipe, _ = run
    ensemble = {"networks": [{"model": recipe["model"]}]}
    with pytest.raises(InputError, match="the energy of averaged probabilities is always 0"):
        load_recipe({**recipe, "ensemble": ensemble})
    whole = load_recipe({**recipe, "ensemble": ensemble, "rejection": {"by": "score"}})
    assert [network.rejection.by for network in networks_of(whole)] == [None, None]
