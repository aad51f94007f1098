"""What only the Trainer would object to, found before data and weights are loaded, by building what it builds."""

import copy
import tempfile

import torch
from huggingface_hub.utils import validate_repo_id
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedConfig, PreTrainedModel, Trainer, TrainingArguments

from hf_imgcls.errors import InputError
from hf_imgcls.machine import training_arguments
from hf_imgcls.models import as_input_error, network_name
from hf_imgcls.recipe import Lora, Stage
from hf_imgcls.scoring import METRICS
from hf_imgcls.training.loss import Custom
from hf_imgcls.training.rates import check_groups
from hf_imgcls.training.settings import default_metric
from hf_imgcls.training.trainer import ImageTrainer

_FOR_LANGUAGE = ("galore", "apollo", "lomo", "adalomo")
_NO_WARMUP = ("constant", "reduce_lr_on_plateau", "greedy")
_STEPS = 100
_ANY_CLASSES = 10**9  # how many there are is not known before the data


class _OneWeight(nn.Module):
    """A network of one weight."""

    def __init__(self):
        super().__init__()
        self.config = PreTrainedConfig()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, pixel_values):
        return {"logits": pixel_values * self.weight}


def check_arguments(stage: Stage, custom: Custom, multi_label: bool = False) -> None:
    """Build the TrainingArguments of a stage and what the Trainer makes of them; an InputError where that fails."""
    with tempfile.TemporaryDirectory() as folder:
        own = {"output_dir": folder, "push_to_hub": False, **default_metric(stage, multi_label)}
        arguments = training_arguments(stage.training, **own)
        custom.check_best_metric(arguments.metric_for_best_model, _ANY_CLASSES, multi_label)
        _check_combinations(arguments, stage)
        with as_input_error("training", AttributeError, ArithmeticError):
            decay = stage.averaging.ema_decay
            trainer = ImageTrainer(_OneWeight(), arguments, train_dataset=[0], eval_dataset=[0], ema_decay=decay)
        with as_input_error("training.dataloader_num_workers"):
            trainer.get_train_dataloader()
        if not (trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled):
            _check_optimizer(trainer)
        elif isinstance(stage.train, Lora):
            raise InputError("train.lora: FSDP and DeepSpeed divide the weights among processes; train without them")
        if stage.optimizer.layer_decay or stage.optimizer.learning_rates:
            check_groups(trainer)
        trainer.stop_workers()
    if arguments.gradient_checkpointing:
        _check_checkpointing(arguments.gradient_checkpointing_kwargs)
    if arguments.torch_compile:
        with as_input_error("training.torch_compile_backend"):
            layer = torch.compile(
                nn.Linear(1, 1, device=arguments.device),
                backend=arguments.torch_compile_backend,
                mode=arguments.torch_compile_mode,
            )
            layer(torch.ones(1, 1, device=arguments.device))


def _check_combinations(arguments: TrainingArguments, stage: Stage) -> None:
    name, schedule = arguments.metric_for_best_model, arguments.lr_scheduler_type.value
    metric = METRICS.get((name or "").removeprefix("eval_"))
    if metric and arguments.greater_is_better is not metric.greater_is_better:
        better = "larger" if metric.greater_is_better else "smaller"
        raise InputError(f"training.greater_is_better: a {better} {name} is better; leave it out")
    if arguments.optim.value.startswith(_FOR_LANGUAGE):
        raise InputError(f"training.optim: {arguments.optim.value} is for language models; take another optimizer")
    _check_optim_args(arguments)
    if isinstance(arguments.lr_scheduler_kwargs, str):
        raise InputError("training.lr_scheduler_kwargs: found a string, expected a section")
    if arguments.lr_scheduler_kwargs and schedule in ("constant", "constant_with_warmup"):
        raise InputError(f"training.lr_scheduler_kwargs: {schedule} takes none; leave it out")
    if arguments.warmup_steps and schedule in _NO_WARMUP:
        raise InputError(f"training.warmup_steps: {schedule} has no warmup; leave it out or take another schedule")
    if stage.training.push_to_hub and stage.training.hub_model_id:
        with as_input_error("training.hub_model_id"):
            validate_repo_id(stage.training.hub_model_id)


def _check_optim_args(arguments: TrainingArguments) -> None:
    """Refuse arguments that an optimizer does not take, which the Trainer would leave out without a word."""
    for each in (arguments.optim_args or "").replace(" ", "").split(",") if arguments.optim_args else ():
        name, equals, value = each.partition("=")
        if not (name and equals and value) or "=" in value:
            raise InputError(f"training.optim_args: found {each!r}, expected name=value, name=value")
        if name == "weight_decay":
            raise InputError("training.optim_args: weight_decay is training.weight_decay, which wins")
        if not _takes(arguments, name):
            raise InputError(f"training.optim_args: {arguments.optim.value} takes no {name!r} from here; leave it out")


def _takes(arguments: TrainingArguments, name: str) -> bool:
    without, other = copy.copy(arguments), copy.copy(arguments)
    without.optim_args, other.optim_args = None, f"{name}=0.12345"
    with as_input_error("training.optim"):
        made = Trainer.get_optimizer_cls_and_kwargs(without)
    try:
        return Trainer.get_optimizer_cls_and_kwargs(other) != made
    except ValueError:  # it is read, as another kind of number
        return True


def _check_optimizer(trainer: ImageTrainer) -> None:
    arguments, given = trainer.args, dict(trainer.args.lr_scheduler_kwargs or {})
    with as_input_error("training.optim", AttributeError, ArithmeticError):
        optimizer = trainer.create_optimizer()
        trainer.model.weight.grad = torch.ones_like(trainer.model.weight)
        optimizer.step()
    key = "training.lr_scheduler_type" if not given else "training.lr_scheduler_kwargs"
    with as_input_error(key, AttributeError, ArithmeticError):
        schedule = trainer.create_scheduler(_STEPS)
        for function in schedule.lr_lambdas if isinstance(schedule, LambdaLR) else ():
            for step in range(_STEPS + 1):
                function(step)
    better = "max" if arguments.greater_is_better else "min"
    if given.get("mode", better) != better and hasattr(schedule, "mode"):
        raise InputError(f"training.lr_scheduler_kwargs.mode: {arguments.metric_for_best_model} needs {better!r}")
    if max(getattr(schedule, "min_lrs", [0])) > arguments.learning_rate:
        raise InputError(
            f"training.lr_scheduler_kwargs.min_lr: {max(schedule.min_lrs):g} is above training.learning_rate"
        )


def _check_checkpointing(given: dict) -> None:
    every = given.get("every_n_layers", 1)
    if not isinstance(every, int) or every < 1:
        raise InputError(f"training.gradient_checkpointing_kwargs.every_n_layers: found {every!r}, expected 1 or more")
    others = {key: value for key, value in given.items() if key not in ("every_n_layers", "offload")}
    with as_input_error("training.gradient_checkpointing_kwargs"):
        checkpoint(torch.sin, torch.ones(1, requires_grad=True), **others).backward()


def check_network(model: PreTrainedModel, stage: Stage, arguments: TrainingArguments) -> None:
    """Refuse gradient checkpointing of a network that has none; a head on cached features needs none."""
    if not arguments.gradient_checkpointing:
        return
    if stage.cache_features:
        for name in ("gradient_checkpointing", "activation_checkpointing"):
            setattr(arguments, name, False)
    elif not model.supports_gradient_checkpointing:
        raise InputError(f"training.gradient_checkpointing: {network_name(model)} has none; leave it out")


def check_batches(images: int, arguments: TrainingArguments) -> None:
    """Refuse to drop the only batch."""
    batch = arguments.train_batch_size * arguments.world_size
    if arguments.dataloader_drop_last and images < batch:
        raise InputError(
            f"training.dataloader_drop_last: {images} images are fewer than a batch of {batch}, so nothing would "
            "train; leave it out, or lower training.per_device_train_batch_size"
        )


def check_last_batch(model: nn.Module, frozen, images: int, arguments: TrainingArguments, size) -> None:
    """Refuse a last batch of one image where batch normalization needs more."""
    one = arguments.world_size == 1 and images % arguments.train_batch_size == (arguments.train_batch_size > 1)
    if not one or (arguments.dataloader_drop_last and arguments.train_batch_size > 1):
        return
    like = next(model.parameters())
    kept, modes = [buffer.clone() for buffer in model.buffers()], [(m, m.training) for m in model.modules()]
    model.train()
    for module in frozen:
        module.eval()
    try:
        # Its own device alone: torch warns where it is to keep the generators of several.
        devices = [like.device] if like.is_cuda else []
        with torch.random.fork_rng(devices), torch.no_grad():
            model(pixel_values=torch.zeros(1, 3, *size, dtype=like.dtype, device=like.device))
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise InputError(
            f"training.per_device_train_batch_size: of {images} images the last batch of {arguments.train_batch_size} "
            "is a single one, which this network's batch normalization cannot train on; take another batch size"
            + (", or training.dataloader_drop_last=true" if arguments.train_batch_size > 1 else "")
        ) from None
    finally:
        for module, training in modes:
            module.training = training
        for buffer, value in zip(model.buffers(), kept, strict=True):
            buffer.copy_(value)
