"""The largest batch that a stage can train on: tried on a GPU, reckoned on a CPU."""

from collections.abc import Callable

from accelerate.utils import find_executable_batch_size

from hf_imgcls.errors import InputError

STEPS = 3  # of each try: with the second one the optimizer has its states
_KEPT_FREE = 0.2  # part of the memory: what else runs, and evaluations, need some
_NONE = "find-batch-size: not even one image fits into the memory; take a smaller network or model.image_size"


def power_of_two(number: int) -> int:
    """The largest power of two that is not above a number, at least 1."""
    return 1 << max(0, number.bit_length() - 1)


def try_batches(train: Callable[[int], None], most: int) -> int:
    """The largest power of two up to `most` that trains: accelerate's find_executable_batch_size, halving."""
    size = power_of_two(most)

    def halve() -> int:
        nonlocal size
        size //= 2
        return size

    @find_executable_batch_size(starting_batch_size=size, reduce_batch_size_fn=halve)
    def attempt(batch_size: int) -> int:
        train(batch_size)
        return batch_size

    try:
        return attempt()
    except RuntimeError as error:
        if "No executable batch size found" not in str(error):
            raise
        raise InputError(_NONE) from None


def reckon_batch(small: tuple[int, int], large: tuple[int, int], free: int, most: int) -> int:
    """The largest power of two up to `most` whose step fits into a part of the free memory.

    Args:
        small, large: images of a batch, and bytes by which its steps let the memory grow.
        free: bytes, before these steps.
    """
    (images, grown), (more, grown_more) = small, large
    each = max(0.0, (grown_more - grown) / (more - images))
    room = (1 - _KEPT_FREE) * free - grown
    if room < 0 and images == 1:
        raise InputError(_NONE)
    fits = most if each * (most - images) <= room else images + room / each
    return power_of_two(min(most, max(1, int(fits))))


def keep_step(images: int, most: int) -> tuple[int, int]:
    """Batch size and accumulation whose product is `images`, with the largest batch that is not above `most`."""
    batch = next(size for size in range(min(images, most), 0, -1) if images % size == 0)
    return batch, images // batch
