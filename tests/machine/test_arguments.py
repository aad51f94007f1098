import pytest
import torch

from hf_imgcls.errors import InputError
from hf_imgcls.machine.arguments import disable_evaluation, training_arguments
from hf_imgcls.recipe.load import load_recipe
from hf_imgcls.recipe.stage import Stage

needs_no_gpu = pytest.mark.skipif(torch.accelerator.is_available(), reason="speaks of machines without a GPU")


def arguments(tmp_path, **training):
    training = {"output_dir": str(tmp_path), **training}
    recipe = load_recipe({"data": {"path": "photos"}, "model": {"checkpoint": "some/model"}, "training": training})
    return training_arguments(recipe.training), recipe.training


def test_a_silent_recipe_keeps_the_best_model_by_accuracy(tmp_path):
    made, _ = arguments(tmp_path)
    assert (made.eval_strategy, made.save_strategy, made.load_best_model_at_end) == ("epoch", "epoch", True)
    assert (made.metric_for_best_model, made.greater_is_better) == ("accuracy", True)
    assert made.remove_unused_columns is False


def test_what_a_recipe_says_is_what_the_trainer_gets(tmp_path):
    made, _ = arguments(
        tmp_path, eval_strategy="steps", eval_steps=5, save_strategy="no", optim="sgd", warmup_steps=0.1,
        lr_scheduler_type="cosine", label_smoothing_factor=0.1,
    )  # fmt: skip
    assert (made.eval_steps, made.optim, made.warmup_steps, made.lr_scheduler_type) == (5, "sgd", 0.1, "cosine")
    assert not made.load_best_model_at_end


@needs_no_gpu
@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_half_precision_on_a_machine_that_cannot_names_the_override(precision, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    with pytest.raises(InputError, match=f"training.{precision}: .*training.{precision}=false"):
        arguments(tmp_path, **{precision: True})
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", precision)
    with pytest.raises(InputError, match="--mixed_precision no"):
        arguments(tmp_path)


def test_bfloat16_on_a_cpu_that_was_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert arguments(tmp_path, bf16=True, use_cpu=True)[0].bf16
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert arguments(tmp_path, bf16=True)[0].bf16
    with pytest.raises(InputError, match=r"training\.fp16"):
        arguments(tmp_path, fp16=True)


def test_a_combination_that_transformers_refuses_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"^training: ") as caught:
        arguments(tmp_path, dataloader_num_workers=0, dataloader_prefetch_factor=2)
    assert "\n" not in str(caught.value)


def test_without_a_validation_split_nothing_is_evaluated(tmp_path):
    made, section = arguments(tmp_path)
    stage = Stage(1, "all", False, False, False, None, None, section, False)
    disable_evaluation(made, stage)
    assert (made.eval_strategy, made.load_best_model_at_end) == ("no", False)
    made, section = arguments(tmp_path, eval_strategy="epoch")
    with pytest.raises(InputError, match=r"training\.eval_strategy: there is no validation split"):
        disable_evaluation(made, stage._replace(training=section))
    with pytest.raises(InputError, match=r"^refit: there is no validation split"):
        disable_evaluation(made, stage._replace(refit=True))
