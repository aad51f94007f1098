"""A file of features that embed has written, searched for the nearest images; features are read a part at a time."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hf_imgcls.errors import InputError
from hf_imgcls.serving.output import find_parts, is_vector
from hf_imgcls.serving.rows import EMBEDDED, FEATURES
from hf_imgcls.store import raise_denied

_PART = 2_000  # rows in memory
Batches = Iterable[tuple[np.ndarray, np.ndarray]]


class EmbeddingFile(NamedTuple):
    """What a file of features holds.

    Attributes:
        rows: by the name of an image that has features, its row.
        names: of all rows.
        model: the model's name with its digest.
        place: what embed was given as the model.
        unfinished: whether embed has left rows beside the file, which are not searched.
    """

    file: Path
    rows: dict[str, int]
    names: list[str]
    model: str
    place: str
    unfinished: bool

    def batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Rows, shape (images,), and their features, float32 of shape (images, width), of those that have features."""
        start, width = 0, None
        try:
            for batch in pq.ParquetFile(self.file).iter_batches(_PART, columns=[FEATURES]):
                column = batch.column(0)
                known = column.is_valid().to_numpy(zero_copy_only=False)
                values = column.flatten().to_numpy(zero_copy_only=False)
                if known.any():
                    width = width or len(values) // int(known.sum())
                    yield start + np.flatnonzero(known), values.reshape(int(known.sum()), width)
                start += len(known)
        except (ValueError, pa.ArrowException, OSError) as error:
            raise _damaged(self.file, error) from None

    def features(self, rows: Sequence[int]) -> dict[int, np.ndarray]:
        """Features of these rows, each of shape (width,)."""
        wanted = set(rows)
        return {
            int(row): each.copy()
            for found, features in (self.batches() if wanted else ())
            for row, each in zip(found, features, strict=True)
            if row in wanted
        }


def open_embeddings(file: Path) -> EmbeddingFile:
    """Read which images a file has features of; an InputError where embed has not written it."""
    if not file.is_file():
        raise InputError(f"{file}: no such file (looked in {Path.cwd()}); hf-imgcls embed MODEL IMAGES writes one")
    try:
        table = pq.ParquetFile(file)
        schema = table.schema_arrow
        ours = schema.names == EMBEDDED and is_vector(schema.field(FEATURES).type)
        if not ours or b"model" not in (schema.metadata or {}):
            raise InputError(f"{file} has no features of hf-imgcls embed; name a file that it has written")
        light = table.read(["image", "error", "model"]).to_pydict()
    except (ValueError, pa.ArrowException, OSError) as error:
        raise _damaged(file, error) from None
    models = {model.split("@")[-1] for model in light["model"]}
    rows = {name: i for i, (name, error) in enumerate(zip(light["image"], light["error"], strict=True)) if not error}
    if not rows:
        raise InputError(f"{file} has features of no image")
    if len(models) > 1:
        raise InputError(
            f"{file} has features of {len(models)} models, which cannot be compared; embed the images anew"
        )
    place = schema.metadata[b"model"].decode()
    return EmbeddingFile(file, rows, light["image"], light["model"][-1], place, bool(find_parts(file)))


def _damaged(file: Path, error: Exception) -> InputError:
    raise_denied(error)
    return InputError(f"{file} cannot be read as a Parquet file: {' '.join(str(error).split())[:150]}")


def nearest_rows(queries: np.ndarray, batches: Batches, top_k: int, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows with the highest cosine similarity to each query, best first, equal ones in their order.

    Args:
        queries: shape (queries, width).
        batches: rows, shape (images,), and their features, shape (images, width).
        own: of each query its own row, which is left out; -1 where it has none.

    Returns:
        Rows, -1 behind the last one, and similarities, each of shape (queries, top_k).
    """
    directions = _directions(queries)
    best, found = np.full((len(queries), top_k), -np.inf), np.full((len(queries), top_k), -1)
    for rows, features in batches:
        similarities = np.where(own[:, None] == rows, -np.inf, directions @ _directions(features).T)
        every = np.concatenate([best, similarities], axis=1)
        places = np.argsort(-every, axis=1, kind="stable")[:, :top_k]
        numbers = np.concatenate([found, np.broadcast_to(rows, similarities.shape)], axis=1)
        best, found = (np.take_along_axis(each, places, axis=1) for each in (every, numbers))
    found[np.isneginf(best)] = -1
    return found, np.clip(best, -1, 1)


def _directions(features: np.ndarray) -> np.ndarray:
    """Features of length 1, float32; of zeros zeros."""
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
