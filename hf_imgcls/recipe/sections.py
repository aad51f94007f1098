"""What a recipe may say: its sections, their keys and types. Every key has one owner; an unknown key is an error."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator


class Section(BaseModel):
    """A part of a recipe: no conversion between types, no unknown keys."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, protected_namespaces=())


class PerSplit(Section):
    """One number for each split; a split that is left out is not limited."""

    train: PositiveInt | None = None
    validation: PositiveInt | None = None
    test: PositiveInt | None = None


class DataSection(Section):
    """Where the images come from and how they are split."""

    path: str = Field(
        min_length=1,
        description="A Hub id, a folder of class folders, a CSV, JSON Lines, Parquet or WebDataset file or folder, "
        "or a saved Dataset. Local paths are relative to the working directory.",
    )
    name: str | None = Field(None, description="Configuration of a Hub dataset.")
    revision: str | None = Field(None, description="Branch, tag or commit of a Hub dataset.")
    image_column: str | None = Field(None, description="Name of the image column; found by its type if left out.")
    label_column: str | None = Field(None, description="Name of the label column; found by its type if left out.")
    label_names: list[str] | None = Field(None, description="Class names in the order of their integer labels.")
    train_split: str | None = Field(None, description="Split to train on, slices allowed: train[:5000].")
    validation_split: str | Literal[False] | None = Field(
        None, description="Split that chooses the best model; false, or none in the source: a stratified part of train."
    )
    test_split: str | Literal[False] | None = Field(
        None, description="Split that is scored once at the end; false: none, even if the source has one."
    )
    validation_fraction: float = Field(
        0.1, gt=0, lt=1, description="Share of train that becomes the validation split where none exists."
    )
    test_fraction: float | None = Field(
        None, gt=0, lt=1, description="Share of train that becomes the test split where none exists."
    )
    max_samples: PerSplit = Field(PerSplit(), description="At most so many images a split, stratified.")
    samples_per_class: PerSplit = Field(PerSplit(), description="Exactly so many images of each class a split.")
    seed: int = Field(42, ge=0, description="Seed of every choice of rows; training.seed leaves the splits alone.")
    bad_images: Literal["drop", "raise"] = Field("drop", description="What is done about unreadable images.")
    cache_size: PositiveInt | None = Field(
        None,
        description="Train on copies whose shorter side has so many pixels, made once and kept in the cache of "
        "datasets; evaluation reads the originals.",
    )
    streaming: bool = Field(False, description="Read while training; needs training.max_steps and label names.")
    shuffle_buffer: PositiveInt = Field(1000, description="Images held for shuffling a stream.")


class ProcessorSection(Section):
    """The image processor of a network from scratch; a checkpoint brings its own."""

    image_mean: Annotated[list[float], Field(min_length=3, max_length=3)] | None = Field(
        None, description="Subtracted from pixels of 0 to 1; red, green, blue. [0, 0, 0] leaves them."
    )
    image_std: Annotated[list[PositiveFloat], Field(min_length=3, max_length=3)] | None = Field(
        None, description="What is left is divided by it; red, green, blue. [1, 1, 1] leaves it."
    )
    resize: Literal["squash", "crop"] = Field(
        "squash", description="squash: to the square, whatever the shape; crop: shorter side to the size, then centre."
    )


class HeadSection(Section):
    """A head of our own in place of the network's: flatten, hidden layer, dropout, output layer."""

    hidden_size: PositiveInt | None = Field(None, description="Units of a hidden layer; none if left out.")
    activation: str = Field("relu", description="Behind the hidden layer: a name of transformers' ACT2FN, or linear.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Before the output layer.")


class ModelSection(Section):
    """Which network, and where its weights come from."""

    checkpoint: str | None = Field(
        None, min_length=1, description="Hub id or folder of a transformers or timm image model."
    )
    architecture: str | None = Field(
        None,
        min_length=1,
        description='Architecture to train from scratch: "resnet", "vit", "timm/resnet18", or one of our own, '
        '"convnet" and "mini_xception".',
    )
    from_scratch: bool = Field(False, description="Take the configuration only, no weights.")
    revision: str | None = Field(None, description="Branch, tag or commit of the checkpoint.")
    image_size: PositiveInt | None = Field(
        None, description="Side of the square input in pixels; the processor's own if left out."
    )
    config: dict[str, Any] = Field({}, description="Overrides of the model's configuration.")
    channels_last: bool | None = Field(
        None, description="Lay convolutions out channels last, or not; if left out, networks made of them are."
    )
    processor: ProcessorSection | None = Field(None, description=ProcessorSection.__doc__)
    head: HeadSection | None = Field(None, description=HeadSection.__doc__)
    feature_point: str | None = Field(
        None,
        min_length=1,
        description="Module whose output goes into the head; the input of the output layer if left out. What the "
        "network has behind it is dropped.",
    )

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
    """What happens to a training image; evaluation always runs the saved processor."""

    train: list[Transform] = Field(
        [], description="torchvision.transforms.v2 classes by name, with their own arguments, in this order."
    )
    mix: list[Transform] = Field(
        [], description="MixUp and CutMix; one of them is drawn for each batch. Identity leaves a batch as it is."
    )


class LossSection(Section):
    """What is minimised: cross-entropy, with label smoothing by training.label_smoothing_factor."""

    class_weights: Literal["balanced"] | dict[str, PositiveFloat] | None = Field(
        None,
        description="Weights of classes by name, 1 for those left out; balanced: images / (classes * images of "
        "the class), of the training split.",
    )


class LastBlocks(Section):
    """The last blocks of the network and everything behind them."""

    last_blocks: PositiveInt = Field(description="Residual or transformer blocks; convolutions of a plain stack.")


class EarlyStopping(Section):
    """Stop where training.metric_for_best_model no longer becomes better."""

    patience: PositiveInt = Field(1, description="Evaluations in a row that are allowed to bring nothing.")
    threshold: float = Field(0.0, ge=0, description="An improvement must be more than this.")


Trained = Literal["all", "head"] | LastBlocks | Annotated[list[str], Field(min_length=1)]
