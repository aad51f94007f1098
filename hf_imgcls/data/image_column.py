"""The images of a stream: bytes that are there are what is read."""

from typing import Any

import datasets


class ImageBytes(datasets.Image):
    """An image column of a stream; `datasets` would put a file of the working directory in place of the bytes.

    It does so where the image's name is that of a file there: `cat/1.jpg` of a tar beside the folder it was made of.
    """

    def encode_example(self, value: Any) -> dict:
        if isinstance(value, dict) and value.get("bytes") is not None:
            return {"bytes": value["bytes"], "path": value.get("path")}
        return super().encode_example(value)


def undecoded(rows: datasets.Dataset | datasets.IterableDataset) -> datasets.Image:
    """The type of a column of images as they are stored."""
    return (datasets.Image if isinstance(rows, datasets.Dataset) else ImageBytes)(decode=False)
