"""From images to pixels, a batch at a time, in their order: threads or processes read ahead of the network."""

import itertools
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import PIL.Image
import torch
from torch.utils.data import DataLoader, Dataset

from hf_imgcls.images import Limits, why_unreadable
from hf_imgcls.machine import cores_per_process, shield_worker
from hf_imgcls.serving.image_list import READ_ERRORS, read_source
from hf_imgcls.store import free_space

Read = tuple[str, torch.Tensor | None, str | None]  # an image's name, its pixels, and why it has none

_DEFAULTS = Limits()
_MOST = 16  # threads or processes
_WORTH = 256  # images; processes take half a second to start
_CHUNK = 16 * 2**20  # bytes of pixels that a process hands over at a time
_AHEAD = 2  # such chunks of each process


def read_batches(
    process: Callable, images: Iterable[str], batch_size: int, limits: Limits = _DEFAULTS, by_processes: bool = False
) -> Iterator[list[Read]]:
    """Names of images with their pixels, or why they have none, a batch at a time.

    Args:
        by_processes: many images are read by processes, where the system can fork them and has the memory that they
            share. Threads hold each other up: on 16 cores four of them read 790 images/s, 16 read 470, and 15 processes
            3,300.
    """
    names = iter(images)
    first = list(itertools.islice(names, _WORTH + 1)) if by_processes else []
    processes = _processes(process) if len(first) > _WORTH else None
    names = itertools.chain(first, names)
    read = partial(_read, process, limits)
    ready = _read_by_processes(read, names, processes) if processes else _read_by_threads(read, names, 2 * batch_size)
    while batch := list(itertools.islice(ready, batch_size)):
        yield batch


def _read_by_threads(read: Callable[[str], Read], names: Iterable[str], ahead: int) -> Iterator[Read]:
    # At least four, so that reading continues while one waits for a server.
    pool = reader_pool(min(_MOST, max(4, cores_per_process())))
    try:
        yield from read_ahead(pool, read, names, ahead)
    finally:
        pool.shutdown(cancel_futures=True)


class _Processes(NamedTuple):
    """How many of them read, and how many images each hands over at a time."""

    count: int
    chunk: int


def _processes(process: Callable) -> _Processes | None:
    """Processes that read; None where threads do better, or nothing else can be had."""
    count = min(_MOST, cores_per_process() - 1)
    if count < 2 or sys.platform != "linux":
        return None  # elsewhere each would start by importing everything anew
    pixels = process(PIL.Image.new("RGB", (320, 240)))
    size = pixels.numel() * pixels.element_size()
    chunk = max(1, _CHUNK // size)
    room = free_space("/dev/shm")
    return _Processes(count, chunk) if room is not None and room > 2 * count * _AHEAD * chunk * size else None


class _Reads(Dataset):
    """Indexed by the images' names, so that no more of them are listed than are read ahead."""

    def __init__(self, read: Callable[[str], Read]):
        self.read = read

    def __getitems__(self, names: list[str]) -> list[Read]:
        return list(map(self.read, names))


def _read_by_processes(read: Callable[[str], Read], names: Iterable[str], processes: _Processes) -> Iterator[Read]:
    chunks = iter(lambda: list(itertools.islice(names, processes.chunk)), [])
    loader = DataLoader(
        _Reads(read), batch_sampler=chunks, num_workers=processes.count, prefetch_factor=_AHEAD, collate_fn=_packed,
        worker_init_fn=lambda _: shield_worker(), multiprocessing_context="fork",
    )  # fmt: skip
    for read_names, pixels, errors in loader:
        each = iter(pixels)
        for name, error in zip(read_names, errors, strict=True):
            yield name, None if error else torch.as_tensor(next(each)), error


def _packed(found: list[Read]) -> tuple[list[str], Any, list[str | None]]:
    """Pixels of one shape as one tensor, which takes one of the handles that processes share; else as arrays."""
    names, pixels, errors = map(list, zip(*found, strict=True))
    pixels = [each for each in pixels if each is not None]
    if len({each.shape for each in pixels}) == 1:
        return names, torch.stack(pixels), errors
    return names, [each.numpy() for each in pixels], errors


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


def _read(process: Callable, limits: Limits, name: str) -> Read:
    try:
        image = read_source(name, limits)
    except READ_ERRORS as error:
        return name, None, why_unreadable(error)
    try:
        return name, process(image), None
    except ValueError as error:  # a processor rejects the image's shape
        return name, None, why_unreadable(error)


def each_batch(process: Callable, images: Iterable, batch_size: int, limits: Limits = _DEFAULTS) -> Iterator[list]:
    """Pixels of the images (files or URLs) that can be read, a batch at a time."""
    read = (_read(process, limits, name)[1] for name in images)
    readable = (pixels for pixels in read if pixels is not None)
    while batch := list(itertools.islice(readable, batch_size)):
        yield batch
