"""The range test of a recipe: on its own training path, without a trace in a run folder."""

import pytest

from hf_imgcls import load_recipe
from hf_imgcls.cli import main
from hf_imgcls.training.trainer import ImageTrainer


@pytest.fixture
def recipe(write_recipe, tmp_path):
    """The file of a recipe of two stages, in the present folder; its run folder has somebody's file."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("kept")
    content = {
        "augmentation": {"train": ["RandomResizedCrop"], "mix": ["MixUp"]},
        "averaging": {"ema_decay": 0.9},
        "stages": [
            {"train": "head", "cache_features": True, "augmentation": {}, "training": {"learning_rate": 1e-2}},
            {"train": "all", "optimizer": {"layer_decay": 0.5}, "early_stopping": {"patience": 1}},
        ],
        "training": {
            "output_dir": "run", "num_train_epochs": 1, "per_device_train_batch_size": 4, "push_to_hub": True,
            "hub_model_id": "somebody/else", "lr_scheduler_type": "reduce_lr_on_plateau", "seed": 3,
        },
    }  # fmt: skip
    return write_recipe(content, train=4, validation=2)


def test_a_stage_is_swept_as_it_trains_and_nothing_else_is_changed(recipe, tmp_path, monkeypatch, capsys):
    swept, train = [], ImageTrainer.train

    def noted(trainer, *args, **kwargs):
        swept.append(trainer)
        return train(trainer, *args, **kwargs)

    monkeypatch.setattr(ImageTrainer, "train", noted)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    assert main(["find-lr", str(recipe), "--steps", "30", "--lowest", "1e-4", "--highest", "100"]) == 0
    lines = capsys.readouterr().out.splitlines()
    after = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    assert after.pop(tmp_path / "recipe-find-lr.png").startswith(b"\x89PNG")
    assert after == before
    key, _, rate = lines[-1].partition("=")
    assert key == "stages.1.training.learning_rate"
    assert 1e-4 < float(rate) < 100
    assert load_recipe(recipe, [lines[-1]]).stages[1].training.learning_rate == float(rate)
    first, second = swept
    assert first.state.global_step == 3  # stage 1 is trained as ever
    assert "stage 2 starts from the stage before it" in "\n".join(lines)
    assert " steps of 4 images at rates from 0.0001 to " in "\n".join(lines)
    assert second.mixing
    assert len({group["lr"] for group in second.optimizer.param_groups}) > 1
    assert second.args.seed == 3 + 1
    assert not {"EarlyStoppingCallback", "StopEarly"} & {type(c).__name__ for c in second.callback_handler.callbacks}
    assert main(["find-lr", str(recipe), "--stage", "1", "--steps", "10", "--lowest", "10", "--highest", "1e9"]) == 2


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--steps", "9"], "--steps: found 9, expected 10 to 100,000"),
        (["--lowest", "0"], "--lowest, --highest: found 0 and 10, expected two rates above 0, the lower first"),
        (["--lowest", "1", "--highest", "0.1"], "expected two rates above 0, the lower first"),
        (["--highest", "inf"], "expected two rates above 0"),
        (["--stage", "3"], "--stage: found 3, expected 1 to 2"),
        (["--stage", "0"], "--stage: found 0, expected 1 to 2"),
        (["--output", "run/mine.txt"], "--output: found run/mine.txt, expected a file that ends in .png"),
        (["--output", "there.png"], "--output: there.png is there already"),
        (["--stage", "1", "stages.0.logistic_regression=true"], "stages.0.logistic_regression: a solved head has"),
        (["data.folds=2"], "data.folds: find-lr looks at one training"),
    ],
)
def test_what_cannot_be_swept_is_one_line(recipe, tmp_path, capsys, words, line):
    (tmp_path / "there.png").touch()
    words = [*words, "averaging={}", "stages.1.early_stopping=null"]
    assert main(["find-lr", str(recipe), *words, "training.push_to_hub=false"]) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1
