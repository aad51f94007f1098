"""Distillation: a trained network, the teacher, whose probabilities the training loss follows beside the labels."""

import contextlib
from collections.abc import Iterable, Mapping, Sequence

import datasets
import torch
from torch.nn.functional import interpolate, kl_div
from transformers import PreTrainedConfig, Trainer

from hf_imgcls.errors import InputError
from hf_imgcls.images import TrainTransform, channel_order, input_size, normalization
from hf_imgcls.models import channels_last, check_saved, load_network, weights_digest
from hf_imgcls.recipe import DistillationSection, Stage
from hf_imgcls.words import listed

_BATCH = 32
_LOOKED_AT = 128  # images of validation


class Teacher:
    """A trained classifier that sees what the student sees: the same pixels in its own size and normalization.

    Args:
        labels: of the student, in the order of its outputs.
        images: of the student's training, whose scale, shift and channels its pixels have.
    """

    def __init__(self, section: DistillationSection, labels: Sequence[str], images: TrainTransform):
        self.temperature, self.weight = section.temperature, section.weight
        with naming_teacher(section):
            self.network, processor = load_network(section.teacher, section.revision)
            if self.network.config.problem_type == "multi_label_classification":
                raise InputError("it was trained on several labels an image, whose probabilities do not add up to 1")
            self.order = torch.tensor(_order(self.network.config.label2id, labels))
            self.size, seen = input_size(processor), channel_order(processor)
        self.name, self.student_size = section.teacher, images.size
        self.digest = weights_digest(self.network)
        channels_last(self.network, self.size)
        self.network.requires_grad_(False)
        channels = [list(images.channels).index(channel) for channel in seen]
        self.channels = torch.tensor(channels)  # a list would be copied to the device at every step
        scale, shift = (each.flatten().double() for each in normalization(processor))
        own_scale, own_shift = (each.flatten().double()[channels] for each in (images.scale, images.shift))
        # From the student's number for a byte back to the byte, and to the teacher's number for it.
        factor = scale / own_scale
        self.factor, self.offset = factor.float(), (shift - own_shift * factor).float()

    def to(self, device: torch.device) -> None:
        self.network.to(device)
        own = (self.channels, self.order, self.factor, self.offset)
        self.channels, self.order, self.factor, self.offset = (each.to(device) for each in own)

    @torch.no_grad()
    def logits(self, pixels: torch.Tensor) -> torch.Tensor:
        """Of the student's pixels (images, 3, height, width), in the order of the student's classes, as float32."""
        pixels = pixels[:, self.channels] * self.factor[:, None, None] + self.offset[:, None, None]
        if tuple(pixels.shape[-2:]) != self.size:
            pixels = interpolate(pixels, self.size, mode="bilinear", antialias=True)
        if self.network.training:
            self.network.eval()
        return self.network(pixel_values=pixels).logits.float()[:, self.order]

    def loss(self, pixels: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """T squared times the Kullback-Leibler divergence of the student from the teacher, summed over images.

        The square keeps the size of the gradients where the temperature changes (Hinton and others, 2015).
        """
        temperature = self.temperature
        student = (logits.float() / temperature).log_softmax(1)
        teacher = (self.logits(pixels) / temperature).log_softmax(1)
        return temperature**2 * kl_div(student, teacher, reduction="sum", log_target=True)

    def describe(self, rows) -> str:
        """What it is, and how many of a few images of validation it recognizes as the student sees them.

        A teacher that gets its images otherwise than it was trained on shows here.
        """
        sizes = [f"{width}x{height}" for height, width in (self.size, self.student_size)]
        seen = f", resized from {sizes[1]} to {sizes[0]}" if sizes[0] != sizes[1] else ""
        text = f"distillation: {self.name} sees the images of the training{seen}"
        if not isinstance(rows, datasets.Dataset):  # none, or a stream
            return text
        right, count = 0, min(_LOOKED_AT, len(rows))
        chosen = torch.linspace(0, len(rows) - 1, count).long().tolist()
        for begin in range(0, count, _BATCH):
            batch = [rows[number] for number in chosen[begin : begin + _BATCH]]
            pixels = torch.stack([torch.as_tensor(each["pixel_values"]) for each in batch])
            predicted = self.logits(pixels.to(self.factor.device)).argmax(1).tolist()
            right += sum(guess == each["labels"] for guess, each in zip(predicted, batch, strict=True))
        return f"{text}; of {count} validation images it recognizes {right} so ({right / count:.1%})"


def teacher_of(stage: Stage, config: PreTrainedConfig, images: TrainTransform, plans: Iterable) -> Teacher | None:
    """The teacher of a stage, that of a stage before where it is the same; `config` is the student's."""
    section = stage.distillation
    if section.teacher is None:
        return None
    same = next((plan.teacher for plan in plans if plan.stage.distillation == section), None)
    return same or Teacher(section, [config.id2label[i] for i in range(config.num_labels)], images)


class DistillingTrainer(Trainer):
    """Trainer whose training loss follows a teacher too, where it has one."""

    def __init__(self, *args, teacher: Teacher | None = None, **kwargs):
        super().__init__(*args, **kwargs)
        self.teacher = teacher
        if teacher:
            teacher.to(self.args.device)

    def distilled(self, total: torch.Tensor, pixels: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """The loss of a batch on its labels, and with it that on the teacher's probabilities, summed over images."""
        if self.teacher is None:
            return total
        weight = self.teacher.weight
        return (1 - weight) * total + weight * self.teacher.loss(pixels, logits)


def check_teacher(section: DistillationSection) -> None:
    """Refuse what is no classifier, as far as its settings tell; of a Hub id nothing is asked."""
    if section.teacher:
        with naming_teacher(section):
            check_saved(section.teacher)


@contextlib.contextmanager
def naming_teacher(section: DistillationSection):
    """Name the key of the teacher in front of an error about its model."""
    try:
        yield
    except InputError as error:
        text = str(error).removeprefix("model.checkpoint: ").removeprefix(f"model {section.teacher!r}: ")
        named = "" if section.teacher in text else f"{section.teacher!r}: "
        raise InputError(f"distillation.teacher: {named}{text}") from None


def _order(label2id: Mapping[str, int], labels: Sequence[str]) -> list[int]:
    """The teacher's output for each of the student's classes, by name."""
    missing, more = [name for name in labels if name not in label2id], [name for name in label2id if name not in labels]
    if missing or more:
        found = [f"it has no {listed(missing, 3)}" if missing else "", f"it also has {listed(more, 3)}" if more else ""]
        raise InputError(f"its classes are not those of the data: {' and '.join(filter(None, found))}")
    return [label2id[name] for name in labels]
