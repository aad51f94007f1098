"""Every kind of image is read in training and scoring exactly as `pipeline` reads it."""

import io

import numpy as np
import PIL.features
import pytest
from conftest import make_image
from PIL import Image
from transformers.image_utils import load_image
from transformers.pipelines import image_classification

from hf_imgcls.images.read import open_image, read_image

RED = make_image("red", 0, (12, 8))
ALPHA = Image.linear_gradient("L").resize((12, 8))


def grey16() -> Image.Image:
    return Image.fromarray((np.arange(96).reshape(8, 12) * 650).astype(np.uint16))


def rgba() -> Image.Image:
    out = RED.convert("RGBA")
    out.putalpha(ALPHA)
    return out


def turned(orientation: int) -> dict:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return {"exif": exif}


def frames() -> dict:
    return {"save_all": True, "append_images": [make_image("blue", 1, (12, 8)), make_image("green", 2, (12, 8))]}


AWKWARD = {
    "cmyk.jpg": lambda f: RED.convert("CMYK").save(f, "JPEG"),
    "grey.jpg": lambda f: RED.convert("L").save(f, "JPEG"),
    "grey16.png": lambda f: grey16().save(f, "PNG"),
    "one_bit.png": lambda f: RED.convert("1").save(f, "PNG"),
    "float.tiff": lambda f: RED.convert("F").save(f, "TIFF"),
    "palette.png": lambda f: RED.quantize(8).save(f, "PNG"),
    "palette_transparent.png": lambda f: RED.quantize(8).save(f, "PNG", transparency=bytes([0, 128, 255])),
    "grey_alpha.png": lambda f: rgba().convert("LA").save(f, "PNG"),
    "rgba.png": lambda f: rgba().save(f, "PNG"),
    "rgba.webp": lambda f: rgba().save(f, "WEBP", lossless=True),
    **{f"turned_{n}.jpg": lambda f, n=n: RED.save(f, "JPEG", **turned(n)) for n in range(1, 9)},
    "turned.png": lambda f: RED.save(f, "PNG", **turned(6)),
    "turned.webp": lambda f: RED.save(f, "WEBP", **turned(8)),
    "animated.gif": lambda f: RED.save(f, "GIF", **frames()),
    "animated.webp": lambda f: RED.save(f, "WEBP", **frames()),
    "animated.png": lambda f: RED.save(f, "PNG", **frames()),
    "several.mpo": lambda f: RED.save(f, "MPO", **frames()),
    "several.tiff": lambda f: RED.save(f, "TIFF", **frames()),
    "jpeg without extension": lambda f: RED.save(f, "JPEG"),
    "png named.jpg": lambda f: RED.save(f, "PNG"),
    "한글.bmp": lambda f: RED.save(f, "BMP"),
    **({"photo.avif": lambda f: rgba().save(f, "AVIF")} if PIL.features.check("avif") else {}),
}


@pytest.fixture(params=AWKWARD)
def awkward(request, tmp_path):
    file = tmp_path / request.param
    AWKWARD[request.param](file)
    return file


def test_images_are_read_as_the_pipeline_reads_them(awkward):
    served = load_image(str(awkward))
    for value in ({"bytes": None, "path": str(awkward)}, {"bytes": awkward.read_bytes(), "path": "elsewhere.jpg"}):
        read = read_image(value)
        assert (read.mode, read.size) == ("RGB", served.size)
        assert read.tobytes() == served.tobytes()


def test_an_image_that_was_read_already_stays_as_it_is(awkward):
    once = read_image({"bytes": None, "path": str(awkward)})
    assert read_image(once).tobytes() == once.tobytes()


def test_the_pipeline_still_reads_with_that_function():
    assert image_classification.load_image is load_image


def test_the_first_frame_upright(tmp_path):
    file = tmp_path / "turned.jpg"
    RED.save(file, "JPEG", quality=100, subsampling=0, **turned(6))
    upright = np.asarray(read_image({"bytes": None, "path": str(file)}), int)
    assert np.abs(upright - np.asarray(RED.transpose(Image.Transpose.ROTATE_270), int)).mean() < 4
    RED.save(tmp_path / "animated.webp", "WEBP", lossless=True, **frames())
    assert read_image({"bytes": None, "path": str(tmp_path / "animated.webp")}).tobytes() == RED.tobytes()


def test_opening_does_not_decode(tmp_path):
    stream = io.BytesIO()
    make_image("red", 0, (64, 48)).save(stream, "JPEG")
    cut = {"bytes": stream.getvalue()[:-500], "path": None}
    assert open_image(cut).size == (64, 48)
    with pytest.raises(OSError, match="truncated"):
        read_image(cut)
