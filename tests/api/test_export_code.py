"""The code in the README of an ONNX export: what it does to an image, and what it says."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from conftest import make_image
from exporting import run_readme
from tiny import PROCESSORS, tiny_processor

from hf_imgcls.images.processors import process_image
from hf_imgcls.images.read import read_image
from hf_imgcls.serving.onnx.pixels import describe_pixels, prepare, usage


def test_the_code_of_its_readme_runs_without_transformers(exported_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    found, photo = run_readme(exported_run, ["model.onnx", "preprocessing.json"], tmp_path, capsys)
    wanted = process_image(tiny_processor(), read_image({"bytes": None, "path": str(photo)})).numpy()
    assert np.abs(found["pixels"][0] - wanted).mean() < 0.02


@pytest.mark.parametrize("name", PROCESSORS)
def test_the_described_preprocessing_is_what_the_processor_does(name, tmp_path, monkeypatch):
    processor = PROCESSORS[name]()
    about, photo = describe_pixels(processor), make_image("red", 3, (101, 66))
    wanted = process_image(processor, photo).numpy()
    assert about["channel_order"] == ("BGR" if "blue first" in name or "border" in name else "RGB")
    assert (about["resize"] is None) == (name == "PP-LCNet, blue first")  # rounds the longer side to nearest
    if about["resize"]:
        assert np.abs(prepare(photo, about) - wanted).mean() < 0.02
    fed = {}

    class Session:
        def __init__(self, file):
            pass

        def run(self, names, values):
            fed.update(values)
            return [np.eye(3)[None, 1]]

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    monkeypatch.chdir(tmp_path)
    processor.save_pretrained(tmp_path)
    Path("preprocessing.json").write_text(json.dumps({**about, "labels": ["a", "b", "c"]}))
    photo.save("photo.jpg", "PNG")
    exec(usage(about), {})
    assert fed["pixel_values"].shape == (1, *wanted.shape)
    assert fed["pixel_values"].dtype == np.float32
    assert np.abs(fed["pixel_values"][0] - wanted).mean() < 0.02


@pytest.mark.parametrize("name", ["ViT", "PP-LCNet, blue first"])  # the latter's preprocessing is its processor's
@pytest.mark.parametrize(("by", "confidence"), [("score", 0.665), ("energy", 2.408)])
def test_the_exports_code_says_none_of_these_below_the_threshold(name, by, confidence, tmp_path, monkeypatch, capsys):
    class Session:
        def __init__(self, file):
            pass

        def run(self, names, values):
            return [np.array([[1.0, 2.0, 0.0]], np.float32)]

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    monkeypatch.chdir(tmp_path)
    PROCESSORS[name]().save_pretrained(tmp_path)
    make_image("red", 3).save("photo.jpg")
    for threshold in (confidence - 0.01, confidence + 0.01):
        rejection = {"none_of_these": {"by": by, "threshold": threshold}}
        about = {**describe_pixels(PROCESSORS[name]()), "labels": ["a", "b", "c"], **rejection}
        Path("preprocessing.json").write_text(json.dumps(about))
        exec(usage(about), {})
    assert capsys.readouterr().out.split("\n")[:2] == ["b", "none of these"]
