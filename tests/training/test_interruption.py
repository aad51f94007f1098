"""A training that a signal ends: a checkpoint after the step, and the same result in the end."""

import os
import signal

import pytest
from fresh import run_fresh
from test_trainer import make_trainer
from transformers import TrainerCallback

from hf_imgcls.errors import Interrupted
from hf_imgcls.machine.signals import _report_unless_cut_off
from hf_imgcls.training.interruption import InterruptibleTrainer

EPOCHS = {"save_strategy": "epoch", "eval_strategy": "epoch", "load_best_model_at_end": True, "save_total_limit": 1,
          "logging_steps": 2, "learning_rate": 0.02}  # fmt: skip
BEST = {**EPOCHS, "save_strategy": "best", "eval_strategy": "steps", "eval_steps": 1, "metric_for_best_model": "loss"}


@pytest.fixture(autouse=True)
def handlers_of_python():
    """As a process begins, whatever other tests have left."""
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class SignalAt(TrainerCallback):
    """Sends this process signals at the beginning of a step."""

    def __init__(self, step: int, *numbers: int):
        self.step, self.numbers = step, numbers

    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == self.step - 1:
            for number in self.numbers:
                signal.raise_signal(number)


def history(trainer) -> list[dict]:
    timed = ("runtime", "per_second", "time")
    return [{key: v for key, v in e.items() if not key.endswith(timed)} for e in trainer.state.log_history]


@pytest.mark.parametrize(("training", "steps"), [(EPOCHS, [2, 3]), (BEST, [4])], ids=["epochs", "best"])
def test_a_run_that_signals_end_has_the_result_of_one_without(training, steps, make_folder, tmp_path):
    folder, saved = make_folder(train=4, validation=2), None
    whole = make_trainer(folder, tmp_path / "whole", **training)
    whole.train()
    signals = [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1]
    for step, number in zip(steps, signals, strict=False):
        trainer = make_trainer(folder, tmp_path / "run", **training)
        trainer.add_callback(SignalAt(step, number))
        before = [signal.getsignal(each) for each in signals]
        with pytest.raises(Interrupted) as stop:
            trainer.train(resume_from_checkpoint=saved)
        saved = str(tmp_path / "run" / f"checkpoint-{step}")
        assert (stop.value.number, str(stop.value)) == (number, f"interrupted at step {step}; saved {saved}")
        assert [signal.getsignal(each) for each in signals] == before
    resumed = make_trainer(folder, tmp_path / "run", **training)
    resumed.train(resume_from_checkpoint=saved)
    ours, others = resumed.model.state_dict(), whole.model.state_dict()
    assert [name for name in ours if not ours[name].equal(others[name])] == []
    assert history(resumed) == history(whole)
    assert resumed.state.best_global_step == whole.state.best_global_step
    assert os.path.isdir(resumed.state.best_model_checkpoint)


@pytest.mark.parametrize("numbers", [(signal.SIGINT,) * 2, (signal.SIGTERM, signal.SIGINT)])
def test_a_second_signal_ends_a_training_at_once(numbers, make_folder, tmp_path):
    trainer = make_trainer(make_folder(train=2, validation=1), tmp_path / "run", save_strategy="no", max_steps=3)
    trainer.add_callback(SignalAt(2, *numbers))
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    assert trainer.state.global_step == 1
    assert list((tmp_path / "run").glob("checkpoint-*")) == []


def test_a_signal_after_the_last_step_ends_the_run_too(make_folder, tmp_path, monkeypatch):
    trainer = make_trainer(make_folder(train=2, validation=1), tmp_path / "run", save_strategy="no", max_steps=1)
    finalize = type(trainer)._finalize_training

    def finalize_late(*arguments):
        signal.raise_signal(signal.SIGTERM)
        return finalize(*arguments)

    monkeypatch.setattr(InterruptibleTrainer, "_finalize_training", finalize_late, raising=False)
    with pytest.raises(Interrupted, match="after the last step"):
        trainer.train()


_LOADING = """
import os, signal, subprocess, sys, time
from functools import partial
import torch
from torch.utils.data import DataLoader
from hf_imgcls.machine.signals import StopRequest
from hf_imgcls.training.interruption import _begin_worker

class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return 40
    def __getitem__(self, row):
        time.sleep(0.01)
        return row

os.setsid()
signal.signal(signal.SIGINT, signal.default_int_handler)  # which the server of fresh processes ignores
loader = DataLoader(Rows(), 4, num_workers=2, worker_init_fn=partial(_begin_worker, None))
with StopRequest() as request:
    seen = []
    for batch in loader:
        seen += batch.tolist()
        if len(seen) == 8:
            kill = ["kill", f"-{sys.argv[1]}", "--", f"-{os.getpgid(0)}"]
            subprocess.run(kill, start_new_session=True, check=True)
    assert seen == list(range(40)), seen
    begun = time.monotonic()
    iterator = iter(loader)
    next(iterator)
    (one, *_) = torch.multiprocessing.active_children()
    one.terminate()  # as torch does where a worker hangs
    one.join(5)
    assert one.exitcode == 0, one
    print(request.number)
    os._exit(0)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_leaves_the_workers_reading(number):
    done = run_fresh(_LOADING, str(int(number)), layer="package")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{number:d}\n", "")


def test_a_worker_says_nothing_of_another_one_that_was_killed(capfd):
    for error in (ConnectionResetError(), EOFError(), ValueError("a bug")):
        _report_unless_cut_off(type(error), error, None)
    assert capfd.readouterr().err == "ValueError: a bug\n"
