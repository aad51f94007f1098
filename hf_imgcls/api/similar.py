"""The images of a file of features that are most similar to others, by the cosine similarity of their features."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hf_imgcls import reports, serving
from hf_imgcls.api.embed import EmbedOptions
from hf_imgcls.api.image_rows import join_processes, note
from hf_imgcls.api.on_device import batch_size_of, open_here
from hf_imgcls.errors import InputError
from hf_imgcls.images import Limits
from hf_imgcls.machine import exact_float32
from hf_imgcls.reports import Neighbours
from hf_imgcls.store import try_place

_FORMATS = (".csv", ".json", ".html")


class SimilarOptions(NamedTuple):
    """How to search."""

    top_k: int = 5  # images for each query
    model: str | None = None  # where the model of the features is now; None: where it was
    device: str | None = None  # None: an accelerator, or else the CPU
    trust_remote_code: bool = False  # whether code that comes with the model may be run
    limits: Limits = Limits()  # images beyond them are not read


_DEFAULTS = SimilarOptions()


def find_similar(
    embeddings: Path, images: Sequence[str], output: Path | None = None, options: SimilarOptions = _DEFAULTS
) -> list[Neighbours]:
    """The nearest images of a file of features for each query, by cosine similarity, best first.

    A query that the file has by its name is compared by its features there, and is not among its own neighbours. For
    another one the model that the file names is opened; it must be that of the features, by its digest.

    Args:
        embeddings: what `embed_images` has written.
        images: names as in the file; or files, folders, patterns, URLs.
        output: a new .csv, .json or .html file, the last a page with the images.
    """
    if options.top_k < 1:
        raise InputError(f"--top-k: found {options.top_k}, expected 1 or more")
    if output:
        _check_output(Path(output), images)
    if join_processes().num_processes > 1:
        raise InputError("similar: one process searches; start it without a launcher")
    source = serving.open_embeddings(Path(embeddings))
    if source.unfinished:
        note(f"{source.file}: embed has not finished; the rows beside it are not searched")
    queries = list(dict.fromkeys(name for word in images for name in _named(word, source)))
    features, errors = _features(queries, source, options)
    known = [name for name in queries if serving.display_name(name) in features]
    shown = [serving.display_name(name) for name in known]
    found: dict[str, list[tuple[str, float]]] = {}
    if known:
        own = np.array([source.rows.get(name, -1) for name in shown])
        every = np.stack([features[name] for name in shown])
        rows, similarities = serving.nearest_rows(every, source.batches(), options.top_k, own)
        for name, numbers, values in zip(shown, rows, similarities, strict=True):
            found[name] = [(source.names[i], float(s)) for i, s in zip(numbers, values, strict=True) if i >= 0]
    names = map(serving.display_name, queries)
    neighbours = [Neighbours(name, found.get(name, []), errors.get(name)) for name in names]
    if output:
        reports.save_neighbours(Path(output), neighbours, source.file.name)
    return neighbours


def _check_output(output: Path, images: Sequence[str]) -> None:
    if output.suffix.lower() not in _FORMATS:
        raise InputError(f"--output: {output} must end in {', '.join(_FORMATS[:-1])} or {_FORMATS[-1]}")
    if output.exists():
        raise InputError(f"--output: {output} is there; name a new file")
    if not output.absolute().parent.is_dir():
        raise InputError(f"--output: there is no folder {output.parent} (looked in {Path.cwd()})")
    serving.check_place(output, images)
    try_place(output.absolute().parent, "--output")


def _named(word: str, source: serving.EmbeddingFile) -> list[str]:
    """The queries that a word stands for; an image of the file need not be on the disk any more."""
    return [word] if serving.display_name(word) in source.rows else list(serving.find_images([word]))


def _features(
    queries: Sequence[str], source: serving.EmbeddingFile, options: SimilarOptions
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Features by shown name, and why others have none."""
    shown = {name: serving.display_name(name) for name in queries}
    rows = {source.rows[name]: name for name in shown.values() if name in source.rows}
    features = {rows[row]: each for row, each in source.features(list(rows)).items()}
    others, errors = [name for name in queries if shown[name] not in source.rows], {}
    if others:
        how = EmbedOptions(device=options.device, trust_remote_code=options.trust_remote_code)
        embedder = _open(source, options.model or source.place, how)
        with exact_float32():
            for batch in serving.embed_batches(embedder, others, batch_size_of(how), options.limits):
                for name, each, error in batch:
                    (errors if each is None else features)[shown[name]] = error if each is None else each
    return features, errors


def _open(source: serving.EmbeddingFile, model: str, how: EmbedOptions) -> serving.Embedder:
    """The model of the features; an InputError where it is not there, or another one."""
    embedder = open_here(serving.open_embedder, model, how)
    expected, found = (name.split("@")[-1].removesuffix("-half") for name in (source.model, embedder.name))
    if found != expected:
        raise InputError(
            f"similar: {source.file} has features of {source.model}, and {model} is {embedder.name} now; embed the "
            "images again into another file, or name where that model is with --model"
        )
    return embedder
