"""What only the Trainer would object to is found before data and weights."""

from types import SimpleNamespace

import pytest
import torch
from tiny import SIZE, tiny_model
from torch import nn
from transformers import Trainer, TrainingArguments

from hf_imgcls.errors import InputError
from hf_imgcls.models import choose_parameters, freeze_parameters
from hf_imgcls.recipe import LastBlocks, load_recipe, stages_of
from hf_imgcls.recipe.sections import OptimizerSection
from hf_imgcls.training.check import check_arguments, check_batches, check_last_batch, check_network
from hf_imgcls.training.gradients import EveryGradient, torch_refusals
from hf_imgcls.training.loss import Custom
from hf_imgcls.training.rates import check_groups
from hf_imgcls.training.trainer import ImageTrainer

MIN_LR = "cosine_with_min_lr"


def stage_of(**training):
    training = {"output_dir": "no folder is made here", "use_cpu": True, **training}
    recipe = load_recipe({"data": {"path": "photos"}, "model": {"checkpoint": "some/model"}, "training": training})
    return stages_of(recipe)[0]


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ({"metric_for_best_model": "macro_f"}, 'did you mean "macro_f1"'),
        ({"metric_for_best_model": "loss", "greater_is_better": True}, "greater_is_better"),
        ({"report_to": "nonsense"}, "nonsense is not supported"),
        ({"report_to": ["none", "wandb"]}, "none is not supported"),
        ({"report_to": "azure_ml"}, "azureml"),
        ({"optim": "adamw_torch_xla"}, "training.optim: "),
        ({"optim": "galore_adamw"}, "language models"),
        ({"optim": "sgd", "optim_args": "momentum"}, "name=value"),
        ({"optim": "sgd", "optim_args": "momentum=x"}, "training.optim: could not convert"),
        ({"optim": "sgd", "optim_args": "momentun=0.9"}, "sgd takes no 'momentun'"),
        ({"optim": "sgd", "optim_args": "weight_decay=0.1"}, "training.weight_decay"),
        ({"optim": "sgd", "optim_args": "nesterov=true"}, "Nesterov"),
        ({"optim_args": "momentum=0.9"}, "takes no 'momentum'"),
        ({"lr_scheduler_kwargs": "file.json"}, "expected a section"),
        ({"lr_scheduler_kwargs": {"nonsense": 1}}, "nonsense"),
        ({"lr_scheduler_type": MIN_LR}, "min_lr"),
        ({"lr_scheduler_type": MIN_LR, "lr_scheduler_kwargs": {"min_lr": "x"}}, "lr_scheduler_kwargs: "),
        ({"lr_scheduler_type": "warmup_stable_decay"}, "num_decay_steps"),
        ({"lr_scheduler_type": "polynomial", "learning_rate": 1e-8}, "lr_end"),
        ({"lr_scheduler_type": "polynomial", "lr_scheduler_kwargs": {"power": "x"}}, "lr_scheduler_kwargs: "),
        ({"lr_scheduler_type": "inverse_sqrt", "lr_scheduler_kwargs": {"timescale": 0}}, "zero"),
        ({"lr_scheduler_type": "reduce_lr_on_plateau", "lr_scheduler_kwargs": {"mode": "min"}}, "needs 'max'"),
        ({"lr_scheduler_type": "reduce_lr_on_plateau", "eval_strategy": "no"}, "eval strategy"),
        ({"lr_scheduler_type": "greedy"}, "min_lr: 0.001 is above"),
        ({"lr_scheduler_type": "constant", "warmup_steps": 10}, "no warmup"),
        ({"torch_compile_backend": "nonsense"}, "DynamoBackend"),
        ({"torch_compile_mode": "nonsense"}, "Unrecognized mode=nonsense"),
        ({"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"every_n_layers": 0}}, "found 0"),
        ({"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"nonsense": 1}}, "nonsense"),
        ({"gradient_checkpointing": True, "gradient_checkpointing_kwargs": "x.json"}, "expected a section"),
        ({"accelerator_config": "no_file.json"}, "No such file"),
        ({"accelerator_config": {"gradient_accumulation_kwargs": {"x": 3}}}, "unexpected keyword"),
        ({"dataloader_num_workers": 0, "dataloader_persistent_workers": True}, "persistent_workers"),
        ({"dataloader_num_workers": 0, "dataloader_multiprocessing_context": "fork"}, "multiprocessing_context"),
        ({"fsdp": "full_shard"}, "distributed"),
        ({"fsdp": "full_shard", "fsdp_config": "no_file.json"}, "No such file"),
        ({"deepspeed": "no_file.json"}, "training: "),
        ({"push_to_hub": True, "hub_model_id": "a/b/c"}, "hub_model_id: "),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_only_the_trainer_would_object_to_is_one_line(training, said):
    with pytest.raises(InputError, match=said) as caught:
        check_arguments(stage_of(**training), Custom())
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "training",
    [
        {},
        {"optim": "sgd", "optim_args": "momentum=0.9,nesterov=true"},
        {"optim": "rmsprop", "optim_args": "alpha=0.9,eps=3e-4"},
        {"lr_scheduler_type": MIN_LR, "lr_scheduler_kwargs": {"min_lr_rate": 0.1}},
        {"lr_scheduler_type": "warmup_stable_decay", "lr_scheduler_kwargs": {"num_decay_steps": 0.2}},
        {"lr_scheduler_type": "reduce_lr_on_plateau", "lr_scheduler_kwargs": {"patience": 2}},
        {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": True}},
    ],
    ids=str,
)
def test_what_trains_passes(training):
    check_arguments(stage_of(**training), Custom())


@pytest.mark.parametrize("optim", ["adamw_torch", "adafactor", "rmsprop"])
def test_optimizers_take_rates_by_layer(optim):
    check_arguments(stage_of(optim=optim)._replace(optimizer=OptimizerSection(layer_decay=0.5)), Custom())


def test_what_has_one_rate_for_all_is_refused(monkeypatch):
    stage = stage_of()._replace(optimizer=OptimizerSection(layer_decay=0.5))
    with monkeypatch.context() as patched:
        own = staticmethod(Trainer.get_optimizer_cls_and_kwargs)
        patched.setattr(ImageTrainer, "get_optimizer_cls_and_kwargs", own)
        with pytest.raises(InputError, match=r"optimizer: adamw_torch.* has one learning rate; take another"):
            check_arguments(stage, Custom())
    for sharded in ("FSDP", "DeepSpeed"):
        trainer = SimpleNamespace(is_fsdp_enabled=sharded == "FSDP", is_deepspeed_enabled=sharded == "DeepSpeed")
        with pytest.raises(InputError, match=f"optimizer: {sharded} has one learning rate for all parameters"):
            check_groups(trainer)


def test_a_metric_of_the_users_own_may_select_the_checkpoint():
    check_arguments(stage_of(metric_for_best_model="cost"), Custom(metrics={"cost": lambda ids, labels: 0.0}))


def test_checkpointing_needs_a_network_that_has_it_and_is_not_reentrant_by_itself(tmp_path):
    stage = stage_of(gradient_checkpointing=True)
    arguments = TrainingArguments(output_dir=str(tmp_path), gradient_checkpointing=True, use_cpu=True)
    check_network(tiny_model("vit"), stage, arguments)
    with pytest.raises(InputError, match="gradient_checkpointing: ConvNetForImageClassification has none"):
        check_network(tiny_model("convnet"), stage, arguments)
    check_network(tiny_model("convnet"), stage._replace(cache_features=True), arguments)
    assert not arguments.gradient_checkpointing, "a head on features has nothing to recompute"


def test_the_only_batch_is_not_dropped(tmp_path):
    arguments = TrainingArguments(
        str(tmp_path), per_device_train_batch_size=16, dataloader_drop_last=True, use_cpu=True
    )
    check_batches(16, arguments)
    with pytest.raises(InputError, match="15 images are fewer than a batch of 16"):
        check_batches(15, arguments)


class Normed(nn.Module):
    """Batch normalization of 1x1 maps."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(3)

    def forward(self, pixel_values):
        return {"logits": self.norm(pixel_values.mean((2, 3)))}


def test_a_last_batch_of_one_image_is_refused_where_batch_norm_cannot_train_on_it(tmp_path):
    arguments = TrainingArguments(str(tmp_path), per_device_train_batch_size=8, use_cpu=True)
    model, size = Normed(), (SIZE, SIZE)
    check_last_batch(model, [], 16, arguments, size)
    check_last_batch(model, [model.norm], 17, arguments, size)
    check_last_batch(tiny_model("vit"), [], 17, arguments, size)
    assert model.norm.num_batches_tracked == 0, "the check leaves the statistics as they were"
    with pytest.raises(InputError, match="of 17 images the last batch of 8 is a single one"):
        check_last_batch(model, [], 17, arguments, size)


@pytest.mark.parametrize("reentrant", [True, False])
def test_parameters_that_train_without_a_gradient_are_named(reentrant, tmp_path):
    model, size = tiny_model("vit"), (SIZE, SIZE)
    freeze_parameters(model, choose_parameters(model, LastBlocks(last_blocks=1), size), size)
    kwargs = {"use_reentrant": reentrant}
    arguments = TrainingArguments(
        str(tmp_path), gradient_checkpointing=True, gradient_checkpointing_kwargs=kwargs, use_cpu=True
    )
    model.gradient_checkpointing_enable(kwargs)
    model.train()(pixel_values=torch.rand(2, 3, *size)).logits.sum().backward()
    look = EveryGradient(size)
    if not reentrant:
        look.on_pre_optimizer_step(arguments, None, None, model=model)
        return
    with pytest.raises(InputError, match=r"get no gradient.*layers\.1.*use_reentrant"):
        look.on_pre_optimizer_step(arguments, None, None, model=model)


def test_a_parameter_that_no_prediction_depends_on_is_said_not_refused(tmp_path, capsys):
    model = tiny_model("vit")
    model.register_parameter("mask_token", nn.Parameter(torch.ones(2)))
    model(pixel_values=torch.rand(2, 3, SIZE, SIZE)).logits.sum().backward()
    EveryGradient((SIZE, SIZE)).on_pre_optimizer_step(None, None, None, model=model)
    assert "do not depend on mask_token" in capsys.readouterr().out


def test_what_torch_refuses_in_a_step_is_one_line(tmp_path):
    arguments = TrainingArguments(str(tmp_path), use_cpu=True)
    with pytest.raises(InputError, match="no parameter that trains gets a gradient"), torch_refusals(arguments):
        torch.ones(1).backward()
    with pytest.raises(InputError, match="a batch was a single image"), torch_refusals(arguments):
        nn.BatchNorm1d(2)(torch.ones(1, 2))
