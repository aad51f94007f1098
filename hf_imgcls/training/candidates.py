"""Pretrained networks compared on a dataset, each by a head that is solved on its features."""

import dataclasses
import time
from collections import Counter
from collections.abc import Sequence

import torch
from torch.nn.modules.batchnorm import _BatchNorm
from transformers import PreTrainedModel, TrainingArguments

from hf_imgcls.data import Data, attach_transform
from hf_imgcls.images import EvalTransform, input_size
from hf_imgcls.machine import cores_per_process
from hf_imgcls.models import in_evaluation, is_stock, random_images
from hf_imgcls.recipe import LossSection
from hf_imgcls.scoring import interval
from hf_imgcls.training.balance import class_weights
from hf_imgcls.training.features import cached_features
from hf_imgcls.training.loss import PLAIN, Terms
from hf_imgcls.training.regression import Solution, solve
from hf_imgcls.training.solutions import Examples
from hf_imgcls.training.solved_head import losses_of, read_examples

# Networks to try, the smallest first. ConvNeXt-Tiny is the best of the light ones on natural photos, and convolutional
# networks keep more of it on few images than ViTs do (arXiv:2406.05612); none is best everywhere, and ten minutes of
# trying find a better one than any ranking (arXiv:2410.08592), so that a self-supervised ViT is tried beside them.
_MOBILE, _NANO = "timm/mobilenetv3_large_100.ra_in1k", "timm/convnext_nano.in12k_ft_in1k"
_TINY, _DINO = "timm/convnext_tiny.in12k_ft_in1k", "timm/vit_small_patch16_dinov3.lvd1689m"
PRESETS = {
    "fast": {"cpu": [_MOBILE], "gpu": [_MOBILE, _NANO]},
    "default": {"cpu": [_MOBILE, _NANO], "gpu": [_MOBILE, _TINY, _DINO]},
    "best": {"cpu": [_MOBILE, _NANO, _DINO], "gpu": [_MOBILE, _TINY, _DINO, "timm/convnext_base.fb_in22k_ft_in1k"]},
}
_ROLES = ("train", "validation")
_ON_CPU = 8  # images of a batch whose time is measured
_HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}
_UNEVEN = 5  # below, balanced weights change macro-F1 by little (benchmarks/fit/class_weights.py)


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A network with a head solved on its features, and what it reached on validation.

    Attributes:
        log_likelihoods: of the classes, for each validation image, shape (images, classes).
        labels: of these images, shape (images,).
        penalty: that of its head.
        balanced: whether the head was solved with balanced class weights.
        batch_norm: whether the network has batch normalizations.
        stock: whether it is one of transformers or timm, which alone can be averaged.
        timm: whether it has timm's image processor.
        images_per_second: of a forward pass on this machine, and of a step of training.
        seconds: for features and head; next to nothing where the features were cached.
    """

    checkpoint: str
    log_likelihoods: torch.Tensor
    labels: torch.Tensor
    penalty: float
    balanced: bool
    batch_norm: bool
    stock: bool
    timm: bool
    parameters: int
    images_per_second: tuple[float, float]
    seconds: float

    @property
    def classes(self) -> int:
        return self.log_likelihoods.shape[1]

    @property
    def losses(self) -> torch.Tensor:
        """Of each validation image, shape (images,)."""
        return losses_of_labels(self.log_likelihoods, self.labels)

    @property
    def accuracy(self) -> float:
        return float((self.log_likelihoods.argmax(1) == self.labels).double().mean())

    @property
    def loss(self) -> float:
        return float(self.losses.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy."""
        return interval(self.accuracy, len(self.losses))

    @property
    def errors(self) -> int:
        return round((1 - self.accuracy) * len(self.losses))


def score_candidate(
    checkpoint: str, model: PreTrainedModel, scoring: EvalTransform, data: Data, both: Sequence[TrainingArguments]
) -> Candidate:
    """Compute the features of train and validation, or read them from the cache, and solve the head on them.

    Where classes are uneven, also with balanced class weights, which are kept where macro-F1 on validation is better.

    Args:
        both: of features, and of a stage that trains all weights.
    """
    begun, arguments = time.perf_counter(), both[0]
    features = {
        role: cached_features(model, data.splits[role], scoring, data.fingerprints[role], arguments) for role in _ROLES
    }
    examples = read_examples(features, arguments.device)
    solved, balanced = _solve(examples, PLAIN, len(data.labels), arguments.seed), False
    if is_uneven(data):
        section = LossSection(class_weights="balanced")
        weights = class_weights(section, data.splits["train"], data.labels, scoring.label_ids)
        other = _solve(examples, Terms(weights), len(data.labels), arguments.seed)
        if _macro_f1(other) > _macro_f1(solved):
            solved, balanced = other, True
    logits = examples["validation"].features @ solved.weight.T + solved.bias
    size = input_size(scoring.processor)
    return Candidate(
        checkpoint,
        logits.log_softmax(1).cpu(),
        examples["validation"].labels.cpu(),
        solved.tried[solved.chosen - 1]["penalty"],
        balanced,
        any(isinstance(module, _BatchNorm) for module in model.modules()),
        is_stock(model),
        hasattr(scoring.processor, "data_config"),
        sum(each.numel() for each in model.parameters()),
        (measure_speed(model, size, arguments), measure_speed(model, size, both[1], training=True)),
        time.perf_counter() - begun,
    )


def reckon_seconds(model: PreTrainedModel, scoring: EvalTransform, data: Data, arguments: TrainingArguments) -> float:
    """Seconds that `score_candidate` would take without a cache, about.

    Reading as the first images of train by each core; a forward pass, and as much again for the head.
    """
    first, images = attach_transform(data.splits["train"], scoring), sum(len(data.splits[role]) for role in _ROLES)
    count, begun = min(_ON_CPU, len(first)), time.perf_counter()
    for row in range(count):
        first[row]
    reading = (time.perf_counter() - begun) / count / cores_per_process()
    return images * (reading + 2 / measure_speed(model, input_size(scoring.processor), arguments))


def is_uneven(data: Data) -> bool:
    """Whether the largest class of train has at least five times the images of the smallest."""
    counts = Counter(data.splits["train"]["label"][:]).values()
    return max(counts) >= _UNEVEN * min(counts)


def _solve(examples: dict[str, Examples], terms: Terms, classes: int, seed: int) -> Solution:
    losses = losses_of(terms, 0.0, examples["train"].features.device)
    return solve(examples["train"], examples["validation"], classes, losses, seed)


def _macro_f1(solved: Solution) -> float:
    return solved.tried[solved.chosen - 1]["eval_macro_f1"]


def losses_of_labels(log_likelihoods: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return -log_likelihoods.gather(1, labels[:, None])[:, 0]


def measure_speed(
    model: PreTrainedModel, size: tuple[int, int], arguments: TrainingArguments, training: bool = False
) -> float:
    """Images a second of a forward pass, or of a training step but its optimizer, the better of two.

    On the device of the arguments, to which nothing else may have moved the model: its features may come from the
    cache. There in batches of theirs, which a GPU needs to be busy.
    """
    device, half = arguments.device, _HALVES.get(arguments.mixed_precision)
    batch = _ON_CPU if device.type == "cpu" else arguments.per_device_train_batch_size
    pixels, seconds = random_images(model.to(device), batch, size), []
    precision = torch.autocast(device.type, half, enabled=half is not None)
    with in_evaluation(model), torch.set_grad_enabled(training), precision:
        for _ in range(2):
            begun = time.perf_counter()
            loss = model(pixel_values=pixels).logits.float().square().mean()
            if training:
                loss.backward()
            if device.type != "cpu":
                torch.accelerator.synchronize()
            seconds.append(time.perf_counter() - begun)
    model.zero_grad()
    return batch / min(seconds)
