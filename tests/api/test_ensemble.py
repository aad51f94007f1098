"""Networks of one recipe: each a run of its own, their mean as one model, or the best of them alone."""

import json

import pytest
from tiny import tiny_model, tiny_processor

from hf_imgcls import InputError, train_classifier
from hf_imgcls.api import check_recipe
from hf_imgcls.api.ensemble import _best_alone, _unless_better
from hf_imgcls.recipe import load_recipe, networks_of

pytestmark = pytest.mark.usefixtures("undrawn", "without_folds")
HEAD = {"train": "head", "cache_features": True, "augmentation": {}, "logistic_regression": True}


@pytest.fixture
def recipe(make_folder, tmp_path):
    for kind in ("vit", "swin"):
        tiny_model(kind).save_pretrained(tmp_path / kind)
        processor = tiny_processor()
        if kind == "swin":
            processor.image_mean, processor.image_std = [0.3, 0.4, 0.5], [0.2, 0.3, 0.4]
        processor.save_pretrained(tmp_path / kind)
    return {
        "data": {"path": str(make_folder(train=8, validation=4, test=4))},
        "model": {"checkpoint": str(tmp_path / "vit")},
        "stages": [HEAD],
        "ensemble": {"networks": [{"model": {"checkpoint": str(tmp_path / "swin")}}]},
        "training": {"output_dir": str(tmp_path / "run"), "per_device_eval_batch_size": 8, "disable_tqdm": True},
    }


def test_the_mean_is_one_model_that_is_served_as_it_was_scored(recipe, tmp_path, capsys, monkeypatch, explaining):
    monkeypatch.setattr("hf_imgcls.api.ensemble._best_alone", lambda scores: None)  # whichever is better
    results = train_classifier(recipe)
    run = tmp_path / "run"
    assert results["parity"]["passed"]
    assert [(stage["stage"], stage["network"], stage["saved"]) for stage in results["stages"]] == [
        (1, 1, True),
        (2, 2, True),
    ]
    for number in (1, 2):
        alone = json.loads((run / f"network-{number}" / "results.json").read_text())
        assert alone["parity"]["passed"]
    assert (run / "ensemble.py").is_file()
    shown = json.loads((run / "report/report.json").read_text())["splits"]["test"]["map"]
    assert shown["images"] == shown["of"] == 12
    assert "map of what speaks for" in (run / "report/report.html").read_text()
    settings = json.loads((run / "config.json").read_text())
    assert settings["scales"][0] == [1.0] * 3
    assert settings["scales"][1] == pytest.approx([0.5 / 0.2, 0.5 / 0.3, 0.5 / 0.4], abs=1e-3)
    card = (run / "README.md").read_text()
    assert "trust_remote_code=True" in card
    assert "The mean of the probabilities of 2 networks" in card

    capsys.readouterr()
    assert train_classifier(recipe)["scores"] == results["scores"]
    assert "finished already" in capsys.readouterr().out


def test_a_network_alone_is_saved_as_it_is(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr("hf_imgcls.api.ensemble._unless_better", lambda together, alone, best: best)
    results = train_classifier(recipe)
    folders = [tmp_path / "run" / f"network-{number}" for number in (1, 2)]
    kept = [json.loads((folder / "results.json").read_text())["scores"] for folder in folders]
    losses = [scores["validation"]["loss"] for scores in kept]
    assert results["scores"]["validation"]["loss"] == pytest.approx(min(losses), abs=1e-6)
    assert [stage["saved"] for stage in results["stages"]] == [number == losses.index(min(losses)) for number in (0, 1)]
    assert not (tmp_path / "run" / "ensemble.py").exists()


def test_networks_that_are_not_averaged_keep_their_image_processors(recipe):
    assert [network.model.processor_of for network in networks_of(load_recipe(recipe))] == [
        None,
        recipe["model"]["checkpoint"],
    ]
    recipe["ensemble"]["average"] = False
    with pytest.raises(InputError, match=r"ensemble.average: false needs a validation split"):
        load_recipe(recipe, ["data.validation_fraction=0"])
    assert [network.model.processor_of for network in networks_of(load_recipe(recipe))] == [None, None]


def test_what_is_better_on_validation_is_saved(capsys):
    alone = [{"validation": {"loss": loss}} for loss in (0.4, 0.3)]
    assert _best_alone(alone) == 1
    assert _unless_better({"validation": {"loss": 0.2}}, alone, 1) is None
    assert _unless_better({"validation": {"loss": 0.3}}, alone, 1) == 1
    assert _best_alone([{"test": {"loss": 0.4}}]) is None
    assert _unless_better({}, [{}, {}], None) is None
    assert "there is no validation split" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": {"head": {"hidden_size": 4}}}, r"ensemble.networks.0.model.head: a custom head cannot be averaged"),
        ({"stages": [{**HEAD, "refit": True}]}, r"ensemble.networks.0.stages.0.refit: the networks of an ensemble"),
        ({"model": {"checkpoint": "no/such/place/here"}}, r"ensemble.networks.0.model.checkpoint: no such folder"),
        ({"stages": [{"train": ["("]}]}, r"ensemble.networks.0.stages.0.train.0"),
        ({"stages": [{"cache_features": True}]}, r"ensemble.networks.0.stages.0.cache_features: needs"),
        ({"model": {"processor_of": "no/such/place/here"}}, r"ensemble.networks.0.model.processor_of: no such folder"),
    ],
)
def test_a_mistake_names_its_network(recipe, change, words):
    network = recipe["ensemble"]["networks"][0]
    change = {"model": {**network["model"], **change.pop("model", {})}, **change}
    recipe["ensemble"]["networks"] = [{**network, **change}]
    with pytest.raises(InputError, match=words):
        check_recipe(recipe)


def test_networks_without_a_checkpoint_are_not_averaged(recipe):
    recipe["ensemble"]["networks"] = [{"model": {"architecture": "resnet", "from_scratch": True}}]
    with pytest.raises(InputError, match=r"ensemble.networks.0.model: networks that are averaged have one image"):
        check_recipe(recipe)


def test_networks_of_our_own_are_not_averaged(recipe, tmp_path):
    tiny_model("convnet").save_pretrained(tmp_path / "convnet")
    tiny_processor().save_pretrained(tmp_path / "convnet")
    recipe["model"]["checkpoint"] = str(tmp_path / "convnet")
    with pytest.raises(InputError, match="'convnet' is not a network of transformers or timm"):
        check_recipe(recipe)
