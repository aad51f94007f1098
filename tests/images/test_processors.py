"""What image processors of many families do, against what is measured of them."""

import numpy as np
import pytest
import torch
import transformers
from conftest import make_image
from PIL import Image
from tiny import PROCESSORS

from hf_imgcls.errors import InputError
from hf_imgcls.images.processors import channel_order, input_size, normalization, process_image


@pytest.mark.parametrize("name", PROCESSORS)
def test_the_size_is_what_comes_out(name):
    assert input_size(PROCESSORS[name]()) == ((24, 32) if "not square" in name else (24, 24))


@pytest.mark.parametrize("name", PROCESSORS)
def test_scale_and_shift_make_the_processors_floats_of_any_colour(name):
    processor = PROCESSORS[name]()
    scale, shift = normalization(processor)
    channels = channel_order(processor)
    assert channels == ([2, 1, 0] if "blue first" in name or "padding" in name else [0, 1, 2])
    for colour in np.random.default_rng(0).integers(0, 256, (10, 3)).tolist():
        floats = process_image(processor, Image.new("RGB", (40, 40), tuple(colour)))[:, 12, 12]
        expected = torch.tensor(colour)[channels] * scale.flatten() + shift.flatten()
        assert torch.allclose(floats, expected, atol=1e-5), colour


def test_a_processor_without_one_size_is_refused():
    for processor in (transformers.TextNetImageProcessor(), transformers.ViTImageProcessor(do_resize=False)):
        with pytest.raises(InputError, match=r"does not resize images to one size .* set model.image_size"):
            input_size(processor)


def test_a_processor_that_makes_no_image_is_refused():
    with pytest.raises(InputError, match="Siglip2ImageProcessor, does not turn an image into one array of pixels"):
        process_image(transformers.Siglip2ImageProcessor(), make_image("red", 1))
