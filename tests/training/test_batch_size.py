"""The largest batch: tried by halving, reckoned from two small ones, and kept as a step by accumulation."""

import pytest

from hf_imgcls.errors import InputError
from hf_imgcls.training.batch_size import keep_step, power_of_two, reckon_batch, try_batches


def test_batches_are_halved_until_one_fits():
    tried = []

    def train(images: int) -> None:
        tried.append(images)
        if images > 20:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")

    assert try_batches(train, 100) == 16
    assert tried == [64, 32, 16]
    assert try_batches(lambda images: None, 100) == 64


def test_what_fits_nowhere_is_one_line_and_other_errors_are_themselves():
    def out_of_memory(images: int) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")

    with pytest.raises(InputError, match="not even one image fits"):
        try_batches(out_of_memory, 4)

    def another(images: int) -> None:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        try_batches(another, 4)


@pytest.mark.parametrize(
    ("free", "most", "fits"),
    [
        (1000, 4096, 64),  # 10 bytes an image and 20 beside them: 78 of them take 800
        (1000, 32, 32),
        (150, 4096, 8),
        (10**9, 4096, 4096),
    ],
)
def test_what_fits_is_reckoned_from_two_small_batches_and_leaves_a_fifth_free(free, most, fits):
    assert reckon_batch((8, 100), (32, 340), free, most) == fits


def test_memory_that_does_not_grow_bounds_nothing_and_too_little_is_one_line():
    assert reckon_batch((8, 100), (32, 90), 1000, 512) == 512
    assert reckon_batch((8, 100), (32, 340), 0, 512) == 1
    with pytest.raises(InputError, match="not even one image"):
        reckon_batch((1, 100), (2, 200), 50, 2)


def test_a_step_is_kept_by_accumulation():
    assert keep_step(64, 16) == (16, 4)
    assert keep_step(64, 4096) == (64, 1)
    assert keep_step(60, 16) == (15, 4)
    assert keep_step(7, 4) == (1, 7)
    assert [power_of_two(n) for n in (0, 1, 2, 3, 64, 1000)] == [1, 1, 2, 2, 64, 512]
