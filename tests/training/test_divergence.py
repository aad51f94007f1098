"""What is NaN or infinite stops a run, and no checkpoint of it is saved."""

import math

import numpy as np
import pytest
import torch
from test_trainer import make_trainer

from hf_imgcls.errors import InputError
from hf_imgcls.scoring import Scored
from hf_imgcls.training.loss import Custom


class BadFrom:
    """A loss that is finite until a call."""

    def __init__(self, call: int, value: float):
        self.call, self.value, self.calls = call, value, 0

    def __call__(self, logits, labels):
        self.calls += 1
        return logits.square().mean() * (self.value if self.calls >= self.call else 1.0)


SAVING = {"save_strategy": "steps", "save_steps": 2, "eval_strategy": "no", "learning_rate": 1e-3}


@pytest.fixture
def trainer(make_folder, tmp_path):
    """A trainer of six steps with a loss of one's own, that saves every second step."""
    return lambda loss, metrics=None, **more: make_trainer(
        make_folder(train=4, validation=2),
        tmp_path / "run",
        own={"custom": Custom(loss, metrics or {})},
        **SAVING | more,
    )


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops_within_its_step(value, trainer, tmp_path):
    made = trainer(BadFrom(4, value), max_grad_norm=0.0)
    with pytest.raises(InputError) as raised:
        made.train()
    line = str(raised.value)
    assert line.startswith(
        "training diverged at step 4: the loss is NaN or infinite; lower training.learning_rate (found 0.001)"
    )
    assert line.endswith(f"the last good checkpoint is {tmp_path / 'run' / 'checkpoint-2'}")
    assert "training.max_grad_norm=1" in line
    assert len(line.replace(str(tmp_path), "")) < 400
    assert made.state.global_step == 3
    made.check_weights()
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["checkpoint-2"]


def test_before_the_first_update_no_learning_rate_is_at_fault(trainer):
    with pytest.raises(
        InputError, match=r"at step 1: .* before any weight has changed.*no checkpoint was saved before"
    ):
        trainer(BadFrom(1, math.nan)).train()


def test_on_a_device_the_first_bad_step_is_read_at_the_next_checkpoint(trainer, tmp_path):
    made = trainer(BadFrom(3, math.nan), logging_strategy="no")
    made._read_each_step = False
    with pytest.raises(InputError, match=r"at step 3: the loss is NaN"):
        made.train()
    assert made.state.global_step == 4
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["checkpoint-2"]


def test_weights_that_are_no_numbers_are_never_saved(trainer, tmp_path):
    made = trainer(None)
    with torch.no_grad():
        next(made.model.parameters()).view(-1)[0] = math.inf
    for save in (lambda: made._save_checkpoint(made.model, None), lambda: made.save_run(tmp_path / "saved")):
        with pytest.raises(InputError, match="the weights are NaN or infinite"):
            save()
    assert not (tmp_path / "saved").exists()


def test_statistics_of_normalizations_that_are_no_numbers_are_never_saved(make_folder, tmp_path):
    """Those of a step whose loss was finite: training divides by the batch's own."""
    made = make_trainer(make_folder(train=4, validation=2), tmp_path / "run", "mini_xception", **SAVING)
    made.check_weights()
    next(m for m in made.model.modules() if isinstance(m, torch.nn.BatchNorm2d)).running_var[0] = math.inf
    with pytest.raises(InputError, match="the weights are NaN or infinite"):
        made.save_run(tmp_path / "saved")


def test_a_network_that_predicts_nothing_has_diverged(trainer):
    made, images = trainer(None), np.zeros(4)
    nothing, some = (Scored(ranked, images, images, images, 3) for ranked in (np.full((4, 3), -1), np.eye(4, 3) - 1))
    made.check_predictions({"validation": some}, 6)
    with pytest.raises(InputError, match=r"at step 6: the predictions of test are NaN or infinite; lower"):
        made.check_predictions({"validation": some, "test": nothing}, 6)


def test_a_metric_that_is_no_number_stops_the_run(trainer):
    made = trainer(None, {"kappa": lambda predicted, labels: math.nan}, eval_strategy="steps", eval_steps=2)
    with pytest.raises(InputError, match=r"at step 2: the validation kappa is NaN or infinite; .*the metric returns"):
        made.train()


def test_gradients_may_overflow(trainer):
    made = trainer(None)
    made.log({"loss": 1.0, "grad_norm": math.nan})
    assert math.isnan(made.state.log_history[-1]["grad_norm"])
