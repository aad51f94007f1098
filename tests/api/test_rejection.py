"""None of these, from the recipe to whoever predicts with the model."""

import csv
import json
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers
from conftest import make_image
from datasets import Dataset
from finished import content_of
from PIL import Image
from tiny import tiny_model, tiny_processor
from transformers import AutoConfig, pipeline
from undrawn import Plots

from hf_imgcls import ImageClassifier, InputError, evaluate_classifier, train_classifier
from hf_imgcls.api import check_recipe, predict_images, seen
from hf_imgcls.api.rejection import check_can_reject, check_network, set_rejection
from hf_imgcls.api.thresholds import leave_out_trained
from hf_imgcls.cli import main
from hf_imgcls.data import load_data
from hf_imgcls.data.rows import Data
from hf_imgcls.images import read_image
from hf_imgcls.models.build import build_model
from hf_imgcls.publishing.shareable import shareable_files
from hf_imgcls.publishing.space import _app
from hf_imgcls.recipe import load_recipe, networks_of
from hf_imgcls.recipe.sections import ModelSection
from hf_imgcls.reports.card.use import use_section
from hf_imgcls.scoring import scored_logits
from hf_imgcls.serving import ClassifierOfViews, ClassMeans, open_classifier, page
from hf_imgcls.serving.inference import exported_rejection

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


@pytest.fixture(scope="module", params=["energy", "score", "distance"])
def saved(request, run, tmp_path_factory):
    """A copy of the run, by each of the three, with what was found."""
    place, recipe, results = run
    if request.param == "energy":
        return place / "run", results["rejection"]
    folder = tmp_path_factory.mktemp(request.param) / "run"
    shutil.copytree(place / "run", folder, ignore=shutil.ignore_patterns("checkpoint-*", "plots", "stage-*"))
    changed = load_recipe({**recipe, "rejection": {**recipe["rejection"], "by": request.param}})
    data, classifier = load_data(changed.data), open_classifier(str(folder))
    outputs = {}
    for split in ("validation", "test"):
        rows = data.splits[split]
        pixels = [classifier.process(read_image(image)) for image in rows["image"][:]]
        outputs[split] = scored_logits(torch.from_numpy(classifier.outputs(pixels)), torch.tensor(rows["label"][:]))
    found = set_rejection(changed, folder, outputs, data, "cpu")
    (folder / "README.md").write_text("\n".join(use_section(folder, "run", {**results, "rejection": found})))
    return folder, found


def test_prediction_evaluation_the_page_and_the_cards_code_agree(run, saved, tmp_path, monkeypatch, capsys):
    (place, recipe, results), (folder, found) = run, saved
    data = recipe["data"]["path"]
    rows = predictions(folder, [f"{data}/validation", str(place / "unknown")], tmp_path / "out.csv")
    assert f"{found['unknown']['rejected'] + 3} images predicted as none of these" in capsys.readouterr().err
    none = [row for row in rows if row["label_1"] == "none of these"]
    assert len([row for row in none if "validation" in row["image"]]) == 3
    assert all(row["score_1"] == "" and row["label_2"] in results["labels"] and row["score_2"] for row in none)

    evaluated = evaluate_classifier(folder, data, "validation")["rejection"]
    assert {key: evaluated[key] for key in ("by", "threshold")} == {key: found[key] for key in ("by", "threshold")}
    assert evaluated | found["splits"]["validation"] == evaluated
    assert f"validation: none of these: {found['by']} below" in capsys.readouterr().out

    code = re.search(r"With `none of these`:\s+```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)[1]
    code = code.replace('model="run"', f"model={str(folder)!r}")
    monkeypatch.chdir(tmp_path)
    kept = next(row for row in rows if row["label_1"] != "none of these")
    by_pipeline = page.with_rejection(pipeline("image-classification", str(folder)), 2)
    classify = ImageClassifier(folder, "cpu")
    for row in (none[0], kept):
        image = Image.open(row["image"]).convert("RGB")
        shutil.copy(row["image"], "photo.jpg")
        exec(code, {})
        label, score, best = capsys.readouterr().out.strip().rsplit(" ", 2)
        place_of_best = 2 if label == "none of these" else 1
        assert (label, best) == (row["label_1"], row[f"label_{place_of_best}"])
        assert float(score) == pytest.approx(float(row[f"score_{place_of_best}"]), abs=1e-5)
        for shown in (classify(image, 2), by_pipeline(image)):
            assert shown[0]["label"] == row["label_1"]
            assert (shown[0]["score"] is None) == (label == "none of these")
            bars = page._bars(shown)
            assert (bars.label if label == "none of these" else next(iter(bars))) == row["label_1"]


def test_a_distance_goes_with_the_model_but_not_into_an_export(saved, tmp_path):
    folder, found = saved
    config = AutoConfig.from_pretrained(folder)
    assert (exported_rejection(config) is None) == (found["by"] == "distance")
    assert ("none_of_these.safetensors" in shareable_files(folder)) == (found["by"] == "distance")
    if found["by"] == "distance":
        shutil.copytree(folder, tmp_path / "run")
        (tmp_path / "run" / "none_of_these.safetensors").write_bytes(b"x")
        with pytest.raises(InputError, match=r"none_of_these.safetensors is missing or damaged"):
            open_classifier(str(tmp_path / "run"))


def test_the_means_are_those_of_standardized_features():
    features, label_ids = torch.rand(30, 5) * torch.tensor([1.0, 9, 3, 2, 0]), torch.arange(30) % 3
    means = ClassMeans.of(features, label_ids, 3)
    standardized = (features - features.mean(0)) / features.std(0, correction=0).clamp(min=1e-6)
    expected = torch.stack([standardized[label_ids == label].mean(0) for label in range(3)])
    torch.testing.assert_close(means.means, expected, atol=1e-5, rtol=1e-4)
    nearest = torch.cosine_similarity(standardized[:, None], expected[None], dim=2).amax(1)
    torch.testing.assert_close(torch.from_numpy(means.nearest(features)).float(), nearest, atol=1e-5, rtol=1e-4)


def test_a_network_of_two_heads_has_no_distance(run):
    transformers.set_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    config = transformers.DeiTConfig(**sizes, image_size=16, patch_size=8, num_labels=3)
    config.architectures = ["DeiTForImageClassificationWithTeacher"]
    recipe = load_recipe({**run[1], "rejection": {"by": "distance"}})
    model = transformers.AutoModelForImageClassification.from_config(config)
    with pytest.raises(InputError, match=r"rejection.by: no distance, since .* output layers"):
        check_network(recipe, model, (16, 16))


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
        found = {"by": "energy", "threshold": threshold} if threshold else None
        (folder / "config.json").write_text(json.dumps({**settings, "none_of_these": found}))
        names.append(open_classifier(str(folder)).name)
    assert len(set(names)) == 3
    model, _ = build_model(ModelSection(checkpoint=str(place / "run")), ["blue", "green", "red"], 0)
    assert "none_of_these" not in model.config.to_dict()


@pytest.fixture
def copied(run, tmp_path):
    left = shutil.ignore_patterns("checkpoint-*", "plots", "stage-*")
    return shutil.copytree(run[0] / "run", tmp_path / "run", ignore=left)


def test_the_threshold_of_a_finished_run_is_set_anew(run, copied, capsys):
    photos = run[0] / "photos"
    words = ["evaluate", copied, photos, "--set-thresholds", "rejection.by=score", "rejection.keep=0.8"]
    assert main([*map(str, words)]) == 0
    kept, results = (json.loads((copied / name).read_text()) for name in ("config.json", "results.json"))
    found = results["rejection"]
    assert kept["none_of_these"] == {"by": "score", "threshold": found["threshold"]}
    assert found["splits"] == {"validation": {**found["splits"]["validation"], "images": 30, "kept": 24}}
    assert results["scores"] == run[2]["scores"]
    assert "keeps 80.0 % of the 30 images of validation." in (copied / "README.md").read_text()
    out = capsys.readouterr().out
    assert f"none of these: score below {found['threshold']:.6g}, set on 30 images of validation" in out
    assert "(was: energy below " in out
    assert "validation: the threshold of none of these was set on these images" in out
    assert main([*map(str, words[:4]), "rejection.keep=0.5"]) == 0
    assert json.loads((copied / "results.json").read_text())["rejection"]["splits"]["validation"]["kept"] == 15
    assert "(was: score below " in capsys.readouterr().out
    mixed = evaluate_classifier(copied, photos, "train+validation", set_thresholds=True)
    assert "24 of 54 images left out, since they are not of the model's validation split" in mixed["notes"]
    assert (mixed["rejection"]["by"], mixed["rejection"]["images"], mixed["rejection"]["kept"]) == ("score", 30, 29)


def test_copies_of_training_images_in_the_validation_split_are_left_out_as_such(monkeypatch, tmp_path):
    digests = np.arange(6)
    data = SimpleNamespace(digests={"validation": digests}, files={"validation": [*"abcdef"]}, notes=[])
    data.splits = {"validation": Dataset.from_dict({"label": digests})}
    roles = {"train": digests == 2, "validation": np.ones(6, bool)}  # the third is in both
    monkeypatch.setattr(seen, "_seen_by_role", lambda model, data: (roles, []))
    monkeypatch.setattr(seen, "read_seen", lambda model: ({}, {"validation": digests}, []))
    leave_out_trained(str(tmp_path), data)
    assert data.notes == ["1 of 6 images left out, since the model was trained on them"]
    assert data.files["validation"] == [*"abdef"]


@pytest.mark.parametrize(
    ("model", "words", "line"),
    [
        ("run", ["training.seed=1"], "takes data.key=value only"),
        ("run", ["rejection.by=energy", "--split", "train"], "the model was trained on all 24 images of train"),
        ("run", ["rejection.by=distance"], "rejection.by: distance is that to means of training images"),
        ("run", ["--tta", "flip"], "leave --tta out"),
        ("run", ["rejection.by=score", "rejection.unknown_path=nowhere"], "no such file or folder 'nowhere'"),
        ("../own", [], "has one label an image and no threshold of none of these; name what"),
        ("some/model", [], "some/model is no model in a folder of this machine"),
    ],
)
def test_a_threshold_that_cannot_be_set_is_one_line_and_changes_nothing(model, words, line, run, copied, capsys):
    place = {"run": copied, "../own": run[0] / "own"}.get(model, model)
    before = content_of(copied)
    assert main(["evaluate", str(place), str(run[0] / "photos"), "--set-thresholds", *words]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert line in error
    assert len(error) < 400
    assert content_of(copied) == before


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"keep": 0.9}, "rejection.keep: needs rejection.by, score, energy or distance"),
        ({"by": "margin"}, 'rejection.by: found "margin"'),
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


def test_what_only_the_data_show_is_refused_before_training(run, tmp_path):
    recipe = load_recipe({**run[1], "rejection": {"by": "score"}})
    with pytest.raises(InputError, match="rejection: its threshold is set on a validation split"):
        check_can_reject(recipe, Data({"train": [], "test": []}, ["a", "b"]))
    with pytest.raises(InputError, match="'none of these' is a class of the data"):
        check_can_reject(recipe, Data({"validation": []}, ["a", "none of these"]))
    (tmp_path / "a.jpg").write_text("no image")
    recipe = load_recipe({**run[1], "rejection": {"by": "score", "unknown_path": str(tmp_path)}})
    with pytest.raises(InputError, match=r"rejection\.unknown_path: none of 1 image there can be read"):
        check_can_reject(recipe, Data({"validation": []}, ["a", "b"]))


def test_an_ensemble_rejects_by_score_as_a_whole(run):
    _, recipe, _ = run
    ensemble = {"networks": [{"model": recipe["model"]}]}
    with pytest.raises(InputError, match="averaged probabilities have no energy"):
        load_recipe({**recipe, "ensemble": ensemble})
    whole = load_recipe({**recipe, "ensemble": ensemble, "rejection": {"by": "score"}})
    assert [network.rejection.by for network in networks_of(whole)] == [None, None]
