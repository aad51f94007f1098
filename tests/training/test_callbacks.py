"""What a training prints: a row for each epoch or evaluation, and which checkpoint is selected."""

import contextlib
import io
import math
import re
import sys

import numpy as np
import pytest
import transformers
from test_trainer import make_trainer
from transformers import ProgressCallback, TrainerState, TrainingArguments

from hf_imgcls.machine import limit_progress_bars, show_progress
from hf_imgcls.training.callbacks import describe_selected, is_best

EVERY_EPOCH = {"eval_strategy": "epoch", "save_strategy": "epoch", "metric_for_best_model": "accuracy"}
COLUMNS = ["epoch", "loss", "train accuracy", "validation loss", "accuracy", "macro-F1", "learning rate", "images/s"]


@pytest.fixture(autouse=True)
def limited():
    limit_progress_bars()
    yield
    transformers.logging.enable_progress_bar()


def printed(capsys) -> list[list[str]]:
    """Cells of what was printed, a line each."""
    captured = capsys.readouterr()
    assert captured.err.count("\r") == 0
    assert "{" not in captured.out
    return [re.split(r"\s{2,}|(?<=\d) (?=\*)", line.strip()) for line in captured.out.splitlines()]


def test_a_row_for_each_epoch(make_folder, tmp_path, capsys):
    trainer = make_trainer(
        make_folder(train=4, validation=2), tmp_path / "run", num_train_epochs=3, logging_steps=2,
        load_best_model_at_end=True, **EVERY_EPOCH,
    )  # fmt: skip
    trainer.train()
    heading, *rows, selected = printed(capsys)
    assert heading == COLUMNS
    assert [row[0] for row in rows] == ["1", "2", "3"]
    history = trainer.state.log_history
    evaluations = [entry for entry in history if "eval_loss" in entry]
    losses = {entry["step"]: entry["loss"] for entry in history if "loss" in entry}
    assert sorted(losses) == [2, 4, 6, 8]
    assert [float(row[1]) for row in rows] == pytest.approx([losses[2], losses[6], losses[8]], abs=1e-4)
    fractions = {entry["step"]: entry["train_accuracy"] for entry in history if "loss" in entry}
    assert [float(row[2]) for row in rows] == pytest.approx([fractions[2], fractions[6], fractions[8]], abs=1e-4)
    assert [float(row[3]) for row in rows] == pytest.approx([e["eval_loss"] for e in evaluations], abs=1e-4)
    accuracies = [entry["eval_accuracy"] for entry in evaluations]
    assert [float(row[4]) for row in rows] == pytest.approx(accuracies, abs=1e-4)
    assert all(float(row[7].replace(",", "")) > 0 for row in rows)
    running = [value > max(accuracies[:number], default=-1) for number, value in enumerate(accuracies)]
    assert [row[-1] == "*" for row in rows] == running
    best = int(np.argmax(accuracies))
    assert selected == [f"selected checkpoint: epoch {best + 1} of 3, best validation accuracy {accuracies[best]:.4f}"]


def test_rows_line_up(make_folder, tmp_path, capsys):
    make_trainer(make_folder(train=4, validation=2), tmp_path / "run", **EVERY_EPOCH).train()
    *table, selected = capsys.readouterr().out.splitlines()
    assert len({len(line.removesuffix(" *")) for line in table}) == 1
    assert selected == "selected checkpoint: the last, epoch 2 of 2"


@pytest.mark.parametrize("logging", [{"logging_steps": 1}, {"logging_steps": 10}, {"logging_strategy": "epoch"}])
def test_without_evaluation_a_row_with_the_loss_of_each_epoch(logging, make_folder, tmp_path, capsys):
    trainer = make_trainer(make_folder(train=4, validation=2), tmp_path / "run", eval_strategy="no", **logging)
    trainer.train()
    heading, *rows, _ = printed(capsys)
    assert heading == ["epoch", "loss", "train accuracy", "learning rate", "images/s"]
    losses = {str(entry["epoch"]): entry["loss"] for entry in trainer.state.log_history if "loss" in entry}
    assert [row[0] for row in rows] == ["1", "2"]
    assert [float(row[1]) for row in rows] == pytest.approx([losses["1.0"], losses["2.0"]], abs=1e-4)


def test_a_row_for_each_evaluation_by_steps(make_folder, tmp_path, capsys):
    steps = {"eval_strategy": "steps", "eval_steps": 2, "logging_steps": 2, "max_steps": 4, "eval_on_start": True}
    make_trainer(make_folder(train=4, validation=2), tmp_path / "run", **steps).train()
    heading, *rows, selected = printed(capsys)
    assert heading[0] == "step"
    assert [row[0] for row in rows] == ["0", "2", "4"]
    assert rows[0][1] == rows[0][2] == "-"
    assert all(float(row[1]) > 0 for row in rows[1:])
    assert selected == ["selected checkpoint: the last, step 4 of 4"]


def test_a_resumed_training_prints_its_own_rows(make_folder, tmp_path, capsys):
    folder, training = make_folder(train=4, validation=2), {**EVERY_EPOCH, "load_best_model_at_end": True}
    make_trainer(folder, tmp_path / "run", **training).train()
    _, *whole = printed(capsys)
    make_trainer(folder, tmp_path / "run", **training).train(str(tmp_path / "run" / "checkpoint-3"))
    heading, *resumed = printed(capsys)
    assert heading == COLUMNS
    assert [row[:7] for row in resumed] == [row[:7] for row in whole[1:]]


def test_the_best_of_a_metric_to_be_minimized(tmp_path):
    args = TrainingArguments(str(tmp_path), use_cpu=True, metric_for_best_model="loss", num_train_epochs=4)
    state = TrainerState(num_train_epochs=4, best_global_step=6, best_model_checkpoint="x")
    marked = []
    for epoch, loss, best in ((0, 0.9, None), (1, 0.5, None), (2, 0.25, 0.5), (3, 0.25, 0.25), (4, math.nan, 0.25)):
        state.log_history.append({"eval_loss": loss, "step": 3 * epoch, "epoch": float(epoch)})
        state.global_step, state.epoch, state.best_metric = 3 * epoch, float(epoch), best
        marked.append(is_best(args, state, {"eval_loss": loss}))
    assert marked == [False, True, True, False, False]
    args.load_best_model_at_end = True
    assert describe_selected(args, state) == "selected checkpoint: epoch 2 of 4, best validation loss 0.2500"


def test_a_bar_on_a_terminal_prints_no_dictionaries(make_folder, tmp_path, monkeypatch, capsys):
    assert not show_progress()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert show_progress()
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert not show_progress()
    monkeypatch.delenv("LOCAL_RANK")
    trainer = make_trainer(
        make_folder(train=4, validation=2), tmp_path / "run", disable_tqdm=False, logging_steps=1, **EVERY_EPOCH
    )
    assert sum(isinstance(callback, ProgressCallback) for callback in trainer.callback_handler.callbacks) == 1
    with contextlib.redirect_stderr(io.StringIO()) as bar:
        trainer.train()
    out = capsys.readouterr().out
    assert "6/6" in bar.getvalue()
    assert "{" not in out
    assert len(out.splitlines()) == 4
