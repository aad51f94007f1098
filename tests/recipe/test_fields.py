"""Every field of the installed TrainingArguments is refused, checked by building, or harmless; none is forgotten."""

import dataclasses

import pytest
from transformers import TrainingArguments
from transformers.training_args import trainer_log_levels

from hf_imgcls.errors import InputError
from hf_imgcls.recipe.fields import BUILT, HARMLESS, NOT_IN_A_RECIPE, VALUES
from hf_imgcls.recipe.load import load_recipe


def test_every_field_of_the_installed_transformers_is_classed_once():
    classes = [set(NOT_IN_A_RECIPE), set(VALUES), BUILT, HARMLESS]
    fields = {field.name for field in dataclasses.fields(TrainingArguments) if field.init}
    for name in sorted(fields):
        assert sum(name in each for each in classes) == 1, f"{name}: classify it in recipe/fields.py"
    assert set().union(*classes) <= fields, "a field that is gone"


def test_log_levels_are_those_of_transformers():
    assert set(VALUES["log_level"]["values"]) == set(trainer_log_levels)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("do_train", True, "the command says"),
        ("save_only_model", True, "could not resume"),
        ("use_liger_kernel", True, "language models"),
        ("prediction_loss_only", True, "no metrics"),
        ("train_sampling_strategy", "group_by_length", '"random", "sequential"|"random" or "sequential"'),
        ("log_level", "nonsense", '"debug"'),
        ("debug", "tpu_metrics_debug", "underflow_overflow"),
        ("dataloader_multiprocessing_context", "nonsense", '"spawn"'),
        ("eval_accumulation_steps", 0, "at least 1"),
        ("torch_empty_cache_steps", 0, "at least 1"),
        ("metric_for_best_model", "", "not empty"),
        ("max_steps", 0, "at least 1"),
    ],
)
def test_a_value_that_would_break_a_promise_is_refused_with_its_reason(field, value, said):
    training = {"output_dir": "run", field: value}
    with pytest.raises(InputError, match=said) as caught:
        load_recipe({"data": {"path": "photos"}, "model": {"checkpoint": "some/model"}, "training": training})
    assert field in str(caught.value)
    assert len(str(caught.value)) < 400
