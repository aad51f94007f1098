"""The moving average of the weights: what is evaluated, selected, saved, resumed and left at the end."""

import signal
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from test_interruption import SignalAt, handlers_of_python  # noqa: F401
from test_trainer import largest_difference, make_trainer
from tiny import tiny_model
from transformers import TrainerCallback

from hf_imgcls.errors import InputError, Interrupted, RestoreError
from hf_imgcls.models.restore import differing_tensors
from hf_imgcls.store import find_fault_of_weights
from hf_imgcls.training.checkpoints import CheckpointTrainer
from hf_imgcls.training.ema import AveragingTrainer, WeightAverage

DECAY = 0.25  # which the warm-up reaches at the third step
EVERY = {"save_strategy": "steps", "save_steps": 2, "eval_strategy": "steps", "eval_steps": 2, "learning_rate": 2e-2,
         "load_best_model_at_end": True, "metric_for_best_model": "loss", "greater_is_better": True}  # fmt: skip


class Watch(TrainerCallback):
    """The trained weights after each step, and the same averaged by the formula of the docs, in float64."""

    def __init__(self):
        self.averages, self.raw = [], []

    def on_step_end(self, args, state, control, model=None, **kwargs):
        now = {name: value.clone() for name, value in model.state_dict().items()}
        decay = min(DECAY, state.global_step / (9 + state.global_step)) if self.averages else 0.0
        before = self.averages[-1] if self.averages else now
        new = {k: decay * before[k].double() + (1 - decay) * v.double() for k, v in now.items()}
        self.averages.append(new)
        self.raw.append(now)


@pytest.fixture
def make(make_folder, tmp_path):
    folder = make_folder(train=8, validation=4)

    def make(run, decay=DECAY, family="mini_xception", watch=None, **more):
        trainer = make_trainer(folder, tmp_path / run, family, own={"ema_decay": decay}, **EVERY | more)
        if watch:
            trainer.add_callback(watch)
        return trainer

    return make


def apart(saved: dict, expected: dict) -> float:
    return max((saved[name].double() - expected[name].double()).abs().max().item() for name in expected)


def floats(values: dict) -> dict:
    return {name: value for name, value in values.items() if "num_batches" not in name}


def test_the_average_is_evaluated_selected_saved_and_resumed(make, tmp_path, capsys):
    watch, steps = Watch(), {"max_steps": 6, "gradient_accumulation_steps": 2, "per_device_train_batch_size": 2}
    trainer = make("run", watch=watch, **steps)
    trainer.train()
    assert "averaging: an EMA of the weights (decay 0.25) is evaluated, selected and saved" in capsys.readouterr().out
    checkpoint = tmp_path / "run" / "checkpoint-4"
    saved, raw = load_file(checkpoint / "model.safetensors"), load_file(checkpoint / "raw_weights.safetensors")
    assert apart(saved, floats(watch.averages[3])) < 1e-6, "weights and statistics of normalizations"
    assert apart(saved, floats(watch.raw[3])) > 1e-3
    assert apart(raw, {name: watch.raw[3][name] for name in raw}) == 0.0
    assert sum(name.endswith("running_var") for name in raw) > 2
    # The best of all: the largest loss.
    scores = {e["step"]: e["eval_loss"] for e in trainer.state.log_history if "eval_loss" in e}
    assert trainer.state.best_global_step == max(scores, key=scores.get) < 6
    best = tmp_path / "run" / f"checkpoint-{trainer.state.best_global_step}"
    assert differing_tensors(trainer.model, best) == []
    assert trainer.evaluate()["eval_loss"] == pytest.approx(max(scores.values()), rel=1e-6)
    again = make("run", **steps)
    again.train(resume_from_checkpoint=str(checkpoint))
    after = [load_file(tmp_path / "run" / "checkpoint-6" / f"{n}.safetensors") for n in ("model", "raw_weights")]
    assert apart(after[0], floats(watch.averages[5])) < 1e-6
    assert apart(after[1], {name: watch.raw[5][name] for name in after[1]}) == 0.0
    assert {e["step"]: e["eval_loss"] for e in again.state.log_history if "eval_loss" in e} == scores
    (checkpoint / "raw_weights.safetensors").write_bytes(b"")
    assert find_fault_of_weights(checkpoint) is None, "only a resumed training reads it"
    with pytest.raises(RestoreError, match=r"raw_weights\.safetensors does not have .* add --start-over"):
        make("run").train(resume_from_checkpoint=str(checkpoint))


def test_interrupted_at_any_step_it_ends_as_if_it_had_not_been(make, tmp_path, handlers_of_python):  # noqa: F811
    """ViT: weights whose names in a file are not those of the parameters. Without evaluation the average is the end."""
    last = {"load_best_model_at_end": False, "eval_strategy": "no", "save_strategy": "no", "max_steps": 3}
    watch = Watch()
    whole = make("whole", family="vit", watch=watch, **last)
    whole.train()
    assert apart(whole.model.state_dict(), watch.averages[-1]) < 1e-6
    stopped = make("run", family="vit", **last)
    stopped.add_callback(SignalAt(2, signal.SIGTERM))
    with pytest.raises(Interrupted, match="step 2"):
        stopped.train()
    resumed = make("run", family="vit", **last)
    resumed.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-2"))
    assert largest_difference(whole.model, resumed.model) == 0.0


def test_what_does_not_train_stays_to_the_bit_and_infinite_constants_stay_numbers():
    model = tiny_model("mini_xception")
    model.register_buffer("mask", torch.tensor([0.0, float("-inf")]))
    frozen = next(iter(model.parameters())).requires_grad_(False)
    before = frozen.clone()
    average = WeightAverage(model, 0.9)
    assert not any(value is frozen for value, _ in average._pairs().values())
    norm = next(module for module in model.modules() if hasattr(module, "running_var"))
    norm.running_var = norm.running_var.clone()  # as a move to cpu:0 does, from cpu
    for _ in range(3):
        norm.running_var.add_(1.0)
        average.update()
        with torch.no_grad():
            for each in model.parameters():
                each.add_(each.requires_grad * 1.0)
    average.swap()
    assert frozen.equal(before)
    assert 2.0 < norm.running_var.mean() < 4.0
    assert model.mask.tolist() == [0.0, float("-inf")]
    assert all(value.isfinite().all() for value in model.parameters())


def test_a_step_that_fp16_skips_does_not_count_and_what_cannot_be_averaged_is_refused(monkeypatch):
    monkeypatch.setattr(AveragingTrainer, "__init__", lambda self: None)
    trainer, updates = AveragingTrainer(), []
    trainer._average = SimpleNamespace(update=lambda: updates.append(skipped))
    for skipped in (True, False):
        trainer.accelerator = SimpleNamespace(optimizer_step_was_skipped=skipped)
        trainer.update_average()
    assert updates == [False]
    monkeypatch.undo()
    monkeypatch.setattr(CheckpointTrainer, "__init__", lambda self: None)
    for sharded, optimizer, why in (
        (True, "sgd", "FSDP"),
        (False, "schedule_free_adamw", "averages the weights itself"),
    ):
        monkeypatch.setattr(AveragingTrainer, "is_fsdp_enabled", sharded, raising=False)
        monkeypatch.setattr(AveragingTrainer, "is_deepspeed_enabled", False, raising=False)
        args = SimpleNamespace(optim=SimpleNamespace(value=optimizer))
        monkeypatch.setattr(AveragingTrainer, "args", args, raising=False)
        with pytest.raises(InputError, match=rf"averaging\.ema_decay: .*{why}"):
            AveragingTrainer(ema_decay=0.9)


def test_every_process_is_evaluated_and_ends_with_the_statistics_of_the_first(monkeypatch):
    """Without it two processes report the score of two models, of which one is saved."""
    monkeypatch.setattr(AveragingTrainer, "__init__", lambda self: None)
    monkeypatch.setattr(AveragingTrainer, "is_fsdp_enabled", False, raising=False)
    monkeypatch.setattr(AveragingTrainer, "is_deepspeed_enabled", False, raising=False)
    monkeypatch.setattr("torch.distributed.broadcast", lambda buffer, source: buffer.fill_(7.0))
    monkeypatch.setattr(CheckpointTrainer, "train", lambda self: "output")
    trainer = AveragingTrainer()
    trainer.args, trainer.ema_decay = SimpleNamespace(world_size=2), None
    for use in (trainer.train, trainer._averaged().__enter__):
        trainer.model, trainer._average = tiny_model("mini_xception"), None
        use()
        found = {n: b.unique().tolist() for n, b in trainer.model.named_buffers() if "num_batches" not in n}
        assert set(map(tuple, found.values())) == {(7.0,)}
