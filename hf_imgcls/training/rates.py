"""The Trainer whose optimizer has groups of parameters with learning rates of their own."""

from collections.abc import Sequence

from transformers import Trainer

from hf_imgcls.errors import InputError
from hf_imgcls.training.groups import Group
from hf_imgcls.training.settings import schedule_settings


class RatesTrainer(Trainer):
    """Trainer with groups of parameters; where there are none, with the two of Trainer itself.

    What it logs is the learning rate of a group whose factor is 1, whether there is one or not.
    """

    def __init__(self, *args, groups: Sequence[Group] = (), **kwargs):
        super().__init__(*args, **kwargs)
        self.groups = groups

    def get_optimizer_cls_and_kwargs(self, args, model=None):
        """Trainer's own, with the groups where it expects those of an optimizer that makes its own."""
        optimizer, settings = Trainer.get_optimizer_cls_and_kwargs(args, model)
        if self.groups:
            parameters = dict(self.model.named_parameters())
            settings["params"] = [
                {
                    "params": [parameters[name] for name in group.names],
                    "lr": args.learning_rate * group.factor,  # schedules multiply it, so the ratios stay
                    "weight_decay": group.weight_decay,
                }
                for group in self.groups
            ]
        return optimizer, settings

    def create_scheduler(self, num_training_steps: int, optimizer=None):
        made = self.lr_scheduler is not None
        self.args.lr_scheduler_kwargs = schedule_settings(self.args, num_training_steps)
        schedule = super().create_scheduler(num_training_steps, optimizer)
        if self.groups and not made:
            self._scale_bounds(schedule)
        return schedule

    def _scale_bounds(self, schedule) -> None:
        """Bounds of schedules that follow a metric are of the rate itself: each group has its part of them."""
        factors = [group.factor for group in self.groups]
        for name in ("min_lrs", "max_lrs"):
            if hasattr(schedule, name):
                bounds = zip(getattr(schedule, name), factors, strict=True)
                setattr(schedule, name, [bound * factor for bound, factor in bounds])
        if hasattr(schedule, "min_lrs"):
            schedule.eps *= min(factors)  # smaller steps than it are not made

    def _get_learning_rate(self) -> float:
        first = super()._get_learning_rate()
        return first / self.groups[0].factor if self.groups else first


def check_groups(trainer: RatesTrainer) -> None:
    """Refuse groups where what shards the model, or the optimizer, does not keep them.

    The trainer's network has one parameter, `weight`.
    """
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        kind = "FSDP" if trainer.is_fsdp_enabled else "DeepSpeed"
        raise InputError(f"optimizer: {kind} has one learning rate for all parameters; leave the section out")
    trainer.groups, trainer.optimizer = [Group(None, 0.5, 0.0, ("weight",))], None
    rates = [float(group["lr"]) for group in trainer.create_optimizer().param_groups]
    if rates != [0.5 * trainer.args.learning_rate]:
        raise InputError(f"optimizer: {trainer.args.optim.value} has one learning rate; take another training.optim")
