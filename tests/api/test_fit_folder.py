"""From a folder to a model without a recipe, end to end: interrupted, averaged, within a budget, refused."""

import json
import re
import signal
from pathlib import Path

import pytest
from test_interruption import handlers_of_python  # noqa: F401
from tiny import tiny_model, tiny_processor

from hf_imgcls import InputError, train_classifier
from hf_imgcls.api import fit, fit_stages
from hf_imgcls.api.fit import FitOptions, fit_folder
from hf_imgcls.errors import Interrupted
from hf_imgcls.training.candidates import PRESETS, score_candidate
from hf_imgcls.training.interruption import InterruptibleTrainer

pytestmark = pytest.mark.usefixtures("undrawn", "without_folds")


@pytest.fixture
def checkpoints(tmp_path) -> list[str]:
    names = []
    for kind in ("vit", "swin", "convnet"):
        tiny_model(kind).save_pretrained(tmp_path / kind)
        tiny_processor().save_pretrained(tmp_path / kind)
        names.append(str(tmp_path / kind))
    return names


@pytest.fixture
def all_weights(monkeypatch):
    """Trained and saved, however few the images and the errors."""
    monkeypatch.setattr(fit_stages, "_FEWEST_ERRORS", 0)
    monkeypatch.setattr(fit_stages, "_FEWEST_IMAGES", 0)
    monkeypatch.setitem(fit_stages.ALL_WEIGHTS, "only_if_better", False)


@pytest.fixture
def compared(monkeypatch) -> list[str]:
    """Names of the networks whose features and heads were computed."""
    names = []
    monkeypatch.setattr(fit, "score_candidate", lambda name, *rest: names.append(name) or score_candidate(name, *rest))
    return names


def interrupt(monkeypatch, step: int) -> None:
    """A signal in so many steps of training, the only one."""
    left, train = iter(range(1, step + 1)), InterruptibleTrainer.training_step

    def training_step(self, *arguments):
        if next(left, None) == step:
            signal.raise_signal(signal.SIGTERM)
        return train(self, *arguments)

    monkeypatch.setattr(InterruptibleTrainer, "training_step", training_step, raising=False)


@pytest.mark.usefixtures("handlers_of_python")
def test_a_fit_is_resumed_by_its_command_and_repeated_by_its_recipe(
    make_folder, checkpoints, tmp_path, capsys, monkeypatch, all_weights, compared
):
    folder, output = str(make_folder(12, test=3)), tmp_path / "run"
    options, overrides = FitOptions(checkpoints[::2], minutes=10, output=output), ["data.max_samples.test=6"]
    interrupt(monkeypatch, 3)
    with pytest.raises(Interrupted, match="interrupted at step 3"):
        fit_folder(folder, options, overrides)
    assert compared == checkpoints[::2]
    chosen = (output / "recipe.json").read_bytes()
    out = capsys.readouterr().out
    assert "trains all weights, 3 epochs" in out
    results = fit_folder(folder, options, overrides)
    assert "is chosen already" in capsys.readouterr().out
    assert compared == checkpoints[::2], "a second comparison"
    assert (output / "recipe.json").read_bytes() == chosen
    assert results["parity"]["passed"]
    recipe = json.loads(chosen)
    assert recipe["model"]["checkpoint"] in checkpoints
    assert [stage["train"] for stage in recipe["stages"]] == ["head", "all"]
    assert (recipe["data"]["validation_fraction"], recipe["data"]["duplicates"]) == (0.2, "drop_from_train")
    assert results["images"]["test"] == 6
    assert out.count("* " + recipe["model"]["checkpoint"]) == 1
    kept = json.loads((output / "candidates.json").read_text())
    assert {each["checkpoint"] for each in kept} == set(checkpoints[::2])

    again = train_classifier(output / "recipe.json", [f"training.output_dir={tmp_path / 'again'}"])
    assert again["scores"] == results["scores"]
    weights = [(folder / "model.safetensors").read_bytes() for folder in (output, tmp_path / "again")]
    assert weights[0] == weights[1], "the seed does not decide the weights"

    assert fit_folder(folder, options)["scores"].keys() == results["scores"].keys()
    assert "is chosen already" in capsys.readouterr().out
    with pytest.raises(InputError, match="is a run on"):
        fit_folder(str(make_folder(6, name="others")), options)


def test_two_networks_are_averaged_and_served_as_they_were_scored(
    make_folder, checkpoints, tmp_path, capsys, monkeypatch, compared
):
    monkeypatch.setattr(fit_stages, "choose_partner", lambda found, chosen: next(e for e in found if e is not chosen))
    monkeypatch.setattr("hf_imgcls.api.ensemble._best_alone", lambda scores: None)  # whichever is better
    photos = str(make_folder(train=6, validation=3, test=2))
    options = FitOptions(checkpoints[:2], "best", output=tmp_path / "run")
    results = fit_folder(photos, options)
    out = capsys.readouterr().out
    assert compared == checkpoints[:2]
    assert "are better together than alone: they are averaged" in out
    assert results["parity"]["passed"]
    assert [(stage["network"], stage["saved"]) for stage in results["stages"]] == [(1, True), (2, True)]
    assert (tmp_path / "run" / "ensemble.py").is_file()
    recipe = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert recipe["ensemble"]["average"]


def test_a_budget_that_is_spent_leaves_the_first_network_and_its_head(
    make_folder, checkpoints, tmp_path, capsys, monkeypatch, all_weights, compared
):
    monkeypatch.setattr(fit, "train_recipe", lambda recipe, *rest: recipe)
    options = FitOptions(checkpoints[:2], minutes=1e-4, output=tmp_path / "run")
    recipe = fit_folder(str(make_folder(train=6, validation=3, test=2)), options)
    out = capsys.readouterr().out
    assert compared == checkpoints[:1]
    assert re.search(r"fit: .*swin is not compared: it would take .* s or so, of which --minutes leaves 0 s\n", out)
    assert "--minutes 0.0001 is too little to train all weights (3 epochs and scoring would take another" in out
    assert recipe.model.checkpoint == checkpoints[0]
    assert [stage.train for stage in recipe.stages] == ["head"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (FitOptions(preset="bets"), 'did you mean "best"'),
        (FitOptions(minutes=0), "expected more than 0"),
        (FitOptions(["no/such/network"]), "no/such/network"),
        (FitOptions(), "none of 2 networks can be loaded"),
    ],
)
def test_what_cannot_be_searched_is_one_line(make_folder, options, words, tmp_path, monkeypatch):
    monkeypatch.setitem(PRESETS, "default", {"cpu": ["no/such/one", "no/such/two"], "gpu": []})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=words):
        fit_folder(str(make_folder(6)), options)
    assert not Path("runs").exists()


def test_a_stream_is_refused(make_folder):
    with pytest.raises(InputError, match="write a recipe for a stream"):
        fit_folder(
            str(make_folder(6)), FitOptions(), ["data.streaming=true", "data.duplicates=keep", "training.max_steps=3"]
        )
