"""Features of images as a file: what goes into a model's classifier, a row for each image."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from hf_imgcls import serving
from hf_imgcls.api.image_rows import ImageCounts, Work, write_rows
from hf_imgcls.api.on_device import batch_size_of, open_here
from hf_imgcls.errors import InputError
from hf_imgcls.images import Limits


class EmbedOptions(NamedTuple):
    """How to compute features."""

    batch_size: int | None = None  # None: a default for the device
    device: str | None = None  # None: an accelerator, or else the CPU
    trust_remote_code: bool = False  # whether code that comes with the model may be run
    half: bool = False  # compute in float16; the features are float32
    limits: Limits = Limits()  # images beyond them are not read


_DEFAULTS = EmbedOptions()


def embed_images(model: str, images: Sequence[str], output: Path, options: EmbedOptions = _DEFAULTS) -> ImageCounts:
    """Write the features of images, in the order of `find_images`, after those of an earlier run, to a Parquet file.

    Features are what goes into the model's classifier, those that `cache_features` of a recipe trains its head on;
    images that the file already has are skipped, and an image that cannot be read has its reason in `error`.

    Args:
        model: a folder or a Hub id, of any origin, but no export.
        images: files, folders, patterns, URLs; `-` reads a list from standard input.
        output: a .parquet file with the columns `image`, `features` (float32), `error` and `model`.
    """
    output = Path(output)
    if options.batch_size is not None and options.batch_size < 1:
        raise InputError(f"--batch-size: found {options.batch_size}, expected 1 or more")
    if output.suffix.lower() != ".parquet":
        raise InputError(f"--output: {output} must end in .parquet: features are numbers, which text makes long")

    def open_work() -> Work:
        embedder = open_here(serving.open_embedder, str(model), options)
        batch_size = batch_size_of(options)

        def rows(names: Iterator[str]) -> Iterator[list[dict]]:
            return serving.embed_rows(embedder, names, batch_size, options.limits)

        about = {"model": serving.display_name(str(model)), "layers": ", ".join(embedder.layers)}
        return Work(embedder.name, serving.EMBEDDED, rows, "computing features", about=about)

    return write_rows(images, output, open_work)
