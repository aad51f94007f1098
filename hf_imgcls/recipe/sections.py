"""The sections of a recipe: keys, types, ranges, defaults and the description of each key."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

MOST_PIXELS = 4096  # side of a network's input; one such image takes 200 MB as floats


class Section(BaseModel):
    """A section of a recipe: no type coercion, no unknown keys."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, protected_namespaces=(), use_attribute_docstrings=True
    )


class PerSplit(Section):
    """One number per split; a split that is left out is not limited."""

    train: PositiveInt | None = None
    """Images of the training split."""
    validation: PositiveInt | None = None
    """Images of the validation split."""
    test: PositiveInt | None = None
    """Images of the test split."""


class DataSection(Section):
    """Where the images come from and how they are split."""

    path: str = Field(min_length=1)
    """A Hub dataset id, a folder with one folder per class, a CSV, JSON Lines, Parquet or WebDataset file or folder, or
    a saved Dataset. Local paths are relative to the working directory."""
    name: str | None = None
    """Configuration of a Hub dataset."""
    revision: str | None = None
    """Branch, tag or commit of a Hub dataset."""
    image_column: str | None = None
    """Name of the image column; detected by its type if left out."""
    label_column: str | None = None
    """Name of the label column; detected by its type if left out."""
    group_column: str | None = None
    """Name of a column of groups, such as patient, site or video: images of one group are never in two of the splits
    that are made of train."""
    label_names: list[str] | None = None
    """Class names in the order of their integer labels."""
    train_split: str | None = None
    """Training split; slices are allowed: train[:5000]."""
    validation_split: str | Literal[False] | None = None
    """Validation split, which selects the best checkpoint; false, or none in the source: a stratified fraction of
    train."""
    test_split: str | Literal[False] | None = None
    """Test split, scored once after training; false: none, even if the source has one."""
    validation_fraction: float = Field(0.1, ge=0, lt=1)
    """Fraction of train that becomes the validation split if there is none; 0: all of train is trained on, nothing is
    evaluated while training, and the last checkpoint is selected."""
    test_fraction: float | None = Field(None, gt=0, lt=1)
    """Fraction of train that becomes the test split if there is none."""
    max_samples: PerSplit = PerSplit()
    """Maximum number of images per split, drawn stratified by class."""
    samples_per_class: PerSplit = PerSplit()
    """Exact number of images per class, per split."""
    seed: int = Field(42, ge=0)
    """Seed of splitting and subsampling; independent of training.seed."""
    bad_images: Literal["drop", "raise"] = "drop"
    """Unreadable images: drop skips and lists them, raise stops the run."""
    max_pixels: PositiveInt = 89_478_485
    """Images of more pixels are unreadable ones: a file of a few KB can take gigabytes of memory."""
    max_aspect_ratio: float = Field(100.0, ge=1)
    """Images whose longer side is more than so many times the shorter one are unreadable ones."""
    duplicates: Literal["keep", "drop_from_train"] = "keep"
    """Images of train that are in validation or test too, byte for byte: keep trains on them and says so beside the
    accuracy, drop_from_train leaves them out. Duplicates within train stay."""
    cache_size: PositiveInt | None = None
    """Shorter side, in pixels, of resized copies to train on; made once and cached. Evaluation reads the originals."""
    streaming: bool = False
    """Stream the data while training; needs training.max_steps and label names."""
    shuffle_buffer: PositiveInt = 1000
    """Shuffle buffer of a stream, in images."""

    @model_validator(mode="after")
    def _comparable(self):
        if self.streaming and self.duplicates == "drop_from_train":
            raise ValueError(
                "duplicates=drop_from_train compares all images before training, and streaming reads them one by one; "
                "leave one of them out"
            )
        if self.streaming and self.group_column:
            raise ValueError("group_column: nothing is held out of a stream; leave it or streaming out")
        for key in ("image_column", "label_column"):
            if self.group_column and self.group_column == getattr(self, key):
                raise ValueError(f"group_column: {self.group_column!r} is {key} already; name another column")
        return self


class ProcessorSection(Section):
    """Image processor of a model trained from scratch; a checkpoint brings its own."""

    image_mean: Annotated[list[float], Field(min_length=3, max_length=3)] | None = None
    """Mean per channel (RGB), subtracted from pixels in 0 to 1."""
    image_std: Annotated[list[PositiveFloat], Field(min_length=3, max_length=3)] | None = None
    """Standard deviation per channel (RGB), by which the centred pixels are divided."""
    resize: Literal["squash", "crop"] = "squash"
    """squash: resize to the square; crop: resize the shorter side, then crop the centre."""


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
    config: dict[str, Any] = {}
    """Overrides of the model configuration."""
    channels_last: bool | None = None
    """Channels-last memory format; if left out, on for convolutional networks."""
    processor: ProcessorSection | None = Field(None, description=ProcessorSection.__doc__)
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
        if self.processor is not None and self.architecture is None:
            raise ValueError("processor is for architecture alone (a checkpoint brings its own image processor)")
        return self


Transform = str | dict[str, dict[str, Any]]


class AugmentationSection(Section):
    """Augmentation of training images; evaluation always runs the saved image processor."""

    train: list[Transform] = []
    """torchvision.transforms.v2 class names, or RandomAffineReflect, with their arguments, applied in this order."""
    mix: list[Transform] = []
    """MixUp, CutMix, Identity (no mixing); one of those listed is drawn per batch. {"MixUp": {"alpha": 0.2,
    "per_image": true}} draws how much is mixed for each image instead of once per batch."""


class LossSection(Section):
    """Training loss: cross-entropy, with label smoothing by training.label_smoothing_factor."""

    class_weights: Literal["balanced"] | dict[str, Annotated[float, Field(ge=1e-6, le=1e6)]] | None = None
    """Weight of an image in the loss, by its class (1 if left out); balanced: images / (classes * images of the class),
    counted on the training split. Scaled so that their mean over the training images is 1."""


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
    learning_rates: dict[str, Annotated[float, Field(gt=0, le=1e6)]] = {}
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
    averaging: AveragingSection = Field(AveragingSection(), description=AveragingSection.__doc__)
    optimizer: OptimizerSection = Field(OptimizerSection(), description=OptimizerSection.__doc__)
