"""Where a run says its time went."""

import json

import pytest
import torch
from test_trainer import make_trainer
from torch.utils.data import DataLoader

from hf_imgcls.images.transforms import TrainTransform
from hf_imgcls.reports.results import describe_time, summarize_time
from hf_imgcls.training import timing
from hf_imgcls.training.timing import PARTS, Clock, TimedRows
from hf_imgcls.training.trainer import ImageTrainer


class Told:
    """In place of the module `time`: a clock that goes on where it is told to, so that no other work changes it."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def told(monkeypatch) -> Told:
    told = Told()
    monkeypatch.setattr(timing, "time", told)
    return told


class Slow:
    """Three rows that take a twentieth of a second each."""

    def __init__(self, told: Told):
        self.told = told

    def __len__(self):
        return 3

    def __getitems__(self, rows):
        self.told.now += 0.05 * len(rows)
        return [{"number": row} for row in rows]


@pytest.mark.parametrize("workers", [0, 2])
def test_rows_count_their_seconds_in_any_process(workers, told):
    rows = TimedRows(Slow(told))
    batches = list(DataLoader(rows, batch_size=2, num_workers=workers))  # workers are forks, with a clock of their own
    assert [batch["number"].tolist() for batch in batches] == [[0, 1], [2]]
    assert rows.seconds.sum().item() == pytest.approx(0.15)
    assert (rows.seconds > 0).sum() == max(1, workers)
    assert rows[1] == {"number": 1}


@pytest.fixture
def slow_everything(monkeypatch, told):
    """A training that spends a known time on every part: 6 steps, an evaluation and a checkpoint after each 3."""
    spent = {"data": 0.04, "model": 0.03, "evaluation": 0.2, "saving": 0.3}

    def slowed(kind, name, part):
        original = getattr(kind, name)

        def slow(*args, **kwargs):
            told.now += spent[part]
            return original(*args, **kwargs)

        monkeypatch.setattr(kind, name, slow)

    slowed(TrainTransform, "__call__", "data")
    slowed(ImageTrainer, "training_step", "model")
    slowed(ImageTrainer, "evaluation_loop", "evaluation")
    slowed(ImageTrainer, "save_model", "saving")
    return {"data": 6 * 0.04, "model": 6 * 0.03, "evaluation": 2 * 0.2, "saving": 2 * 0.3, "transfer": 0, "other": 0}


TRAINING = {"save_strategy": "epoch", "eval_strategy": "epoch"}


def test_every_part_of_a_training_gets_its_time_and_a_resumed_one_counts_on(slow_everything, make_folder, tmp_path):
    folder = make_folder(train=4, validation=2)
    trainer = make_trainer(folder, tmp_path / "run", **TRAINING)
    trainer.train()
    whole = trainer.state.log_history[-1]["time"]
    assert {part: whole[part] for part in PARTS} == pytest.approx(slow_everything)
    assert whole["seconds"] == pytest.approx(sum(slow_everything.values()))
    assert whole["images"] == 24
    assert whole["reading"] == pytest.approx(slow_everything["data"])
    kept = json.loads((tmp_path / "run" / "checkpoint-3" / "trainer_state.json").read_text())
    kept = kept["stateful_callbacks"]["Clock"]["attributes"]
    assert kept["images"] == 12
    assert kept["seconds"]["saving"] == pytest.approx(0.3), "the checkpoint's own time is not lost"
    resumed = make_trainer(folder, tmp_path / "run", **TRAINING)
    resumed.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-3"))
    assert resumed.state.log_history[-1]["time"] == pytest.approx(whole)


class Mark:
    """A CUDA event, reached when `now` is; nothing may wait for it."""

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


def test_on_a_gpu_events_are_read_when_they_are_reached_and_not_waited_for(monkeypatch):
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
    totals = clock.totals(processes=2)
    assert (totals["model"], totals["data"]) == (pytest.approx(1.0), pytest.approx(0.6))
    assert totals["transfer"] == pytest.approx(0.4)


def spent(**parts) -> dict:
    rest = dict.fromkeys(PARTS, 0.0) | parts
    return {**rest, "seconds": sum(rest.values()), "images": 100, "reading": 1.0}


def test_a_run_adds_its_stages_up():
    stages = [
        {"steps": 10, "epochs": 1.0, "history": [{"step": 10, "time": spent(model=1, data=1)}]},
        {"steps": 20, "epochs": 2.0, "history": [{"step": 9}, {"step": 20, "time": spent(model=90, data=8)}, {"x": 1}]},
        {"steps": 20, "epochs": 2.0, "history": [{"step": 20}]},  # had stopped early before the run was resumed
    ]
    time = {**summarize_time(stages, 200.0, 40.0), "advice": "training.bf16=true (91% of the training was forward)"}
    assert (time["training"]["model"], time["training"]["images"]) == (91, 200)
    assert time["training"]["images_per_second"] == 2.0
    assert time["training"]["fractions"]["model"] == 0.91
    assert json.loads(json.dumps(time)) == time
    lines = describe_time(time)
    assert lines[0] == "time: 3 min 20 s in total: training 1 min 40 s, scoring 40 s, everything else 1 min 0 s"
    assert "2.0 images/s; 9% waiting for images, 91% forward" in lines[1]
    assert "reading and augmenting took 10.0 ms per image" in lines[1]
    assert lines[2] == "time: faster with training.bf16=true (91% of the training was forward)"
    nothing = {**summarize_time(stages[2:], 5.0, 1.0), "advice": None}
    assert len(describe_time(nothing)) == 1
