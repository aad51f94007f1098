"""The section `data` of a recipe: where the images come from and how they are split."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, PrivateAttr, model_validator

from hf_imgcls.recipe.base import Section


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
    a saved Dataset. Local paths are relative to the working directory. Or an address (s3://, gs://, hf://, https://) of
    Parquet or tar files."""
    name: str | None = None
    """Configuration of a Hub dataset."""
    revision: str | None = None
    """Branch, tag or commit of a Hub dataset."""
    image_column: str | None = None
    """Name of the image column; detected by its type if left out."""
    label_column: str | Annotated[list[str], Field(min_length=2)] | None = None
    """Name of the label column; detected by its type if left out. With model.multi_label also a list of columns, one of
    0 and 1 for each label."""
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
    folds: int | None = Field(None, ge=2)
    """k-fold cross-validation: so many runs, output_dir/fold-1 and so on, each with another part of train as its
    validation split; mean and spread of their scores. Leave it out to train the final model."""
    fold: PositiveInt | None = None
    """Which of the folds a run of a cross-validation holds out."""
    max_samples: PerSplit = PerSplit()
    """Maximum number of images per split, drawn stratified by class."""
    samples_per_class: PerSplit = PerSplit()
    """Exact number of images per class, per split."""
    long_tail: float | None = Field(None, gt=1)
    """Thin train to a long tail, to try out what helps there: classes, the largest first, keep exponentially fewer
    images (arXiv:1901.05555), the largest this many times those of the smallest. Validation and test stay as they
    are."""
    seed: int = Field(42, ge=0)
    """Seed of splitting and subsampling; independent of training.seed."""
    bad_images: Literal["drop", "raise"] = "drop"
    """Unreadable images: drop skips and lists them, raise stops the run."""
    max_pixels: PositiveInt = 89_478_485
    """Images of more pixels are unreadable ones: a file of a few KB can take gigabytes of memory."""
    max_aspect_ratio: float = Field(100.0, ge=1)
    """Images whose longer side is more than so many times the shorter one are unreadable ones."""
    duplicates: Literal["keep", "drop_from_train", "drop_near_from_train"] = "keep"
    """Images of train that are in validation or test too, byte for byte: keep trains on them and says so beside the
    accuracy, drop_from_train leaves them out, drop_near_from_train also those that are nearly the same (resized, saved
    again, brightened, mirrored, cropped by a little). Duplicates within train stay."""
    relabel: str | None = Field(None, min_length=1)
    """CSV file of decisions on labels, as `inspect --labels` writes it for a person to fill in: relabel, drop or keep.
    Nothing on the disk is changed."""
    cache_size: PositiveInt | None = None
    """Shorter side, in pixels, of resized copies to train on; made once and cached. Evaluation reads the originals."""
    streaming: bool = False
    """Stream the data while training; needs training.max_steps and label names."""
    shuffle_buffer: PositiveInt = 1000
    """Shuffle buffer of a stream, in images."""
    _multi_label: bool = PrivateAttr(False)

    @property
    def multi_label(self) -> bool:
        """Whether an image may have several labels, or none, as the section `model` says."""
        return self._multi_label

    def with_labels(self, multi_label: bool) -> "DataSection":
        """A copy whose images have several labels each, or one."""
        copy = self.model_copy()
        copy._multi_label = multi_label
        return copy

    @model_validator(mode="after")
    def _comparable(self):
        if self.streaming and self.duplicates != "keep":
            raise ValueError(
                f"duplicates={self.duplicates} compares all images before training, and streaming reads them one by "
                "one; leave one of them out"
            )
        if self.streaming and self.relabel:
            raise ValueError("relabel: its files are looked up among all images; leave it or streaming out")
        if self.streaming and self.group_column:
            raise ValueError("group_column: nothing is held out of a stream; leave it or streaming out")
        if self.long_tail and self.samples_per_class.train:
            raise ValueError("long_tail: samples_per_class.train makes all classes equal; leave one of them out")
        if self.fold and not self.folds:
            raise ValueError(f"fold: {self.fold} of how many? set folds too")
        if self.folds:
            self._check_folds()
        for key in ("image_column", "label_column"):
            named = getattr(self, key)
            if self.group_column and self.group_column in (named if isinstance(named, list) else [named]):
                raise ValueError(f"group_column: {self.group_column!r} is {key} already; name another column")
        return self

    def _check_folds(self):
        if self.fold and self.fold > self.folds:
            raise ValueError(f"fold: found {self.fold}, expected one of the {self.folds} folds")
        each = "each fold is the validation split"
        if self.streaming:
            raise ValueError("folds: nothing is held out of a stream; leave it or streaming out")
        if self.validation_split:
            raise ValueError(f"validation_split: {each} (data.folds); name it false, or take it into train_split")
        if not self.validation_fraction:
            raise ValueError(f"validation_fraction: 0 holds nothing out, but {each} (data.folds); leave it out")
        for key in ("max_samples", "samples_per_class"):
            if getattr(self, key).validation:
                raise ValueError(f"{key}.validation: {each} (data.folds), as large as it is; leave it out")
