"""The sections of a recipe: keys, types, ranges, defaults and the description of each key."""

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from hf_imgcls.recipe.base import Section
from hf_imgcls.recipe.calibration import CalibrationSection
from hf_imgcls.recipe.data_section import DataSection
from hf_imgcls.recipe.distillation import DistillationSection
from hf_imgcls.recipe.rejection import RejectionSection
from hf_imgcls.recipe.tune_section import Choices, RangeSection

MOST_PIXELS = 4096  # side of a network's input; one such image takes 200 MB as floats


class ProcessorSection(Section):
    """What the image processor does; left out, a checkpoint's own stays as it is."""

    image_mean: Annotated[list[float], Field(min_length=3, max_length=3)] | None = None
    """Mean per channel (RGB), subtracted from pixels in 0 to 1."""
    image_std: Annotated[list[PositiveFloat], Field(min_length=3, max_length=3)] | None = None
    """Standard deviation per channel (RGB), by which the centred pixels are divided."""
    resize: Literal["squash", "crop", "pad"] | None = None
    """squash: resize to the square; crop: resize the shorter side, then crop the centre; pad: resize the longer side,
    then fill the rest with the mean colour. If left out: a checkpoint's or timm's own, else squash."""


class HeadSection(Section):
    """Custom head in place of the model's classifier: flatten, hidden layer, dropout, output layer."""

    hidden_size: PositiveInt | None = None
    """Units of the hidden layer; no hidden layer if left out."""
    activation: str = "relu"
    """Activation of the hidden layer: a name from transformers' ACT2FN, or linear."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout rate before the output layer."""


class ModelSection(Section):
    """The network, and where its weights come from."""

    checkpoint: str | None = Field(None, min_length=1)
    """Pretrained model: Hub id or folder of a transformers or timm image model."""
    architecture: str | None = Field(None, min_length=1)
    """Architecture to train from scratch: "resnet", "vit", "timm/resnet18", or a built-in one, "convnet" or
    "mini_xception"."""
    from_scratch: bool = False
    """Initialize the weights randomly; of a checkpoint, only the configuration is used."""
    revision: str | None = None
    """Branch, tag or commit of the checkpoint."""
    image_size: Annotated[int, Field(ge=1, le=MOST_PIXELS)] | None = None
    """Side of the square input in pixels; the image processor's own if left out."""
    config: dict[str, Any] = Field({})
    """Overrides of the model configuration."""
    multi_label: bool = False
    """Several labels an image, or none: each label has a probability of its own (a sigmoid), and a threshold."""
    channels_last: bool | None = None
    """Channels-last memory format; if left out, on for convolutional networks."""
    processor: ProcessorSection | None = Field(None, description=ProcessorSection.__doc__)
    processor_of: str | None = Field(None, min_length=1)
    """Checkpoint whose image processor resizes and crops the images; mean and standard deviation stay the network's
    own. The networks of an ensemble have one in common."""
    head: HeadSection | None = Field(None, description=HeadSection.__doc__)
    feature_point: str | None = Field(None, min_length=1)
    """Name of the module whose output feeds the custom head; the modules after it are dropped. If left out: the input
    of the output layer."""

    @model_validator(mode="after")
    def _one_origin(self):
        if (self.checkpoint is None) == (self.architecture is None):
            raise ValueError("needs exactly one of checkpoint and architecture")
        if self.architecture is not None and not self.from_scratch:
            raise ValueError("architecture needs from_scratch: true (a checkpoint brings its own)")
        if self.processor_of is not None and self.checkpoint is None:
            raise ValueError("processor_of is for a checkpoint alone (an architecture takes processor)")
        return self


Transform = str | dict[str, dict[str, Any]]


class AugmentationSection(Section):
    """Augmentation of training images; evaluation always runs the saved image processor."""

    train: list[Transform] = Field([])
    """torchvision.transforms.v2 class names, or RandomAffineReflect, with their arguments, applied in this order."""
    mix: list[Transform] = Field([])
    """MixUp, CutMix, Identity (no mixing); one of those listed is drawn per batch. {"MixUp": {"alpha": 0.2,
    "per_image": true}} draws how much is mixed for each image instead of once per batch."""
    repeats: PositiveInt = 1
    """Repeated augmentation: times that a batch shows each of its images, each time augmented anew. An epoch has as
    many steps as without, and a part of the images: with 3, a third."""


class AsymmetricSection(Section):
    """Asymmetric loss of several labels an image (Ridnik and others, 2021, arXiv:2009.14119)."""

    gamma_positive: float = Field(0.0, ge=0, le=10)
    """Focusing of labels that an image has."""
    gamma_negative: float = Field(4.0, ge=0, le=10)
    """Focusing of labels that an image does not have: the larger, the less the easy ones count."""
    margin: float = Field(0.05, ge=0, lt=1)
    """Probability below which a label that an image does not have counts nothing."""


class LossSection(Section):
    """Training loss: cross-entropy, with label smoothing by training.label_smoothing_factor. With model.multi_label
    binary cross-entropy, the mean over all labels of an image."""

    class_weights: Literal["balanced"] | dict[str, Annotated[float, Field(ge=1e-6, le=1e6)]] | None = None
    """Weight of an image in the loss, by its class (1 if left out); balanced: images / (classes * images of the class),
    counted on the training split. Scaled so that their mean over the training images is 1. With model.multi_label the
    weight of a label where an image has it; balanced: images without it / images with it."""
    focal_gamma: float | None = Field(None, gt=0, le=10)
    """Focal loss (arXiv:1708.02002): each image's loss times (1 - p) to the power of this, p being the probability of
    its class, so that images that are recognized already count less."""
    logit_adjustment: float | None = Field(None, gt=0, le=10)
    """Logit adjustment (arXiv:2007.07314): in training, this times the logarithm of each class's share of the training
    images is added to its logit. 1: the model learns as if all classes were equally frequent."""
    asymmetric: AsymmetricSection | None = Field(None, description=AsymmetricSection.__doc__)


class SamplingSection(Section):
    """Which training images an epoch shows how often."""

    balance: float | None = Field(None, gt=0, le=1)
    """Draw classes in proportion to images of the class to the power of 1 - balance: with 1 each class equally often,
    with 0.5 by the square root of its images. An epoch stays as long as it is; images of rare classes come several
    times, each time augmented anew, those of frequent ones not in every epoch."""


class AveragingSection(Section):
    """Averaging of the weights in training."""

    ema_decay: float | None = Field(None, gt=0, lt=1)
    """Decay of an exponential moving average (EMA) of the weights, which is evaluated, selected and saved in place of
    the weights that are trained; at step n it is at most n / (9 + n). Off if left out."""


class OptimizerSection(Section):
    """Learning rates by layer and by parameter; the optimizer itself is training.optim."""

    layer_decay: float | None = Field(None, gt=0, le=1)
    """Factor by which the learning rate falls from each layer to the one before it; the last one, the head, has
    training.learning_rate. Norms, biases, position embeddings and class tokens get no weight decay. As timm does it."""
    learning_rates: dict[str, Annotated[float, Field(gt=0, le=1e6)]] = Field({})
    """Factors of training.learning_rate by regular expressions of parameter names, {"classifier": 10}, in place of
    those of layer_decay. A parameter that two of them match is refused."""


class Recipe(Section):
    schema_: str | None = Field(None, alias="$schema")
    """JSON schema, for editors; not used by a run."""
    description: str | None = None
    """One line on what the recipe trains."""
    data: DataSection = Field(description=DataSection.__doc__)
    model: ModelSection = Field(description=ModelSection.__doc__)
    augmentation: AugmentationSection = Field(AugmentationSection(), description=AugmentationSection.__doc__)
    loss: LossSection = Field(LossSection(), description=LossSection.__doc__)
    distillation: DistillationSection = Field(DistillationSection(), description=DistillationSection.__doc__)
    sampling: SamplingSection = Field(SamplingSection(), description=SamplingSection.__doc__)
    averaging: AveragingSection = Field(AveragingSection(), description=AveragingSection.__doc__)
    optimizer: OptimizerSection = Field(OptimizerSection(), description=OptimizerSection.__doc__)
    calibration: CalibrationSection = Field(CalibrationSection(), description=CalibrationSection.__doc__)
    rejection: RejectionSection = Field(RejectionSection(), description=RejectionSection.__doc__)
    tune: dict[str, Choices | RangeSection] = Field({})
    """What hf-imgcls tune searches, by the dotted name of a key, as overrides have it: a list of values, or limits. A
    training ignores it."""
