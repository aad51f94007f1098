"""Networks as one model: each gets the pixels of its own processor, labels in one order; processors are borrowed."""

import re

import pytest
import torch
import transformers
from conftest import make_image
from fresh import run_fresh
from tiny import PROCESSORS, tiny_model, tiny_processor

from hf_imgcls.errors import InputError
from hf_imgcls.images import input_size, normalization, process_image
from hf_imgcls.models.assemble import assemble_ensemble
from hf_imgcls.models.build import build_model, load_network
from hf_imgcls.recipe.sections import ModelSection

LABELS = ["blue", "green", "red"]
OPEN = """
import sys
import PIL.Image
from transformers import pipeline

assert "hf_imgcls" not in sys.modules
classifier = pipeline("image-classification", model=sys.argv[1], trust_remote_code=True)
for each in sorted(classifier(PIL.Image.open(sys.argv[2])), key=lambda each: each["label"]):
    print(each["score"])
"""


def save(folder, family: str, processor, labels=tuple(LABELS)) -> str:
    tiny_model(family, labels).save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)


def normalizing(mean: float, deviation: float):
    processor = tiny_processor()
    processor.image_mean, processor.image_std = [mean] * 3, [deviation] * 3
    return processor


@pytest.mark.parametrize("families", [("vit", "swin"), ("timm", "vit"), ("timm", "timm")])
def test_its_probabilities_are_the_mean_of_those_of_its_networks(families, tmp_path):
    first = save(tmp_path / "0", families[0], normalizing(0.5, 0.5))
    save(tmp_path / "1", families[1], normalizing(0.4, 0.2), labels=("red", "blue", "green"))
    second, processor = build_model(
        ModelSection(checkpoint=str(tmp_path / "1"), processor_of=first), ["red", "blue", "green"], 0
    )
    second.save_pretrained(tmp_path / "2")
    processor.save_pretrained(tmp_path / "2")
    folders = [tmp_path / "0", tmp_path / "2"]
    model, shared = assemble_ensemble(folders, LABELS, shared=0)
    image, expected = make_image("red", 1), []
    for folder in folders:
        network, own = load_network(str(folder))
        with torch.no_grad():
            probabilities = network(pixel_values=process_image(own, image)[None]).logits.softmax(1)
        expected.append(probabilities[:, [network.config.label2id[name] for name in LABELS]])
    with torch.no_grad():
        found = model(pixel_values=process_image(shared, image)[None]).logits
    torch.testing.assert_close(found.softmax(1), torch.stack(expected).mean(0), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.exp().sum(1), torch.ones(1))

    model.save_pretrained(tmp_path / "both")
    shared.save_pretrained(tmp_path / "both")
    again, _ = load_network(str(tmp_path / "both"))
    assert torch.equal(again(pixel_values=process_image(shared, image)[None]).logits, found)
    if families == ("vit", "swin"):
        image.save(tmp_path / "image.png")
        shown = run_fresh(OPEN, str(tmp_path / "both"), str(tmp_path / "image.png"), layer="transformers")
        torch.testing.assert_close(torch.tensor([float(each) for each in shown.stdout.split()]), found.softmax(1)[0])


def test_networks_that_do_not_fit_together_are_refused(tmp_path):
    save(tmp_path / "0", "vit", tiny_processor())
    save(tmp_path / "1", "swin", tiny_processor(), labels=("blue", "green", "black"))
    with pytest.raises(InputError, match="has other labels than the data"):
        assemble_ensemble([tmp_path / "0", tmp_path / "1"], LABELS, 0)
    save(tmp_path / "2", "convnext", transformers.ViTImageProcessor(size={"height": 24, "width": 24}))
    with pytest.raises(InputError, match=r"images of another size .* set its model.processor_of"):
        assemble_ensemble([tmp_path / "0", tmp_path / "2"], LABELS, 0)
    save(tmp_path / "3", "convnet", tiny_processor())
    with pytest.raises(InputError, match="a network or head of its own"):
        assemble_ensemble([tmp_path / "0", tmp_path / "3"], LABELS, 0)


SQUARE = [
    name for name in PROCESSORS if not re.search("not square|blue first|padding|letterbox", name)
]  # others are refused


@pytest.mark.parametrize("name", SQUARE)
def test_a_borrowed_processor_resizes_as_the_other_and_normalizes_as_its_own(name, tmp_path):
    other = PROCESSORS[name]()
    timm = hasattr(other, "data_config")
    kind = tiny_model("timm") if timm else tiny_model("vit")
    if timm:
        kind.config.pretrained_cfg = {key: other.data_config[key] for key in ("input_size", "mean", "std", "crop_pct")}
    kind.save_pretrained(tmp_path / "other")
    other.save_pretrained(tmp_path / "other")
    own = save(tmp_path / "own", "convnext", normalizing(0.4, 0.3))
    _, found = build_model(ModelSection(checkpoint=own, processor_of=str(tmp_path / "other")), LABELS, 0)
    assert input_size(found) == input_size(other) == (24, 24)
    torch.testing.assert_close(normalization(found), normalization(normalizing(0.4, 0.3)), atol=1e-4, rtol=1e-3)
    image = make_image("red", 3).resize((50, 31))
    scale, shift = normalization(other)
    own_scale, own_shift = normalization(found)
    expected = (process_image(other, image) - shift) / scale
    torch.testing.assert_close((process_image(found, image) - own_shift) / own_scale, expected, atol=0.05, rtol=1e-3)


@pytest.mark.parametrize("first", ["vit", "timm", "vit that pads"])
def test_a_borrowed_letterbox_is_filled_with_the_networks_own_mean(first, tmp_path):
    """Also after it was opened again: Janus takes the colour from the mean that is saved."""
    pads = first.endswith("pads")
    letterbox = transformers.JanusImageProcessor(size={"height": 16, "width": 16}, min_size=1, image_mean=[0.9] * 3)
    other = save(tmp_path / "first", first.split()[0], letterbox if pads else tiny_processor())
    own = save(tmp_path / "own", "convnext", normalizing(0.4, 0.3))
    section = ModelSection(checkpoint=own, processor_of=other, processor=None if pads else {"resize": "pad"})
    model, found = build_model(section, LABELS, 0)
    model.save_pretrained(tmp_path / "run")
    found.save_pretrained(tmp_path / "run")
    image = make_image("red", 3).resize((48, 12))
    for processor in (found, load_network(str(tmp_path / "run"))[1]):
        pixels = process_image(processor, image)
        assert pixels.shape == (3, 16, 16)
        assert pixels[:, [0, 5, 10, 15]].abs().max() < 0.02
        assert pixels[:, 6:10].abs().min() > 0.02


def test_a_processor_that_cannot_be_borrowed_is_one_line(tmp_path):
    save(tmp_path / "vit", "vit", tiny_processor())
    tiny_model("timm").save_pretrained(tmp_path / "timm")
    section = ModelSection(checkpoint=str(tmp_path / "timm"), processor_of=str(tmp_path / "vit"))
    with pytest.raises(InputError, match="is not a network of timm, and"):
        build_model(section, LABELS, 0)
    save(tmp_path / "blue", "vit", PROCESSORS["PP-LCNet, blue first"]())
    with pytest.raises(InputError, match="no square images, or another order of channels"):
        build_model(ModelSection(checkpoint=str(tmp_path / "vit"), processor_of=str(tmp_path / "blue")), LABELS, 0)
