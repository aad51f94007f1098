"""From images to rows: the next batches are read by threads while the network runs."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from hf_imgcls.images import process_image
from hf_imgcls.machine import cores_per_process
from hf_imgcls.serving.classifier import Classifier
from hf_imgcls.serving.image_list import describe_read_error, display_name, read_source
from hf_imgcls.serving.output import Row


def predict_rows(
    classifier: Classifier, images: Iterable[str], names: list[str], batch_size: int
) -> Iterator[list[Row]]:
    """Rows of images, a batch at a time, in their order; the next batches are read while the network runs.

    Args:
        images: names of files and addresses; no more than three batches of them are held.
        names: the columns of a row.
    """
    # One thread of torch's each: the network's own would wait for theirs. Never used up, so that reading goes on
    # while one thread waits for a server.
    threads = min(16, max(4, cores_per_process()))
    torch.get_num_threads()  # settles this thread's own number, which the threads would otherwise change
    pool = ThreadPoolExecutor(threads, "reader", initializer=torch.set_num_threads, initargs=(1,))
    try:
        ready = read_ahead(pool, partial(_prepare, classifier.processor), images, 2 * batch_size)
        while batch := list(itertools.islice(ready, batch_size)):
            yield _rows(classifier, batch, names)
    finally:
        pool.shutdown(cancel_futures=True)


def read_ahead(pool: Executor, read: Callable, items: Iterable, ahead: int) -> Iterator:
    """Results in the order of the items, at most so many of them begun and not yet taken."""
    begun = deque()
    for item in items:
        begun.append(pool.submit(read, item))
        if len(begun) == ahead:
            yield begun.popleft().result()
    while begun:
        yield begun.popleft().result()


class _Read(NamedTuple):
    name: str
    pixels: torch.Tensor | None
    error: str | None


def _prepare(processor, name: str) -> _Read:
    try:
        return _Read(name, process_image(processor, read_source(name)), None)
    except Exception as error:  # each of Pillow's plugins, and each server, has its own way to say no
        return _Read(name, None, describe_read_error(error))


def _rows(classifier: Classifier, batch: list[_Read], names: list[str]) -> list[Row]:
    pixels = [read.pixels for read in batch if read.pixels is not None]
    scores = iter(classifier.scores(pixels) if pixels else ())
    rows = []
    for read in batch:
        best, error = [None] * (len(names) - 3), read.error
        if error is None:
            outputs = next(scores)
            if np.isfinite(outputs).all():
                chosen = np.argsort(-outputs, kind="stable")[: len(best) // 2]
                best = [value for i in chosen for value in (classifier.labels[i], float(outputs[i]))]
            else:
                error = "the model's scores are not numbers"
        rows.append(dict(zip(names, [display_name(read.name), *best, error, classifier.name], strict=True)))
    return rows
