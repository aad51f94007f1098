"""A network opened for its features, and rows of them: what goes into the classifier, for each image."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
import torch

from hf_imgcls.images import Limits
from hf_imgcls.models import FeatureTap
from hf_imgcls.serving.image_list import display_name
from hf_imgcls.serving.inference import Classifier
from hf_imgcls.serving.reading import read_batches
from hf_imgcls.serving.rows import EMBEDDED, Row, as_text

_DEFAULTS = Limits()


class Embedder(NamedTuple):
    """A classifier with its network, and the names of the layers whose inputs are the features."""

    classifier: Classifier
    network: Any
    layers: list[str]

    @property
    def name(self) -> str:
        """As that of a classifier, with a digest of its weights."""
        return self.classifier.name

    def process(self, image: PIL.Image.Image) -> torch.Tensor:
        return self.classifier.process(image)

    def features(self, pixels: list[torch.Tensor], at_least: int = 0) -> np.ndarray:
        """Features of processed images (3, h, w), float32 of shape (images, width).

        Args:
            at_least: images of a batch, which is filled up: the last bits follow from the size of the batch, and shall
                not depend on which images are read together.
        """
        filled = [*pixels, *pixels[-1:] * (at_least - len(pixels))]
        with FeatureTap(self.network, self.layers) as tap:
            self.classifier.outputs(filled)
            return tap.take()[: len(pixels)].numpy()


def embed_batches(
    embedder: Embedder, images: Iterable[str], batch_size: int, limits: Limits = _DEFAULTS
) -> Iterator[list[tuple[str, np.ndarray | None, str | None]]]:
    """Names of images (files or URLs), their features, shape (width,), or why they have none; a batch at a time."""
    by_processes = embedder.classifier.by_processes
    for batch in read_batches(embedder.process, images, batch_size, limits, by_processes):
        pixels = [pixels for _, pixels, _ in batch if pixels is not None]
        found = iter(embedder.features(pixels, batch_size) if pixels else ())
        yield [(name, *(_checked(next(found)) if error is None else (None, error))) for name, _, error in batch]


def _checked(features: np.ndarray) -> tuple[np.ndarray | None, str | None]:
    return (features, None) if np.isfinite(features).all() else (None, "the model's features are not numbers")


def embed_rows(
    embedder: Embedder, images: Iterable[str], batch_size: int, limits: Limits = _DEFAULTS
) -> Iterator[list[Row]]:
    """Rows of images as they are written to a text file, a batch at a time, in their order."""
    shown = display_name(embedder.name)
    for batch in embed_batches(embedder, images, batch_size, limits):
        found = ((name, None if features is None else as_text(features), error) for name, features, error in batch)
        yield [
            dict(zip(EMBEDDED, (display_name(name), text, error, shown), strict=True)) for name, text, error in found
        ]
