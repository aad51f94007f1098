"""Whether every parameter that trains gets a gradient; and what torch refuses in mid-training, as a user error."""

import contextlib
from collections.abc import Iterator

from transformers import PreTrainedModel, TrainerCallback, TrainingArguments

from hf_imgcls.errors import InputError
from hf_imgcls.machine import say
from hf_imgcls.models import that_affect_logits
from hf_imgcls.words import listed

_SHOWN = 3
_REENTRANT = (
    "; reentrant gradient checkpointing gives none behind frozen layers: set "
    'training.gradient_checkpointing_kwargs={"use_reentrant": false}'
)


class EveryGradient(TrainerCallback):
    """Before the first step: an InputError if the logits depend on a parameter that trains and got no gradient.

    Others, such as mask tokens, are named in a line: they stay as they are. `size` is the input's.
    """

    def __init__(self, size: tuple[int, int]):
        self.size, self.looked = size, False

    def on_train_begin(self, args, state, control, **kwargs):
        self.looked = False

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        if self.looked:
            return
        self.looked = True
        trained = {name: each for name, each in model.named_parameters() if each.requires_grad}
        without = [name for name, each in trained.items() if each.grad is None]
        if not without:
            return
        network = isinstance(model, PreTrainedModel)
        needed = that_affect_logits(model, without, self.size) if network else set(without)
        missing = [name for name in without if name in needed]
        if missing:
            raise InputError(
                f"training: {len(missing)} of {len(trained)} parameters that train get no gradient "
                f"({listed(missing, _SHOWN)}){_reentrant(args)}"
            )
        say(f"note: the predictions do not depend on {listed(without, _SHOWN)}: not trained")


def _reentrant(arguments: TrainingArguments) -> str:
    kwargs = arguments.gradient_checkpointing_kwargs or {}
    return _REENTRANT if arguments.gradient_checkpointing and kwargs.get("use_reentrant", True) else ""


@contextlib.contextmanager
def torch_refusals(arguments: TrainingArguments) -> Iterator[None]:
    """What torch raises of a recipe's settings in a step, as an InputError."""
    try:
        yield
    except (ValueError, RuntimeError) as error:
        text = str(error)
        if isinstance(error, InputError):
            raise
        if "more than 1 value per channel" in text:
            raise InputError(
                "training.per_device_train_batch_size: a batch was a single image, which this network's batch "
                "normalization cannot train on; take another batch size, or training.dataloader_drop_last=true"
            ) from None
        if "does not require grad" in text:
            raise InputError(f"training: no parameter that trains gets a gradient{_reentrant(arguments)}") from None
        if arguments.full_determinism and "deterministic" in text:
            raise InputError(f"training.full_determinism: {' '.join(text.split())[:250]}") from None
        raise
