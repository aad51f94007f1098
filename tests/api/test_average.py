"""`hf-imgcls average`: what is averaged, what is refused, and a folder that opens as that of a run does."""

import json

import pytest
import torch
from finished import content_of
from safetensors.torch import load_file, save_file
from tiny import tiny_model, tiny_processor
from transformers import set_seed

from hf_imgcls import evaluate_classifier, load_data
from hf_imgcls.api import average
from hf_imgcls.cli import main
from hf_imgcls.recipe import DataSection
from hf_imgcls.store import put_in_place

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture
def make_run(make_folder, tmp_path, monkeypatch):
    """Folders as runs leave them, of networks near each other; made without training."""
    monkeypatch.chdir(tmp_path)
    make_folder(train=4, validation=2, test=2)
    data = load_data(DataSection(path="photos"))

    def make(name, shift=0.0, family="vit", origin="some/vit", **files):
        folder, model = tmp_path / name, tiny_model(family)
        set_seed(3)
        with torch.no_grad():
            for each in model.parameters():
                each.add_(torch.randn_like(each) * shift)
        model.save_pretrained(folder)
        tiny_processor().save_pretrained(folder)
        recipe = {"data": {"path": "photos"}, "model": {"checkpoint": origin},
                  "training": {"output_dir": name, "metric_for_best_model": "loss", "push_to_hub": True}}  # fmt: skip
        made = {"recipe": recipe, "splits": data.describe_splits(), "results": {"scores": {}}, **files}
        for file, content in made.items():
            if content is not None:
                (folder / f"{file}.json").write_text(json.dumps(content))
        return folder

    return make


def weights(folder):
    return load_file(folder / "model.safetensors")


def test_a_plain_average_is_a_folder_like_that_of_a_run(make_run, tmp_path, capsys):
    runs = [make_run("a"), make_run("c", 0.02)]
    (runs[1] / "checkpoint-4.part").mkdir()
    put_in_place(make_run("c/checkpoint-4.part/checkpoint-4", 0.02), runs[1] / "checkpoint-4")
    before = content_of(tmp_path)
    assert main(["average", "a", "c/checkpoint-4"]) == 0
    assert {name: content for name, content in content_of(tmp_path).items() if name in before} == before
    out = capsys.readouterr().out
    results = json.loads((tmp_path / "a-average" / "results.json").read_text())
    assert results["parity"]["passed"]
    assert list(results["weights"]) == ["model.safetensors"]
    models = results["average"]["models"]
    assert [(each["model"], each["weight"]) for each in models] == [
        ("a", 0.5),
        ("c/checkpoint-4", 0.5),
    ]
    assert models[1]["scores"]["test"]["loss"] == evaluate_classifier("c", "photos")["scores"]["loss"]
    mean, parts = weights(tmp_path / "a-average"), [weights(run) for run in runs]
    assert all(torch.equal(mean[n], (sum(p[n].double() for p in parts) / 2).float()) for n in mean)
    assert "average: 2 models, validation loss " in out
    assert f"; report: {tmp_path / 'a-average/report/report.html'}" in out
    assert "No maps: maps need grad-cam" in (tmp_path / "a-average/report/report.html").read_text()
    card = (tmp_path / "a-average" / "README.md").read_text()
    assert "The mean of the weights of these models" in card
    assert "| c/checkpoint-4 | 0.5000 |" in card
    assert "push_to_hub" not in card
    assert main(["train", "a-average/recipe.json"]) == 2
    assert "is an average of others, which no recipe trains" in capsys.readouterr().err


def test_a_calibrated_average_has_a_temperature_of_its_own(make_run, tmp_path, capsys):
    for name, shift in (("a", 0.0), ("b", 0.02)):
        file = make_run(name, shift) / "recipe.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "calibration": {"temperature_scaling": True}}))
    assert main(["average", "a", "b"]) == 0
    folder = tmp_path / "a-average"
    results = json.loads((folder / "results.json").read_text())
    found, name = results["temperature"], "classifier.weight"
    mean = (weights(tmp_path / "a")[name].double() + weights(tmp_path / "b")[name].double()) / 2
    torch.testing.assert_close(weights(folder)[name], (mean / found["value"]).float())
    assert found["splits"]["validation"]["after"]["loss"] == results["scores"]["validation"]["loss"]
    assert results["scores"]["validation"]["loss"] < found["splits"]["validation"]["before"]["loss"]
    assert results["parity"]["passed"]
    assert f"calibration: logits are divided by {found['value']:.4g}" in capsys.readouterr().out
    assert "Scores are calibrated by temperature scaling" in (folder / "README.md").read_text()
    assert json.loads((folder / "report/report.json").read_text())["temperature"]["applied"]


def test_a_greedy_average_leaves_out_what_makes_validation_worse(make_run, tmp_path, capsys, monkeypatch):
    """Batch normalization: its statistics are those of the mean, on images of train."""
    monkeypatch.setattr(average, "_BATCH", 4)
    folders = [
        make_run("a", 0.001, "mini_xception"),
        make_run("bad", 3.0, "mini_xception", "another/vit"),
        make_run("b", 0.0, "mini_xception"),
    ]
    for folder, value in zip(folders, (1.0, 1.0, 1.2), strict=True):
        changed = {n: t * value if n.endswith("running_var") else t for n, t in weights(folder).items()}
        save_file(changed, folder / "model.safetensors", {"format": "pt"})
    assert main(["average", "a", "bad", "b", "--greedy", "--output", "out/soup"]) == 0
    results = json.loads((tmp_path / "out" / "soup" / "results.json").read_text())
    chosen = {each["model"]: each["weight"] for each in results["average"]["models"]}
    assert chosen == {"a": 0.5, "bad": 0.0, "b": 0.5}
    assert results["average"]["recomputed_normalizations"] > 2
    assert results["parity"]["passed"]
    assert "left out: bad: loss " in capsys.readouterr().out
    (note,) = (each for each in results["notes"] if "rarely good" in each)
    assert note.startswith("bad was not trained from the same weights as a: ")


REFUSED = {
    "a": "name two or more runs",
    "a a/": "are the same folder",
    "a photos": "photos is neither a run nor a checkpoint of one",
    "a nowhere": "no such folder 'nowhere'",
    "a open": "the run in open is not finished; run it to its end, or name its checkpoints",
    "a refitted": "refitted was refitted on its validation images",
    "a others": "others had other images of validation than a",
    "a stream": "stream was trained on a stream",
    "a last": "last has no validation split",
    "a convnext": "convnext is a ConvNextForImageClassification, not a ViTForImageClassification",
    "a b --output photos": "--output: photos is not empty",
    "old old2": "images of test are not those that old was trained with",
}


def test_what_does_not_go_together_is_refused_in_a_line(make_run, tmp_path, capsys):
    splits = json.loads((make_run("a") / "splits.json").read_text())["fingerprints"]
    make_run("b")
    make_run("open", results=None)
    make_run("refitted", results={"stages": [{"refit": True}]})
    make_run("others", splits={"fingerprints": {**splits, "validation": "0"}})
    make_run("stream", splits={"fingerprints": {}})
    make_run("last", splits={"fingerprints": {"train": splits["train"]}})
    make_run("convnext", family="convnext")
    for name in ("old", "old2"):
        make_run(name, splits={"fingerprints": {**splits, "test": "0"}})
    there = content_of(tmp_path)
    for words, why in REFUSED.items():
        assert main(["average", *words.split()]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert why in line
        assert len(line) < 400
    assert content_of(tmp_path) == there
