"""Pretrained networks compared on a dataset, each by a head that is solved on its features."""

import dataclasses
import math
import time
from collections.abc import Sequence

import torch
from transformers import PreTrainedModel, TrainingArguments

from hf_imgcls.data import Data
from hf_imgcls.images import EvalTransform, input_size
from hf_imgcls.models import in_evaluation, random_images
from hf_imgcls.scoring import interval
from hf_imgcls.training.features import cached_features
from hf_imgcls.training.regression import solve
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
_Z_95 = 1.96


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A network with a head solved on its features, and what it reached on validation.

    Attributes:
        losses: of each validation image, shape (images,).
        penalty: that of its head.
        images_per_second: of a forward pass on this machine.
        seconds: for features and head; next to nothing where the features were cached.
    """

    checkpoint: str
    losses: torch.Tensor
    accuracy: float
    penalty: float
    classes: int
    parameters: int
    images_per_second: float
    seconds: float

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
    checkpoint: str, model: PreTrainedModel, scoring: EvalTransform, data: Data, arguments: TrainingArguments
) -> Candidate:
    """Compute the features of train and validation, or read them from the cache, and solve the head on them."""
    begun = time.perf_counter()
    features = {
        role: cached_features(model, data.splits[role], scoring, data.fingerprints[role], arguments)
        for role in ("train", "validation")
    }
    examples = read_examples(features, arguments.device)
    losses = losses_of(None, 0.0)
    solved = solve(examples["train"], examples["validation"], len(data.labels), losses, arguments.seed)
    logits = examples["validation"].features @ solved.weight.T + solved.bias
    labels = examples["validation"].labels
    return Candidate(
        checkpoint,
        torch.nn.functional.cross_entropy(logits, labels, reduction="none").cpu(),
        float((logits.argmax(1) == labels).double().mean()),
        solved.tried[solved.chosen - 1]["penalty"],
        len(data.labels),
        sum(each.numel() for each in model.parameters()),
        _speed(model, input_size(scoring.processor)),
        time.perf_counter() - begun,
    )


def choose_candidate(candidates: Sequence[Candidate]) -> Candidate:
    """The one with the lowest validation loss; a smaller one where the difference is within chance.

    That is where the mean difference of the two losses of an image is less than 1.96 standard errors.
    """
    best = min(candidates, key=lambda each: each.loss)
    return min((each for each in candidates if _is_as_good(each, best)), key=lambda each: each.parameters)


def _is_as_good(candidate: Candidate, best: Candidate) -> bool:
    difference = candidate.losses - best.losses
    if len(difference) < 2:
        return candidate is best
    return float(difference.mean()) <= _Z_95 * float(difference.std()) / math.sqrt(len(difference))


@torch.no_grad()
def _speed(model: PreTrainedModel, size: tuple[int, int], batch: int = 8) -> float:
    """Images a second of a forward pass, the better of two."""
    pixels, seconds = random_images(model, batch, size), []
    with in_evaluation(model):
        for _ in range(2):
            begun = time.perf_counter()
            model(pixel_values=pixels)
            if pixels.is_cuda:
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - begun)
    return batch / min(seconds)
