"""What trackers get when a run is scored: the names that the training was logged under, and the plots."""

import os
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from transformers import TrainerControl, TrainerState, TrainingArguments
from transformers.integrations import TensorBoardCallback, TrackioCallback, WandbCallback

from hf_imgcls.recipe import load_recipe
from hf_imgcls.training.trackers import send_results

SCORES = {
    "validation": {"images": 9, "accuracy": 0.75, "accuracy_interval_95": [0.5, 0.9], "loss": 0.5},
    "test": {"images": 9, "accuracy": 0.5, "majority_baseline": 0.3, "my_metric": 0.25},
}
NAMES = {"eval/accuracy": 0.75, "eval/loss": 0.5, "test/accuracy": 0.5, "test/my_metric": 0.25}


def trainer_with(tracker, folder):
    arguments = TrainingArguments(str(folder), report_to="none", run_name="a run", use_cpu=True)
    handler = SimpleNamespace(callbacks=[object(), tracker])
    state = TrainerState(is_world_process_zero=True)
    return SimpleNamespace(args=arguments, state=state, control=TrainerControl(), model=None, callback_handler=handler)


@pytest.fixture
def picture(tmp_path):
    Image.new("RGB", (6, 4), "red").save(tmp_path / "curves.png")
    return {"curves": tmp_path / "curves.png"}


def test_tensorboard_has_them_where_the_training_was_logged(tmp_path, picture, monkeypatch):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("older", "newest")):
        (tmp_path / "run/runs" / name).mkdir(parents=True)
        os.utime(tmp_path / "run/runs" / name, (number, number))
    send_results(trainer_with(TensorBoardCallback(), tmp_path / "run"), SCORES, 12, picture)
    events = EventAccumulator(str(tmp_path / "run/runs/newest")).Reload()
    assert {name: (event.step, event.value) for name in NAMES for event in events.Scalars(name)} == {
        name: (12, value) for name, value in NAMES.items()
    }
    assert events.Tags()["scalars"] == list(NAMES)
    assert events.Tags()["images"] == ["plots/curves"]
    assert not (tmp_path / "runs").exists()
    send_results(trainer_with(TensorBoardCallback(), tmp_path / "another"), SCORES, 12, {})
    assert len(list((tmp_path / "another/runs").glob("*/events*"))) == 1


def test_trackio_resumes_the_run_of_the_training_and_ends_it(tmp_path, picture):
    calls, tracker = [], TrackioCallback.__new__(TrackioCallback)
    current = SimpleNamespace(current_space_id=SimpleNamespace(get=lambda: None))
    tracker._trackio = SimpleNamespace(
        init=lambda **given: calls.append((given["name"], given["resume"])), config={}, context_vars=current,
        log=calls.append, Image=np.shape, finish=lambda: calls.append("finished"),
    )  # fmt: skip
    tracker._trackio.config = type("Config", (dict,), {"update": lambda *given, **others: None})()
    tracker._initialized, tracker._space_id, tracker._static_space_id = False, None, None
    trainer = trainer_with(tracker, tmp_path)
    trainer.model = SimpleNamespace(num_parameters=lambda: 1)
    send_results(trainer, SCORES, 12, picture)
    assert calls == [("a run", "allow"), {**NAMES, "train/global_step": 12}, {"plots/curves": ()}, "finished"]


def test_wandb_gets_them_in_the_run_that_goes_on(tmp_path, picture):
    calls, tracker = [], WandbCallback.__new__(WandbCallback)
    tracker._wandb = SimpleNamespace(log=calls.append, Image=str, run=SimpleNamespace(summary={}))
    tracker._initialized = True
    send_results(trainer_with(tracker, tmp_path), SCORES, 12, picture)
    assert calls == [{**NAMES, "train/global_step": 12}, {"plots/curves": str(picture["curves"])}]


def test_a_run_of_trackio_has_a_name_that_is_known_when_it_is_scored():
    pytest.importorskip("trackio")
    from hf_imgcls.machine import training_arguments

    recipe = load_recipe(
        {
            "data": {"path": "p"},
            "model": {"checkpoint": "c"},
            "training": {"output_dir": "runs/x", "report_to": "trackio"},
        }
    )
    names = [training_arguments(recipe.training, output_dir=f"runs/x/stage-{n}").run_name for n in (1, 1, 2)]
    assert names[0] == names[1] != names[2]
    assert names[0].startswith("x-stage-1-2")
    assert training_arguments(recipe.training, run_name="mine").run_name == "mine"
