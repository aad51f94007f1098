"""Views of test-time augmentation: where in an image each lies, for image processors of many kinds."""

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import PROCESSORS

from hf_imgcls.errors import InputError
from hf_imgcls.images import EvalTransform, Views, ViewsTransform, check_views, normalization, process_image

WIDTH, HEIGHT = 400, 300


def place_image() -> Image.Image:
    """Red says how far to the right, green how far down, from 0 to 255."""
    across, down = np.meshgrid(np.linspace(0, 255, WIDTH), np.linspace(0, 255, HEIGHT))
    return Image.fromarray(np.stack([across, down, 0 * down], 2).round().astype(np.uint8))


KINDS = ("SigLIP, not square", "ConvNeXt", "CLIP", "BiT", "DeiT", "MobileViT, blue first", "timm", "timm, letterbox")

SHOWN = {"ConvNeXt": 24 / 27, "BiT": 24 / 32, "DeiT": 24 / 28, "MobileViT, blue first": 24 / 28, "timm": 24 / 26}


@pytest.mark.parametrize("kind", KINDS)
def test_corners_lie_in_the_corners_at_the_scale_of_the_evaluated_view(kind):
    processor = PROCESSORS[kind]()
    found = Views(processor, ("crops",))
    assert found.shown == pytest.approx(SHOWN.get(kind, 1.0), abs=0.01)
    views = found(place_image())
    scale, shift = normalization(processor)
    reds = 2 if "blue first" in kind else 0
    places = [((view - shift) / scale)[[reds, 1]] for view in views]
    if "letterbox" in kind:
        places = [place[:, 3:-3] for place in places]  # what is padded
    middle = places[0].shape[-2] // 2, places[0].shape[-1] // 2
    spans = [
        (float(p[0, middle[0], -1] - p[0, middle[0], 0]), float(p[1, -1, middle[1]] - p[1, 0, middle[1]]))
        for p in places
    ]
    for across, down in spans[1:]:
        factor = min(1.0, 7 / 8 / found.shown)
        assert across == pytest.approx(factor * spans[0][0], abs=14)
        assert down == pytest.approx(factor * spans[0][1], abs=14)
    for place, (right, low) in zip(places[1:], [(0, 0), (1, 0), (0, 1), (1, 1)], strict=True):
        assert float(place[0, middle[0], -right]) == pytest.approx(255 * right, abs=12), "not at a side"
        assert float(place[1, -low, middle[1]]) == pytest.approx(255 * low, abs=12), "not at the top or the bottom"


@pytest.mark.parametrize("kind", ["CLIP", "padding the border", "DeiT"])
@pytest.mark.parametrize("size", [(1, 1), (300, 2)])
def test_small_images_have_views_too(kind, size):
    views = Views(PROCESSORS[kind](), ("flip", "crops"))(Image.new("RGB", size, "red"))
    assert {view.shape for view in views} == {(3, 24, 24)}


def test_the_first_view_is_the_evaluated_one_and_the_second_half_is_mirrored():
    processor, image = PROCESSORS["MobileNetV2"](), place_image()
    views = Views(processor, ("flip", "crops"))(image)
    assert len(views) == 10
    assert torch.equal(views[0], process_image(processor, image))
    assert all(torch.equal(view.flip(-1), mirrored) for view, mirrored in zip(views[:5], views[5:], strict=True))
    rows = {"image": [image], "label": [1]}
    made = ViewsTransform(processor, [7, 8], ("flip",))(rows)
    assert made["labels"] == EvalTransform(processor, [7, 8])(rows)["labels"] == [8]
    assert torch.equal(made["pixel_values"][0], torch.stack([views[0], views[5]]))


@pytest.mark.parametrize(
    ("words", "line"), [(["flop"], 'did you mean "flip"'), ([""], "found ''"), (["flip"] * 2, "more than once")]
)
def test_other_words_are_one_line(words, line):
    with pytest.raises(InputError, match=line):
        check_views(words)
    assert check_views(["crops", "flip"]) == check_views("crops,flip") == ("flip", "crops")
