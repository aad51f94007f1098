"""Runs of several seeds: resumed, answered, summed up; what cannot be is one line."""

import json
import statistics

import pytest
from tiny import tiny_model, tiny_processor

from hf_imgcls import evaluate_classifier, load_recipe, train_classifier
from hf_imgcls.api import train
from hf_imgcls.cli import main
from hf_imgcls.errors import InputError
from hf_imgcls.recipe.several import check_seeds
from hf_imgcls.reports.seeds import describe_seeds, say_spread, seeds_row
from hf_imgcls.store import find_runs
from hf_imgcls.store.several import describe_if_several


@pytest.fixture
def recipe(make_folder, tmp_path) -> dict:
    tiny_model("vit").save_pretrained(tmp_path / "vit")
    tiny_processor().save_pretrained(tmp_path / "vit")
    return {
        "data": {"path": str(make_folder(train=4, validation=2, test=2))},
        "model": {"checkpoint": str(tmp_path / "vit"), "head": {"hidden_size": 4, "dropout": 0.5}},
        "stages": [{"train": "head", "cache_features": True}],
        "training": {"output_dir": str(tmp_path / "runs"), "num_train_epochs": 1, "learning_rate": 0.1, "seed": 9},
    }


def test_a_run_for_each_seed_resumed_answered_and_summed_up(recipe, tmp_path, monkeypatch, capsys, undrawn):
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    scored, real_scores = [], train.score_run

    def stops(*arguments):
        scored.append(1)
        if len(scored) in (2, 3):
            raise [KeyboardInterrupt, InputError("it diverged")][len(scored) - 2]
        return real_scores(*arguments)

    monkeypatch.setattr(train, "score_run", stops)
    # Overrides may stand behind the seeds, which argparse takes for further ones.
    command = ["train", str(tmp_path / "recipe.json"), "--seeds", "1", "7", "training.weight_decay=0.01"]
    assert main(command) == 130
    folder = tmp_path / "runs"
    assert find_runs(folder)[0][0].members[1].state == "interrupted"
    assert main(command) == 2
    assert [(run.state, run.reason) for run in find_runs(folder)[0]] == [("failed", "seed-7: it diverged")]
    assert not (folder / "seeds.json").exists()
    first = (folder / "seed-1" / "results.json").read_bytes()
    assert main(command) == 0
    assert (folder / "seed-1" / "results.json").read_bytes() == first
    assert len(scored) == 4
    text = capsys.readouterr().out
    assert "seed 7 (2 of 2): " in text
    assert [run.state for run in find_runs(folder)[0]] == ["finished"]
    summary = json.loads((folder / "seeds.json").read_text())
    runs = [json.loads((folder / f"seed-{seed}" / "results.json").read_text()) for seed in (1, 7)]
    assert [run["seed"] for run in runs] == [1, 7]
    assert runs[0]["scores"] != runs[1]["scores"], "the seed changes nothing"
    assert runs[0]["fingerprints"] == runs[1]["fingerprints"]
    for split in ("validation", "test"):
        losses = [run["scores"][split]["loss"] for run in runs]
        spread = summary["scores"][split]["loss"]
        assert spread["seeds"] == losses
        assert spread["mean"] == pytest.approx(statistics.mean(losses), abs=1e-6)
        assert spread["std"] == pytest.approx(statistics.stdev(losses), abs=1e-6)
    assert (summary["seeds"], summary["runs"]) == ([1, 7], ["seed-1", "seed-7"])
    assert "seed" not in summary["recipe"]["training"]
    said = (
        "sample standard deviation (n - 1) of 2 trainings that differ in training.seed; the 6 validation images and 6 "
    )
    assert f"{said}test images are the same in all of them" in text
    row = (folder / "seeds.md").read_text().splitlines()[2]
    assert row.startswith("| `recipe.json` with `training.weight_decay=0.01` | photos, 12 / 6 / 6; 2 seeds | 0.")
    assert row in text
    (folder / "seed-1-average").mkdir()  # of hf-imgcls average
    again = train_classifier(recipe, ["training.weight_decay=0.01"], seeds=[1, 7])
    assert (again, len(scored)) == (summary, 4)
    assert train_classifier(recipe, ["training.weight_decay=0.01"], seeds=[1])["scores"]["test"]["loss"]["std"] is None
    assert "one run, seed 1: no deviation is known of it" in capsys.readouterr().out
    with pytest.raises(
        InputError, match=r"seed-\d has another recipe: training.weight_decay 0.01, now 0.02; name another"
    ):
        train_classifier(recipe, ["training.weight_decay=0.02"], seeds=[3])
    assert len(json.loads((folder / "seeds.json").read_text())["seeds"]) == 1
    line = r"holds the runs of several seeds, none of them chosen; name one \(.*seed-1\)"
    with pytest.raises(InputError, match=line):
        evaluate_classifier(folder, recipe["data"]["path"])
    with pytest.raises(InputError, match="holds the runs of several seeds; name another folder"):
        train_classifier(recipe)
    with pytest.raises(InputError, match="holds files that are not of folds"):
        train_classifier(recipe, ["data.folds=2", "data.validation_split=false", "data.train_split=train"])


@pytest.mark.parametrize(
    ("seeds", "overrides", "line"),
    [
        ([3, 1, 3], [], "3 is there more than once"),
        ([1], ["training.seed=4"], "--seeds says it already"),
        ([1, 2], ["data.folds=2"], "data.folds trains several runs already"),
        ([1, 2], ["training.push_to_hub=true"], "would replace each other"),
        ([1, 2], ['stages.0.training={"seed": 3}'], r"stages\.0\.training\.seed: would be the same"),
        ([1, 2], ["training.data_seed=3"], r"training\.data_seed: would be the same"),
        ([2**40], [], "training.seed: found 1099511627776"),
    ],
)
def test_what_seeds_cannot_be_is_one_line(seeds, overrides, line, recipe):
    with pytest.raises(InputError, match=line):
        check_seeds(load_recipe(recipe, overrides), seeds, overrides)


@pytest.mark.parametrize("words", [["1", "-2"], ["one"], ["1.5"], ["a=b"]])
def test_seeds_are_whole_numbers(words, recipe, tmp_path, capsys):
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    assert main(["train", str(tmp_path / "recipe.json"), "--seeds", *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def made_summary(**changes) -> dict:
    values = {"mean": 0.5, "std": 0.0, "seeds": [0.5, 0.5]}
    return {
        "seeds": [1, 2], "images": {"train": 9, "test": 4}, "scores": {"test": {"accuracy": values}},
        "training_seconds": [61.0, 130.2], "recipe": {"data": {"path": "my/사진"}}, "spread": "-",
        "cautions": {"test": [{"caution": "odd", "seeds": [2]}]}, **changes,
    }  # fmt: skip


def test_what_is_said_beside_the_spread(tmp_path):
    assert "all scores are equal: nothing that counts in this recipe is drawn" in say_spread(made_summary())
    nothing = made_summary(images={"train": 9}, scores={}, cautions={})
    assert "are the same" not in say_spread(nothing)
    assert describe_seeds(nothing) == ["seeds: -"]
    assert describe_seeds(made_summary())[-1] == "test (seed 2): odd"
    assert seeds_row(made_summary(), "x").splitlines()[2] == (
        "| x | 사진, 9 / none / 4; 2 seeds | 0.5000\u00a0±\u00a00.0000\u00a0(0.5000,\u00a00.5000) "
        "| 0.5000\u00a0±\u00a00.0000 | none | 1 min 1 s to 2 min 10 s |"
    )
    assert describe_if_several(tmp_path) is None
