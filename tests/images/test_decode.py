"""Decoding only the drawn crop: the same pixels as torchvision's crop of the fully decoded image."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from test_read import AWKWARD, frames, turned
from torchvision.transforms import InterpolationMode, v2

from hf_imgcls.images import decode
from hf_imgcls.images.decode import as_tensor, can_lead, read_resized
from hf_imgcls.images.files import UnusableImage
from hf_imgcls.images.read import read_image, why_unreadable

SIZE = (40, 32)
# Mean difference over a crop, of 256 levels: squares of pixels are averaged that the resize would have weighed.
TOLERANCE = 1.4


def photo(width: int, height: int, seed: int = 0) -> Image.Image:
    """Clouds: detail of every scale, less of the fine, as a photograph has it."""
    random = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = 1
    clouds = []
    for _ in range(3):
        phase = np.exp(2j * np.pi * random.random(frequency.shape))
        cloud = np.fft.irfft2(phase / frequency**1.5, s=(height, width))
        clouds.append(128 + 45 * (cloud - cloud.mean()) / cloud.std())
    return Image.fromarray(np.clip(np.stack(clouds, axis=-1), 0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str = "JPEG", **options) -> dict:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return {"bytes": stream.getvalue(), "path": None}


PHOTO = photo(500, 390)
JPEGS = {
    "plain": lambda: encoded(PHOTO, quality=90),
    "4:4:4": lambda: encoded(PHOTO, quality=95, subsampling=0),
    "progressive": lambda: encoded(PHOTO, progressive=True),
    "restart markers": lambda: encoded(PHOTO, restart_marker_rows=1),
    "grey": lambda: encoded(PHOTO.convert("L")),
    "CMYK": lambda: encoded(PHOTO.convert("CMYK")),
    "stored as RGB": lambda: encoded(PHOTO, keep_rgb=True),
    "several": lambda: encoded(PHOTO, "MPO", **frames()),
    **{f"turned {n}": lambda n=n: encoded(PHOTO, **turned(n)) for n in range(1, 9)},
    "turned by XMP": lambda: encoded(
        PHOTO, xmp=b'<x xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
    ),
    "turned to nowhere": lambda: encoded(PHOTO, **turned(9)),
}


def both(value: dict, transform, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """(output of `read_resized`, torchvision's output for the fully decoded image), with the same draws."""
    torch.manual_seed(seed)
    made = read_resized(value, transform)
    after = torch.get_rng_state()
    torch.manual_seed(seed)
    expected = transform(as_tensor(read_image(value)))
    assert torch.equal(torch.get_rng_state(), after), "other draws follow"
    return made, expected


@pytest.mark.parametrize("name", AWKWARD)
@pytest.mark.parametrize("transform", [v2.RandomResizedCrop((30, 26)), v2.Resize((30, 26))], ids=["crop", "resize"])
def test_what_is_not_reduced_is_the_same_to_the_bit(name, transform, tmp_path):
    AWKWARD[name](tmp_path / name)
    for value in (
        {"bytes": None, "path": str(tmp_path / name)},
        {"bytes": (tmp_path / name).read_bytes(), "path": None},
    ):
        made, expected = both(value, transform)
        assert made.dtype == torch.uint8
        assert torch.equal(made, expected)


@pytest.fixture
def scales(monkeypatch):
    """What the images that are read while a test runs are reduced by."""
    found, real = [], decode.decode_reduced
    monkeypatch.setattr(decode, "decode_reduced", lambda *given: found.append(real(*given)) or found[-1])
    return found


@pytest.mark.parametrize("name", JPEGS)
def test_a_large_jpeg_is_the_same_at_full_size_and_close_reduced(name, scales):
    value = JPEGS[name]()
    large = v2.RandomResizedCrop((300, 320))
    assert torch.equal(*both(value, large))
    assert set(scales) == {1}
    for seed in range(8):
        made, expected = both(value, v2.RandomResizedCrop(SIZE), seed)
        assert made.shape == expected.shape == (3, *SIZE)
        assert (made.float() - expected.float()).abs().mean() < TOLERANCE
    made, expected = both(value, v2.Resize(SIZE))
    assert (made.float() - expected.float()).abs().mean() < TOLERANCE
    assert scales[-1] == 8
    assert len(set(scales)) > 2, "crops of different sizes, decoded at one scale"


def test_a_crop_is_never_decoded_smaller_than_it_will_be(scales):
    value, parts, draw = JPEGS["plain"](), [], decode._draw_part
    for seed in range(40):
        torch.manual_seed(seed)
        parts.append(draw(v2.RandomResizedCrop(SIZE), PHOTO.size))
        both(value, v2.RandomResizedCrop(SIZE), seed)
    for (left, top, right, bottom), scale in zip(parts, scales, strict=True):
        fits = min((right - left) / SIZE[1], (bottom - top) / SIZE[0])
        assert scale == max(s for s in (1, 2, 4, 8) if s <= max(1, fits))


@pytest.mark.parametrize("settings", [{"interpolation": InterpolationMode.NEAREST}, {"antialias": False}])
def test_where_pixels_are_picked_none_are_averaged_before(settings, scales):
    assert torch.equal(*both(JPEGS["plain"](), v2.RandomResizedCrop(SIZE, **settings)))
    assert scales == [1]


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_other_filters_are_kept(mode):
    transform = v2.RandomResizedCrop(SIZE, scale=(0.5, 1), interpolation=InterpolationMode(mode))
    made, expected = both(JPEGS["plain"](), transform)
    assert (made.float() - expected.float()).abs().mean() < TOLERANCE


def test_what_leads_a_chain():
    assert can_lead(v2.RandomResizedCrop(24))
    assert can_lead(v2.Resize((24, 24)))
    assert not can_lead(v2.Resize(24))  # the longer side depends on the image, to the pixel
    assert not can_lead(v2.RandomHorizontalFlip())


def outcome(read) -> torch.Tensor | str:
    try:
        return read()
    except Exception as error:
        return why_unreadable(error)


def harmed(data: bytes, random: np.random.Generator) -> bytes:
    """Cut off, or with some bytes changed, taken out or put in."""
    place, count = int(random.integers(len(data))), int(random.integers(1, 60))
    noise = random.integers(0, 256, count, dtype=np.uint8).tobytes()
    return [data[:place], data[:-count], data[:place] + noise + data[place + count :], data[:place] + data[place + 9 :],
            data[:place] + noise + data[place:]][random.integers(5)]  # fmt: skip


def test_broken_jpegs_are_read_or_refused_as_the_reading_rule_has_it():
    """libjpeg only warns about data that is missing or cannot be decoded; Pillow refuses some of it, and decides."""
    random, transform = np.random.default_rng(0), v2.Resize((40, 30))
    good = [encoded(photo(60, 45), **options) for options in ({}, {"subsampling": 0}, {"progressive": True})]
    outcomes = []
    for number in range(240):
        value = {"bytes": harmed(good[number % 3]["bytes"], random), "path": None}
        made = outcome(lambda value=value: read_resized(value, transform))
        expected = outcome(lambda value=value: transform(as_tensor(read_image(value))))
        assert made == expected if isinstance(expected, str) else torch.equal(made, expected)
        outcomes.append(isinstance(expected, str))
    assert 40 < sum(outcomes) < 200


def test_a_file_that_is_gone_is_no_image(tmp_path):
    with pytest.raises(UnusableImage, match=r"no such file"):
        read_resized({"bytes": None, "path": str(tmp_path / "gone.jpg")}, v2.Resize(SIZE))
