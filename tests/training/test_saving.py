"""Checkpoints as the trainer writes and finds them: whole or absent, the best one where the folder is now."""

import errno
import json
import os

import pytest
import torch
from test_trainer import largest_difference, make_trainer

from hf_imgcls.errors import MachineError, RestoreError
from hf_imgcls.models.restore import differing_tensors
from hf_imgcls.training.resume import choose_checkpoint

# The largest loss is called the best, so that the best step is the first.
SAVING = {
    "save_strategy": "steps", "save_steps": 2, "eval_strategy": "steps", "eval_steps": 2, "learning_rate": 2e-2,
    "load_best_model_at_end": True, "metric_for_best_model": "loss", "greater_is_better": True, "save_total_limit": 2,
}  # fmt: skip


@pytest.fixture
def make(make_folder, tmp_path):
    folder = make_folder(train=4, validation=2)
    return lambda run="run", **more: make_trainer(folder, tmp_path / run, "convnet", **SAVING | more)


def test_the_best_is_the_best_where_the_folder_was_moved_to_before_the_results(make, tmp_path, monkeypatch):
    whole = make()
    whole.train()
    assert [path.name for path in sorted((tmp_path / "run").iterdir())] == ["checkpoint-2", "checkpoint-6"]
    (tmp_path / "run").rename(tmp_path / "moved")
    found, lines = choose_checkpoint(tmp_path / "moved", whole.args)
    assert lines == [f"resuming from {tmp_path / 'moved' / 'checkpoint-6'}"]
    again = make("moved")
    again.train(resume_from_checkpoint=found)
    assert again.state.best_model_checkpoint == str(tmp_path / "moved" / "checkpoint-2")
    assert largest_difference(whole.model, again.model) == 0.0
    assert differing_tensors(again.model, tmp_path / "moved" / "checkpoint-2") == []
    monkeypatch.chdir(tmp_path / "moved")
    again.args.output_dir = "."
    again._load_best_model()
    (tmp_path / "moved" / "checkpoint-2" / "model.safetensors").write_bytes(b"")
    with pytest.raises(RestoreError, match=r"checkpoint-2, the best checkpoint: model\.safetensors has 0 bytes"):
        again._load_best_model()


def test_the_best_is_saved_also_where_it_is_evaluated_more_often_than_saved(make):
    trainer = make(eval_steps=1, save_steps=4)
    trainer.train()
    assert trainer.state.best_global_step not in (4, None)
    assert differing_tensors(trainer.model, trainer.best_checkpoint) == []


def test_a_full_disk_in_the_middle_of_a_checkpoint_leaves_the_older_one_and_the_run_goes_on(
    make, tmp_path, monkeypatch
):
    whole = make("whole")
    whole.train()
    save = torch.save

    def fill_disk(content, file, *more):
        if "checkpoint-4" in str(file) and "optimizer" in str(file):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))
        save(content, file, *more)

    with monkeypatch.context() as patched:
        patched.setattr(torch, "save", fill_disk)
        with pytest.raises(
            MachineError, match=r"checkpoint-4 could not be saved.*the disk is full \(.* MB free\)"
        ) as said:
            make(save_total_limit=1).train()
    assert str(tmp_path) in str(said.value)
    assert len(str(said.value).replace(str(tmp_path), "")) < 400
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["checkpoint-2"]
    again = make(save_total_limit=1)
    found, _ = choose_checkpoint(tmp_path / "run", again.args)
    again.train(resume_from_checkpoint=found)
    assert largest_difference(whole.model, again.model) == 0.0
    state = json.loads((tmp_path / "whole" / "checkpoint-6" / "trainer_state.json").read_text())
    assert (state["best_global_step"], state["best_model_checkpoint"]) == (2, None)


def test_without_a_whole_checkpoint_training_begins_anew_and_says_so(make, tmp_path):
    trainer = make()
    assert choose_checkpoint(tmp_path / "run", trainer.args) == (None, [])
    trainer.train()
    for name in ("checkpoint-2", "checkpoint-6"):
        (tmp_path / "run" / name / "scheduler.pt").unlink()
    (tmp_path / "run" / "checkpoint-8.part" / "checkpoint-8").mkdir(parents=True)
    found, lines = choose_checkpoint(tmp_path / "run", trainer.args)
    assert found is None
    assert len(lines) == 3
    assert lines[-1] == f"no checkpoint in {tmp_path / 'run'} is whole: training begins at the beginning"
    assert not (tmp_path / "run" / "checkpoint-8.part").exists()
