"""Where the network's input lies in an image: measured for every kind of processor, and maps put back by it."""

import numpy as np
import pytest
import transformers
from PIL import Image
from tiny import PROCESSORS

from hf_imgcls.images.placing import Placer, Placing
from hf_imgcls.images.processors import process_image

SIZES = ((96, 96), (150, 60), (50, 140), (640, 480))


def brightest(processor, size: tuple[int, int], at: tuple[float, float], spread: float) -> tuple[float, float]:
    """Where a white spot of an image comes out: column and row of its centre."""
    width, height = size
    x, y = np.arange(width) + 0.5, np.arange(height)[:, None] + 0.5
    spot = 255 * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * spread**2))
    black, white = (
        process_image(processor, Image.fromarray(np.repeat(each[..., None], 3, 2).astype(np.uint8))).sum(0).numpy()
        for each in (np.zeros((height, width)), spot)
    )
    weights = np.abs(white - black)
    weights[weights < 0.2 * weights.max()] = 0
    places = np.indices(weights.shape) + 0.5
    row, column = ((axis * weights).sum() / weights.sum() for axis in places)
    return column, row


@pytest.mark.parametrize("name", PROCESSORS)
def test_a_spot_of_an_image_is_where_the_measured_edges_say(name):
    processor = PROCESSORS[name]()
    placer = Placer(processor)
    for width, height in SIZES:
        found = placer((width, height))
        rows, columns = found.input_size
        left, top, right, bottom = found.seen
        for at in ((0.4, 0.65), (0.6, 0.45)):  # whole in what is seen, and off its centre
            spot = left + at[0] * (right - left), top + at[1] * (bottom - top)
            column, row = brightest(processor, (width, height), spot, 0.1 * min(right - left, bottom - top))
            assert abs(found.left + column / columns * (found.right - found.left) - spot[0]) < 0.03 * (right - left)
            assert abs(found.top + row / rows * (found.bottom - found.top) - spot[1]) < 0.03 * (bottom - top)


CROPPING = transformers.CLIPImageProcessor(size={"shortest_edge": 96}, crop_size={"height": 96, "width": 96})
DEIT = transformers.DeiTImageProcessor(size={"height": 256, "width": 256}, crop_size={"height": 224, "width": 224})


@pytest.mark.parametrize(
    ("processor", "size", "edges", "words"),
    [
        (PROCESSORS["ViT"](), (100, 50), (0, 0, 100, 50), "squashed"),
        (PROCESSORS["ViT"](), (60, 60), (0, 0, 60, 60), ""),
        (CROPPING, (200, 100), (50, 0, 150, 100), "cropped: 50 % is seen"),
        (CROPPING, (100, 200), (0, 50, 100, 150), "cropped: 50 % is seen"),
        (PROCESSORS["Janus, letterbox"](), (200, 100), (0, -50, 200, 150), "padded"),
        (PROCESSORS["timm, letterbox"](), (100, 200), (-50, 0, 150, 200), "padded"),
        (DEIT, (256, 256), (16, 16, 240, 240), "cropped: 77 % is seen"),
        (DEIT, (512, 256), (32, 16, 480, 240), "cropped: 77 % is seen, squashed"),
        (PROCESSORS["Janus, letterbox"](), (2400, 24), (0, -264, 2400, 312), "padded, squashed"),  # to a row
        (PROCESSORS["ViT"](), (1, 7), (0, 0, 1, 7), "squashed"),
    ],
)
def test_edges_and_words_on_values(processor, size, edges, words):
    found = Placer(processor)(size)
    np.testing.assert_allclose(found[:4], edges, atol=0.02 * max(size))
    assert found.describe() == words


def test_a_map_is_put_where_its_cells_are_and_nowhere_else():
    values = np.zeros((4, 4), np.float32)
    values[0, 3] = 1  # above on the right
    cropped = Placing(50, 0, 150, 100, (200, 100), (24, 24)).place(values, (200, 100))
    assert np.isnan(cropped[:, :49]).all()
    assert np.isnan(cropped[:, 151:]).all()
    assert not np.isnan(cropped[:, 51:149]).any()
    row, column = np.unravel_index(np.nanargmax(cropped), cropped.shape)
    assert column >= 137
    assert row <= 12
    assert cropped[5, 145] == 1  # no fading at the edge of the map
    padded = Placing(0, -50, 200, 150, (200, 100), (24, 24)).place(np.eye(4), (100, 50))  # half as many pixels
    assert padded.shape == (50, 100)
    assert not np.isnan(padded).any()
    assert padded[12, 37] == pytest.approx(1, abs=0.05)  # cell (1, 1): x 50 to 100, y 0 to 50 of the image
    assert padded[12, 62] == pytest.approx(0, abs=0.05)
