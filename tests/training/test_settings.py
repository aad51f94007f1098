"""What a training changes of Trainer's settings: the arguments of the schedule."""

import pytest
from transformers import TrainingArguments

from hf_imgcls.training.settings import schedule_settings


@pytest.mark.parametrize(
    ("schedule", "greater", "given", "settings"),
    [
        ("warmup_stable_decay", True, {"num_decay_steps": 0.45}, {"num_decay_steps": 90}),
        ("warmup_stable_decay", True, {"num_decay_steps": 45}, {"num_decay_steps": 45}),
        ("reduce_lr_on_plateau", True, {"factor": 0.5}, {"mode": "max", "factor": 0.5}),
        ("reduce_lr_on_plateau", False, None, {"mode": "min"}),
        ("reduce_lr_on_plateau", True, {"mode": "min"}, {"mode": "min"}),
        ("cosine", True, None, {}),
    ],
)
def test_fractions_become_steps_and_a_plateau_is_one_of_the_metric(schedule, greater, given, settings, tmp_path):
    arguments = TrainingArguments(
        str(tmp_path), lr_scheduler_type=schedule, lr_scheduler_kwargs=given, greater_is_better=greater,
        eval_strategy="epoch", use_cpu=True,
    )  # fmt: skip
    assert schedule_settings(arguments, 200) == settings
