"""Where a run says its time went, and what it advises."""

import json
import time
from types import SimpleNamespace

import pytest
import torch
from test_trainer import make_trainer
from torch.utils.data import DataLoader
from transformers import TrainingArguments

from hf_imgcls.images.transforms import TrainTransform
from hf_imgcls.machine.hardware import Machine
from hf_imgcls.reports import advice
from hf_imgcls.reports.advice import Situation, advise, advise_run
from hf_imgcls.reports.results import describe_time, summarize_time
from hf_imgcls.training.timing import PARTS, Clock, TimedRows
from hf_imgcls.training.trainer import ImageTrainer

GPU, CPU = Machine("cuda", "NVIDIA H200", 16, "bf16", True), Machine("cpu", "", 2, None, False)


class Slow:
    """Three rows that take a twentieth of a second each."""

    def __len__(self):
        return 3

    def __getitems__(self, rows):
        time.sleep(0.05 * len(rows))
        return [{"number": row} for row in rows]


@pytest.mark.parametrize("workers", [0, 2])
def test_rows_count_their_seconds_in_any_process(workers):
    rows = TimedRows(Slow())
    batches = list(DataLoader(rows, batch_size=2, num_workers=workers))
    assert [batch["number"].tolist() for batch in batches] == [[0, 1], [2]]
    assert 0.15 <= rows.seconds.sum().item() < 1
    assert (rows.seconds > 0).sum() == max(1, workers)
    assert rows[1] == {"number": 1}


@pytest.fixture
def slow_everything(monkeypatch):
    """A training that spends a known time on every part: 6 steps, an evaluation and a checkpoint after each 3."""
    spent = {"data": 0.04, "model": 0.03, "evaluation": 0.2, "saving": 0.3}

    def slowed(kind, name, part):
        original = getattr(kind, name)

        def slow(*args, **kwargs):
            time.sleep(spent[part])
            return original(*args, **kwargs)

        monkeypatch.setattr(kind, name, slow)

    slowed(TrainTransform, "__call__", "data")
    slowed(ImageTrainer, "training_step", "model")
    slowed(ImageTrainer, "evaluation_loop", "evaluation")
    slowed(ImageTrainer, "save_model", "saving")
    return {"data": 6 * 0.04, "model": 6 * 0.03, "evaluation": 2 * 0.2, "saving": 2 * 0.3}


TRAINING = {"save_strategy": "epoch", "eval_strategy": "epoch"}


def test_every_part_of_a_training_gets_its_time_and_a_resumed_one_counts_on(slow_everything, make_folder, tmp_path):
    folder = make_folder(train=4, validation=2)
    trainer = make_trainer(folder, tmp_path / "run", **TRAINING)
    trainer.train()
    whole = trainer.state.log_history[-1]["time"]
    for part, seconds in slow_everything.items():
        assert whole[part] >= seconds, part
    assert whole["transfer"] == 0
    assert whole["seconds"] == pytest.approx(sum(whole[part] for part in PARTS), abs=0.01)
    assert whole["seconds"] == pytest.approx(trainer.state.log_history[-1]["train_runtime"], rel=0.2)
    assert whole["images"] == 24
    assert slow_everything["data"] <= whole["reading"] <= whole["data"]
    kept = json.loads((tmp_path / "run" / "checkpoint-3" / "trainer_state.json").read_text())
    kept = kept["stateful_callbacks"]["Clock"]["attributes"]
    assert kept["images"] == 12
    assert kept["seconds"]["saving"] >= 0.3, "the checkpoint's own time is not lost"
    resumed = make_trainer(folder, tmp_path / "run", **TRAINING)
    resumed.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-3"))
    again = resumed.state.log_history[-1]["time"]
    assert again["images"] == 24
    assert slow_everything["data"] <= again["reading"] <= again["data"]
    for part, seconds in slow_everything.items():
        assert again[part] >= seconds, part


class Mark:
    """A mark on a GPU's time line, reached when `now` is; nothing may wait for it."""

    now, made = 0.0, 0

    def __init__(self, enable_timing):
        assert enable_timing

    def record(self):
        self.at = Mark.made * 10.0  # ms
        Mark.made += 1

    def query(self):
        return self.at <= Mark.now

    def elapsed_time(self, other):
        assert other.query(), "read before it was reached"
        return other.at - self.at

    def synchronize(self):
        Mark.now = max(Mark.now, self.at)


def test_on_a_gpu_marks_are_read_when_they_are_reached_and_not_waited_for(monkeypatch):
    monkeypatch.setattr(torch.cuda, "Event", Mark)
    monkeypatch.setattr(Mark, "now", -1.0)
    clock = Clock("cuda")
    clock.copying = 0.004
    for _ in range(100):
        clock.lap("data")
        clock.lap("model")
        clock.batches += 1
    assert not clock.seconds, "the process waited for the GPU"
    monkeypatch.setattr(Mark, "now", 500.0)
    clock.lap("data")
    assert sum(clock.seconds.values()) == pytest.approx(0.5)
    figures = clock.figures(processes=2)
    assert (figures["model"], figures["data"]) == (pytest.approx(1.0), pytest.approx(0.6))
    assert figures["transfer"] == pytest.approx(0.4)


def situation(tmp_path, machine=GPU, said=None, **others) -> Situation:
    arguments = TrainingArguments(str(tmp_path), use_cpu=True, **(said or {}))
    return Situation(arguments, machine, **{"steps": 1000, "evaluations": 10, "saves": 10, **others})


def spent(**parts) -> dict:
    rest = dict.fromkeys(PARTS, 0.0) | parts
    return {**rest, "seconds": sum(rest.values()), "images": 100, "reading": 1.0}


def test_waiting_for_images_is_met_by_workers_then_by_copies_then_by_cores(tmp_path):
    waited = spent(data=40, model=60)
    few = situation(tmp_path, said={"dataloader_num_workers": 4}, prepare="data.cache_size=256")
    assert advise(waited, few).startswith("training.dataloader_num_workers=15 (40% of the training was waiting")
    all_cores = {"dataloader_num_workers": 15, "bf16": True}
    assert advise(waited, situation(tmp_path, said=all_cores, prepare="data.cache_size=256")).startswith("data.cache_s")
    assert advise(spent(data=60, model=40), situation(tmp_path, said=all_cores)).startswith("more CPU cores")
    small = situation(tmp_path, CPU, prepare="data.cache_size=256")
    assert advise(waited, small).startswith("data.cache_size=256")


def test_evaluating_or_saving_too_often_is_halved_in_the_stage_that_does_it(tmp_path):
    line = advise(spent(evaluation=60, model=40), situation(tmp_path, key="stages.1.training"))
    assert line.startswith(
        "stages.1.training.eval_strategy=steps stages.1.training.eval_steps=200 "
        "stages.1.training.save_strategy=steps stages.1.training.save_steps=200 (60% of the training was evaluation)"
    )
    assert "save_steps=200 (30%" in advise(spent(saving=30, model=70), situation(tmp_path))
    seldom = situation(tmp_path, CPU, evaluations=2)
    assert advise(spent(evaluation=60, model=40), seldom).startswith("nothing that leaves the result as it is; 60%")


def test_a_training_bound_by_its_model_hears_what_is_not_done_already(tmp_path, monkeypatch):
    bound = spent(model=95, data=5)
    assert advise(bound, situation(tmp_path)).startswith("training.bf16=true (95% of the training was forward")
    half = {"bf16": True}
    assert advise(bound, situation(tmp_path, said=half)).startswith("nothing that leaves")
    hours = spent(model=9500, data=500)
    assert advise(hours, situation(tmp_path, said=half)).startswith("training.torch_compile=true")
    compiled = {**half, "torch_compile": True, "torch_compile_backend": "eager"}
    assert advise(hours, situation(tmp_path, said=compiled)).startswith("nothing that leaves")
    monkeypatch.setattr(advice.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert advise(hours, situation(tmp_path, CPU)).startswith("nothing that leaves")  # no convolutions
    convolutional = situation(tmp_path, CPU, channels_last=True)
    assert advise(hours, convolutional).startswith("training.torch_compile=true")
    monkeypatch.setattr(advice.shutil, "which", lambda name: None)
    assert advise(hours, convolutional).startswith("nothing that leaves")
    assert advise(hours, situation(tmp_path, CPU, still=True)).startswith('"cache_features": true')


def test_a_run_adds_its_stages_up_and_advises_the_longest(tmp_path):
    stages = [
        {"steps": 10, "epochs": 1.0, "history": [{"step": 10, "time": spent(model=1, data=1)}]},
        {"steps": 20, "epochs": 2.0, "history": [{"step": 9}, {"step": 20, "time": spent(model=90, data=8)}, {"x": 1}]},
        {"steps": 20, "epochs": 2.0, "history": [{"step": 20}]},  # had stopped early when the run went on
    ]
    arguments = TrainingArguments(str(tmp_path), use_cpu=True)
    plans = [
        SimpleNamespace(
            stage=SimpleNamespace(number=n, listed=True, train="all", cache_features=False),
            arguments=arguments,
            mixing=None,
        )
        for n in (1, 2, 3)
    ]
    data = SimpleNamespace(splits={}, cache_size=None)
    made = {**summarize_time(stages, 200.0, 40.0), "advice": advise_run(plans, stages, data, GPU, True)}
    assert made["advice"].startswith("stage 2: training.bf16=true")
    assert (made["training"]["model"], made["training"]["images"]) == (91, 200)
    assert made["training"]["images_per_second"] == 2.0
    assert json.loads(json.dumps(made)) == made
    lines = describe_time(made)
    assert lines[0] == "time: 3.3 min in all: training 100 s, scoring 40 s, data, model and files 60 s"
    assert "2.0 images a second; 9% waiting for images, 91% forward" in lines[1]
    assert "reading and augmenting an image took 10.0 ms" in lines[1]
    assert lines[2].startswith("time: what would help most: stage 2: training.bf16=true")
    nothing = {**summarize_time(stages[2:], 5.0, 1.0), "advice": advise_run(plans[2:], stages[2:], data, GPU, True)}
    assert nothing["advice"] is None
    assert len(describe_time(nothing)) == 1
