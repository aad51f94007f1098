"""From images to rows: threads read the next batches while the network runs."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial

import numpy as np
import torch

from hf_imgcls.images import process_image
from hf_imgcls.machine import cores_per_process
from hf_imgcls.serving.classifier import Classifier
from hf_imgcls.serving.image_list import READ_ERRORS, describe_read_error, display_name, read_source
from hf_imgcls.serving.rows import Row, labels_per_image


def predict_rows(
    classifier: Classifier, images: Iterable[str], columns: list[str], batch_size: int
) -> Iterator[list[Row]]:
    """Rows of images (files or URLs), a batch at a time, in their order; at most three batches are in memory."""
    # At least four, so that reading continues while one waits for a server.
    pool = reader_pool(min(16, max(4, cores_per_process())))
    try:
        ready = read_ahead(pool, partial(_read, classifier.processor), images, 2 * batch_size)
        while batch := list(itertools.islice(ready, batch_size)):
            yield _rows(classifier, batch, columns)
    finally:
        pool.shutdown(cancel_futures=True)


def reader_pool(threads: int) -> ThreadPoolExecutor:
    """Threads that read images, each with one thread of torch: more would take the network's cores."""
    torch.get_num_threads()  # fixes the number of this thread, which the pool's would otherwise change
    return ThreadPoolExecutor(threads, "reader", initializer=torch.set_num_threads, initargs=(1,))


def read_ahead(pool: Executor, read: Callable, items: Iterable, ahead: int) -> Iterator:
    """Results in the order of the items, of which at most `ahead` are submitted before their turn."""
    submitted = deque()
    for item in items:
        submitted.append(pool.submit(read, item))
        if len(submitted) == ahead:
            yield submitted.popleft().result()
    while submitted:
        yield submitted.popleft().result()


def _read(processor, name: str) -> tuple[str, torch.Tensor | None, str | None]:
    """An image's name, its pixels, and why it has none."""
    try:
        image = read_source(name)
    except READ_ERRORS as error:
        return name, None, describe_read_error(error)
    try:
        return name, process_image(processor, image), None
    except ValueError as error:  # a processor rejects the image's shape
        return name, None, describe_read_error(error)


def _rows(classifier: Classifier, batch: list[tuple], columns: list[str]) -> list[Row]:
    pixels = [pixels for _, pixels, _ in batch if pixels is not None]
    scores = iter(classifier.scores(pixels) if pixels else ())
    rows, top_k = [], labels_per_image(columns)
    for name, _, error in batch:
        best = [None] * (2 * top_k)
        if error is None:
            image_scores = next(scores)
            if np.isfinite(image_scores).all():
                best = [value for label, score in classifier.top(image_scores, top_k) for value in (label, score)]
            else:
                error = "the model's scores are not numbers"
        rows.append(dict(zip(columns, [display_name(name), *best, error, classifier.name], strict=True)))
    return rows
