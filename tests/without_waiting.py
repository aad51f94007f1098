"""A device whose values nobody can read: where a GPU would be waited for, or would refuse, a test fails on a CPU."""

import contextlib

import torch
from tiny import tiny_model, tiny_processor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import TrainingArguments

from hf_imgcls.images.mixing import Mixing
from hf_imgcls.images.transforms import TrainTransform
from hf_imgcls.training.ema import WeightAverage
from hf_imgcls.training.loss import Terms
from hf_imgcls.training.set_loss import SetTerms
from hf_imgcls.training.trainer import ImageTrainer

META = torch.device("meta")
_COPIES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)
BATCH, SIDE = 4, 16
NOISE = [{"RandomErasing": {"p": 1.0, "value": "random"}}]
_SHARES = torch.tensor([0.7, 0.2, 0.1])
# What a recipe can ask of a training step: arguments of a trainer, and of TrainingArguments.
STEPS = {
    "plain": ({}, {}),
    "smoothing": ({}, {"label_smoothing_factor": 0.1}),
    "mixup": ({"mixing": Mixing(["MixUp"], 3)}, {}),
    "cutmix": ({"mixing": Mixing(["CutMix"], 3)}, {}),
    "mixup per image": ({"mixing": Mixing([{"MixUp": {"per_image": True}}], 3)}, {}),
    "cutmix per image": ({"mixing": Mixing([{"CutMix": {"per_image": True}}], 3)}, {}),
    "noise": ({"images": NOISE}, {}),
    "terms": ({"terms": Terms(_SHARES, _SHARES, 1.0, focal_gamma=2.0)}, {"label_smoothing_factor": 0.1}),
    "several labels": ({"terms": SetTerms(_SHARES, 1.0, 4.0, 0.05)}, {}),
    "several labels, mixed": ({"mixing": Mixing([{"MixUp": {"per_image": True}}], 3), "terms": SetTerms()}, {}),
    "an average": ({"ema_decay": 0.9}, {}),
}


@contextlib.contextmanager
def no_waiting():
    """Refuse what a GPU would be waited for, or refuse itself, of tensors on the meta device.

    What reads a value (`item`, `tolist`, `cpu`, `numpy`), the meta device itself refuses.
    """
    with _NoLists(), _NoCopies():
        yield


class _NoCopies(TorchDispatchMode):
    """Refuses copies between CPU and device that are not said to be non-blocking, and operations on both."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        tensors = [each for each in tree_leaves((args, kwargs, result)) if isinstance(each, torch.Tensor)]
        # A single number of the CPU goes along with a kernel's arguments; copied, it is as slow as any tensor.
        kinds = {each.device.type for each in tensors if each.dim() or func in _COPIES}
        promised = kwargs.get("non_blocking") or (func is _COPIES[1] and any(each is True for each in args[2:]))
        if len(kinds) > 1 and not promised:
            raise AssertionError(f"{func} on {sorted(kinds)}")
        return result


class _NoLists(TorchFunctionMode):
    """Refuses what becomes a tensor of the device from a list of Python: its copy shows in no operation."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        index = args[1] if func is torch.Tensor.__getitem__ and args[0].is_meta else None
        listed = any(isinstance(each, list) for each in (index if isinstance(index, tuple) else (index,)))
        if listed or (func is torch.tensor and torch.device(kwargs.get("device") or "cpu") == META):
            raise AssertionError(f"{func.__name__} of a list")
        return func(*args, **kwargs)


def step_trainer(name: str, folder, **training) -> ImageTrainer:
    """A trainer of tiny ViT for steps of ready batches, as one of STEPS has it."""
    own, arguments = STEPS[name]
    own, model = dict(own), tiny_model("vit")
    if name.startswith("several"):
        model.config.problem_type = "multi_label_classification"
    images = TrainTransform(own.pop("images", []), tiny_processor(), range(3), seed=0)
    settings = {"remove_unused_columns": False, "label_names": ["labels"], "disable_tqdm": True, "report_to": "none"}
    arguments = TrainingArguments(str(folder), **settings | arguments | training)
    return ImageTrainer(model, arguments, train_dataset=[None], images=images, **own)


def ready_batch(name: str, device) -> dict[str, torch.Tensor]:
    """As the loader hands it over: bytes and label ids on the device."""
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (BATCH, 3, SIDE, SIDE), dtype=torch.uint8, generator=draw)
    labels = torch.tensor([0, 1, 2, 0])
    if name.startswith("several"):
        labels = torch.nn.functional.one_hot(labels, 3).float()
    batch = {"pixel_values": pixels, "labels": labels}
    if name == "noise":
        batch["erased"] = torch.tensor([[0, 0, 8, 8]] * BATCH)
    return {key: value.to(device) for key, value in batch.items()}


def take_step(trainer: ImageTrainer, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Forward and backward of a ready batch, as Trainer's loop calls them, and the update of an average; the loss."""
    device = batch["labels"].device
    if trainer.ema_decay and not trainer._average:
        trainer._average = WeightAverage(trainer.model, trainer.ema_decay)
    batches, count = trainer.get_batch_samples(iter([batch]), 1, device)
    loss = trainer.training_step(trainer.model, batches[0], count)
    if trainer._average:
        trainer.update_average()
    return loss
