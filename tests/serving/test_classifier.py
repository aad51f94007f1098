"""Models of any origin, opened: their predictions are those of `pipeline`."""

import json
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import transformers
from conftest import make_image
from safetensors.torch import load_file, save_file
from tiny import SIZE, timm_model, tiny_model, tiny_processor
from transformers import CLIPImageProcessor, TimmWrapperImageProcessor, pipeline

from hf_imgcls.errors import InputError
from hf_imgcls.images.processors import process_image
from hf_imgcls.models.head import with_custom_head
from hf_imgcls.recipe.sections import HeadSection
from hf_imgcls.serving.inference import Classifier, score_function
from hf_imgcls.serving.open import open_classifier

IMAGES = [make_image(colour, n, (40 + n, 30)) for n, colour in enumerate(["red", "blue", "green"])]


def save(folder, model=None, processor=None) -> str:
    (model or tiny_model("vit")).save_pretrained(folder)
    (processor or tiny_processor()).save_pretrained(folder)
    return str(folder)


def save_timm(folder) -> str:
    """As timm itself saves: its own keys in config.json, no model_type, no image processor, no labels."""
    folder.mkdir()
    model = timm_model("resnet10t").timm_model
    settings = {"input_size": [3, 32, 32], "mean": [0.4] * 3, "std": [0.3] * 3, "interpolation": "bilinear",
                "crop_pct": 0.9, "num_classes": 3, "first_conv": "conv1", "classifier": "fc"}  # fmt: skip
    config = {"architecture": "resnet10t", "num_classes": 3, "num_features": 512, "pretrained_cfg": settings,
              "model_args": {"num_classes": 3}, "label_names": ["blue", "green", "red"]}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    save_file(model.state_dict(), folder / "model.safetensors")
    return str(folder)


def predict(classifier: Classifier) -> np.ndarray:
    return classifier.scores([process_image(classifier.processor, each) for each in IMAGES])


def check_as_pipeline(classifier: Classifier, serve) -> None:
    """All scores of a batch against those of `pipeline`, which predicts one image at a time."""
    for image_, scores in zip(IMAGES, predict(classifier), strict=True):
        served = {each["label"]: each["score"] for each in serve(image_, top_k=len(classifier.labels))}
        assert list(served) == [classifier.labels[i] for i in np.argsort(-scores, kind="stable")]
        assert max(abs(served[label] - score) for label, score in zip(classifier.labels, scores, strict=True)) < 1e-6


@pytest.mark.parametrize("family", ["vit", "swin", "convnext", "convnet", "mini_xception"])
def test_folders_of_transformers_and_of_this_package(family, tmp_path):
    place = save(tmp_path / "model", tiny_model(family))
    serve = pipeline("image-classification", model=place, device="cpu")
    check_as_pipeline(open_classifier(place), serve)


def test_a_processor_that_crops_and_a_folder_of_timm(tmp_path):
    square = {"height": SIZE, "width": SIZE}
    place = save(tmp_path / "vit", None, CLIPImageProcessor(size={"shortest_edge": SIZE + 4}, crop_size=square))
    check_as_pipeline(open_classifier(place), pipeline("image-classification", model=place, device="cpu"))
    place = save_timm(tmp_path / "timm")
    classifier = open_classifier(place)
    assert isinstance(classifier.processor, TimmWrapperImageProcessor)
    assert classifier.labels == ["blue", "green", "red"]
    # pipeline itself fails on timm's model_args, so it is given a folder without.
    config = json.loads((tmp_path / "timm" / "config.json").read_text())
    config["model_args"] = {}
    (tmp_path / "timm" / "config.json").write_text(json.dumps(config))
    check_as_pipeline(classifier, pipeline("image-classification", model=place, device="cpu"))


def test_a_timm_checkpoint_by_its_id_from_the_cache(tmp_path):
    cached = f"{os.environ['HF_HOME']}/hub/models--timm--tiny_resnet.own"
    os.makedirs(f"{cached}/refs")
    os.makedirs(f"{cached}/snapshots")
    save_timm(tmp_path / "timm").removesuffix("/")
    (tmp_path / "timm").rename(f"{cached}/snapshots/0123456789abcdef0123456789abcdef01234567")
    with open(f"{cached}/refs/main", "w") as file:
        file.write("0123456789abcdef0123456789abcdef01234567")
    classifier = open_classifier("timm/tiny_resnet.own")
    assert classifier.name.startswith("timm/tiny_resnet.own@")
    assert predict(classifier).shape == (3, 3)


def save_head(folder) -> str:
    model = with_custom_head(tiny_model("vit").eval(), HeadSection(hidden_size=5), None, (SIZE, SIZE))
    return save(folder, model)


def test_a_custom_head_needs_no_trust_since_its_code_is_installed(tmp_path):
    place = save_head(tmp_path / "model")
    (tmp_path / "model" / "own_head.py").write_text("raise RuntimeError('this must not run')")
    classifier = open_classifier(place)
    save_head(tmp_path / "model")
    serve = pipeline("image-classification", model=place, device="cpu", trust_remote_code=True)
    check_as_pipeline(classifier, serve)


def test_code_of_others_runs_only_if_trusted(tmp_path):
    folder = tmp_path / "model"
    place = save_head(folder)
    config = (folder / "config.json").read_text()
    config = config.replace("own_head.", "somebody.").replace("classifier_with_own_head", "somebodys_network")
    (folder / "config.json").write_text(config)
    code = (folder / "own_head.py").read_text().replace("classifier_with_own_head", "somebodys_network")
    (folder / "own_head.py").unlink()
    (folder / "somebody.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n{code}")
    with pytest.raises(InputError, match=r"brings the code of its network \(somebody.py\), .* --trust-remote-code$"):
        open_classifier(place)
    assert not (tmp_path / "ran").exists()
    classifier = open_classifier(place, trust_remote_code=True)
    assert (tmp_path / "ran").exists()
    serve = pipeline("image-classification", model=place, device="cpu", trust_remote_code=True)
    check_as_pipeline(classifier, serve)


@pytest.mark.parametrize(
    ("settings", "width"),
    [({"problem_type": "multi_label_classification"}, 3), ({"problem_type": "regression"}, 3), ({}, 1), ({}, 3)],
)
def test_scores_are_computed_as_in_pipeline(settings, width, tmp_path):
    model = tiny_model("vit", ["blue", "green", "red"][:width])
    for key, value in settings.items():
        setattr(model.config, key, value)
    place = save(tmp_path / "model", model)
    check_as_pipeline(open_classifier(place), pipeline("image-classification", model=place, device="cpu"))


def test_large_logits_do_not_overflow():
    scores = score_function(tiny_model("vit").config)(np.array([[1e4, 0.0, -1e4]], np.float32))
    assert scores.tolist() == [[1, 0, 0]]


def test_half_precision_weights_are_not_converted_as_in_pipeline(tmp_path):
    place = save(tmp_path / "model", tiny_model("vit").to(torch.bfloat16))
    serve = pipeline("image-classification", model=place, device="cpu")
    assert serve.model.dtype == torch.bfloat16
    exact = open_classifier(save(tmp_path / "exact", tiny_model("vit").to(torch.bfloat16).float()))
    classifier = open_classifier(place)
    assert np.abs(predict(classifier) - predict(exact)).max() > 1e-5
    for each, scores in zip(IMAGES, predict(classifier), strict=True):
        assert abs(serve(each)[0]["score"] - scores.max()) < 2e-3


def test_the_name_distinguishes_weights_labels_and_sizes(tmp_path):
    def name_of(folder, model=None, processor=None):
        return open_classifier(save(tmp_path / folder, model, processor)).name

    name = name_of("a/model")
    assert name.startswith("model@")
    assert name_of("b/model") == name
    other = tiny_model("vit")
    torch.nn.init.constant_(other.classifier.bias, 1e-3)
    names = {
        name,
        name_of("c/model", other),
        name_of("d/model", tiny_model("vit", ["red", "green", "blue"])),
        name_of(
            "e/model", None, transformers.ViTImageProcessor(size={"height": SIZE, "width": SIZE}, image_std=[0.4] * 3)
        ),
    }
    assert len(names) == 4


def test_images_of_several_sizes_are_predicted_one_by_one():
    classifier = Classifier("x", ["a", "b"], None, lambda pixels: pixels.mean((2, 3))[:, :2], lambda outputs: outputs)
    pixels = [torch.full((3, 4, 4), 1.0), torch.full((3, 4, 6), 2.0)]
    assert classifier.scores(pixels).tolist() == [[1, 1], [2, 2]]


def test_a_batch_that_does_not_fit_into_memory_is_one_line():
    def full(pixels):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(InputError, match="--batch-size: 2 images do not fit into the device's memory; take fewer"):
        Classifier("x", ["a"], None, full, None).scores([torch.zeros(3, 2, 2)] * 2)


def test_a_folder_that_is_no_classifier_is_refused(tmp_path):
    def refused(place: str, message: str, **options) -> None:
        with pytest.raises(InputError, match=message) as caught:
            open_classifier(place, **options)
        assert "\n" not in str(caught.value)

    place = save(tmp_path / "model")
    refused(place, "--device nowhere", device="nowhere")
    refused(place, "--device cuda:9", device="cuda:9")
    refused(str(tmp_path / "none"), "no such folder")
    refused("nobody/none", "nobody/none")
    (tmp_path / "empty").mkdir()
    refused(str(tmp_path / "empty"), "empty")
    weights = load_file(tmp_path / "model" / "model.safetensors")
    headless = {key: value for key, value in weights.items() if "classifier" not in key}
    save_file(headless, tmp_path / "model" / "model.safetensors", {"format": "pt"})
    refused(place, r"lacks 2 tensors of ViTForImageClassification \(classifier.bias, ...\)")
    (tmp_path / "model" / "model.safetensors").unlink()
    torch.save(weights, tmp_path / "model" / "pytorch_model.bin")
    refused(place, "pytorch_model.bin alone, which may run code")


def test_half_precision_is_close_and_shows_in_the_name(tmp_path):
    place = save(tmp_path / "model")
    whole, half = open_classifier(place), open_classifier(place, half=True)
    assert half.name == f"{whole.name}-half"
    assert 0 < np.abs(predict(half) - predict(whole)).max() < 5e-3


def test_batches_of_any_size_and_of_several_threads_are_kept_apart():
    classifier = Classifier("x", ["a"], None, lambda pixels: pixels.mean((2, 3)), lambda logits: logits)

    def score(number: int) -> bool:
        height, count = 4 + number % 3, 1 + number % 5
        images = [torch.full((1, height, 6), float(number + place)) for place in range(count)]
        return classifier.scores(images)[:, 0].tolist() == [number + place for place in range(count)]

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(score, range(200)))
