"""A model in a program: what it reads, what it refuses, and that it predicts what `pipeline` predicts."""

import json
import math
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from PIL import Image, PngImagePlugin
from tiny import tiny_model, tiny_processor
from transformers import pipeline

from hf_imgcls import ImageClassifier, InputError
from hf_imgcls.images import Limits
from hf_imgcls.publishing import handler
from hf_imgcls.serving.inference import Classifier
from hf_imgcls.serving.page import with_thresholds


@pytest.fixture
def folder(tmp_path):
    tiny_model("vit").save_pretrained(tmp_path / "model")
    tiny_processor().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def photo(tmp_path) -> Path:
    """Red above and blue below once it is turned by its EXIF data."""
    image = Image.new("RGB", (60, 40), "red")
    image.paste("blue", (0, 0, 30, 40))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "photo.png", exif=exif)
    return tmp_path / "photo.png"


def test_a_path_bytes_and_a_pillow_image_are_predicted_as_pipeline_does(folder, photo):
    classify, serve = ImageClassifier(folder, "cpu"), pipeline("image-classification", str(folder), device="cpu")
    expected = serve(str(photo), top_k=2)
    turned = serve(Image.open(photo).convert("RGB").rotate(90, expand=True), top_k=2)
    assert max(abs(a["score"] - b["score"]) for a, b in zip(expected, turned, strict=True)) > 1e-4
    for image in (photo, str(photo), photo.read_bytes(), Image.open(photo)):
        found = classify(image, top_k=2)
        assert [each["label"] for each in found] == [each["label"] for each in expected]
        assert [each["score"] for each in found] == pytest.approx([each["score"] for each in expected], abs=1e-6)
    assert len(classify(photo)) == len(classify.labels) == 3


def test_what_cannot_be_an_answer_is_refused_in_a_line(folder, photo, tmp_path):
    classify = ImageClassifier(str(folder), "cpu")
    (tmp_path / "cut.png").write_bytes(photo.read_bytes()[:60])
    deep = Image.fromarray(np.arange(40_000, dtype=np.uint16).reshape(200, 200))
    for image, said in (
        (
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n",
            "the image cannot be read: not an image, or its ",
        ),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64), "the image cannot be read: HEIC, which neither"),
        (tmp_path / "cut.png", "cut.png: "),
        (tmp_path / "none.png", "none.png: "),
        (Image.new("1", (13_000, 13_000)), "13000x13000 pixels, more than max_pixels"),
        (deep, "its values, 0 to 39,999, are clipped to 0 to 255"),
    ):
        with pytest.raises(InputError) as refused:
            classify(image)
        assert said in str(refused.value)
        assert "\n" not in str(refused.value)
    with pytest.raises(InputError, match="top_k: found 0, expected 1 or more"):
        classify(photo, top_k=0)
    with pytest.raises(TypeError):
        classify(np.zeros((4, 4, 3)))
    with pytest.raises(InputError, match="no such"):
        ImageClassifier(tmp_path / "gone", "cpu")


def test_scores_that_are_not_numbers_are_no_answer(folder, photo, monkeypatch):
    classify = ImageClassifier(folder, "cpu")
    monkeypatch.setattr(Classifier, "outputs", lambda self, pixels: np.array([[0, np.nan, 1]]))
    with pytest.raises(InputError, match="the model's scores are not numbers"):
        classify(photo)


def test_of_several_labels_a_score_that_is_no_number_is_no_answer(folder, photo, monkeypatch):
    settings = json.loads((folder / "config.json").read_text()) | {"problem_type": "multi_label_classification"}
    (folder / "config.json").write_text(json.dumps(settings))
    classify, handle = ImageClassifier(folder, "cpu"), handler.EndpointHandler(str(folder), "cpu")
    monkeypatch.setattr(Classifier, "outputs", lambda self, pixels: np.array([[9, np.nan, -9]]))
    with pytest.raises(InputError, match="the model's scores are not numbers"):
        classify(photo, top_k=1)
    best = [{"label": label, "score": score} for label, score in (("blue", 0.9), ("red", 0.1), ("green", math.nan))]

    class Served:
        model = handle.classifier.model

        def __call__(self, image, **words):
            return best

    handle.classifier = Served()
    with pytest.raises(ValueError, match="the model's scores are not numbers"):
        handle({"inputs": photo.read_bytes()})
    assert with_thresholds(Served(), 3)(None) == best  # which the page refuses


def test_limits_hold_for_bytes_too_and_what_pillow_fails_on_is_a_line(folder, photo, monkeypatch):
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 100)  # of 2,400 pixels
    with pytest.raises(InputError, match="more than max_pixels allows"):
        ImageClassifier(folder, "cpu", limits=Limits(150))(photo.read_bytes())
    classify = ImageClassifier(folder, "cpu", limits=Limits(2400))
    assert classify(photo.read_bytes()) == classify(photo)
    for error in (TypeError, AttributeError, AssertionError):

        def fail(stream, *words, error=error):
            raise error("of a parser")

        monkeypatch.setattr(PngImagePlugin.PngImageFile, "_open", fail)
        with pytest.raises(InputError, match="the image cannot be read: "):
            classify(photo.read_bytes())
