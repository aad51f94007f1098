"""Distillation: what the teacher sees, the loss that follows it, and that it is neither trained nor saved."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from test_stages import Killed, changed, kill, recipe, weights  # noqa: F401
from tiny import PROCESSORS, SIZE, tiny_model, tiny_processor
from transformers import ViTImageProcessor

from hf_imgcls import InputError, train_classifier
from hf_imgcls.api.check import check_recipe
from hf_imgcls.images import TrainTransform, process_image
from hf_imgcls.models import assemble_ensemble
from hf_imgcls.recipe import DistillationSection
from hf_imgcls.training.distillation import DistillingTrainer, Teacher

pytestmark = pytest.mark.usefixtures("undrawn")
LABELS = ("blue", "green", "red")


def save_teacher(folder, processor=None, labels=LABELS, family="convnext") -> str:
    tiny_model(family, labels).save_pretrained(folder)
    other = ViTImageProcessor(size={"height": SIZE, "width": SIZE}, image_mean=[0.1, 0.2, 0.3])
    (processor or other).save_pretrained(folder)
    return str(folder)


def teacher_for(folder, processor, **keys) -> Teacher:
    images = TrainTransform([], processor, range(3), seed=0)
    return Teacher(DistillationSection(teacher=str(folder), **keys), LABELS, images)


@pytest.mark.parametrize("student", ["ViT", "LeViT", "EfficientNet", "no rescaling"])
def test_it_sees_the_same_pixels_in_its_own_size_normalization_and_order_of_classes(student, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    mine, own = PROCESSORS[student](), PROCESSORS["MobileViT, blue first"]()
    own.size = {"shortest_edge": 24}
    teacher = teacher_for(save_teacher(tmp_path, own, ("red", "blue", "green")), mine)
    images = TrainTransform([], mine, range(3), seed=0)
    seen = (torch.tensor(pixels).permute(2, 0, 1)[images.channels] * images.scale + images.shift)[None]
    with torch.no_grad():
        known = process_image(own, Image.fromarray(pixels))[None]
        expected = teacher.network(pixel_values=known).logits[:, [1, 2, 0]]
    assert (teacher.logits(seen) - expected).abs().max() < 1e-5
    assert expected.std() > 1e-3
    # Of another size: the student's image is resized.
    half = torch.nn.functional.interpolate(seen, (12, 12), mode="bilinear", antialias=True)
    back = torch.nn.functional.interpolate(half, (24, 24), mode="bilinear", antialias=True)
    assert torch.allclose(teacher.logits(half), teacher.logits(back), atol=1e-5)


def test_the_loss_is_that_of_the_paper_and_no_gradient_reaches_the_teacher(tmp_path):
    teacher = teacher_for(save_teacher(tmp_path), tiny_processor(), temperature=4.0, weight=0.3)
    pixels, logits = torch.randn(5, 3, SIZE, SIZE), torch.randn(5, 3, requires_grad=True)
    teacher.network.train()  # whatever others do to it
    soft = (teacher.logits(pixels).double() / 4).softmax(1).numpy()
    own = (logits.detach().double() / 4).softmax(1).numpy()
    loss = teacher.loss(pixels, logits)
    assert loss.item() == pytest.approx(16 * (soft * np.log(soft / own)).sum(), rel=1e-5)
    loss.backward()
    # T (q - p), whose size is that of the gradient of the cross-entropy, whatever the temperature.
    assert np.allclose(logits.grad, 4 * (own - soft), atol=1e-6)
    assert not teacher.network.training
    assert not any(parameter.requires_grad for parameter in teacher.network.parameters())
    of_labels, with_one = torch.tensor(10.0), SimpleNamespace(teacher=teacher)
    total = DistillingTrainer.distilled(with_one, of_labels, pixels, logits)
    assert total.item() == pytest.approx(0.7 * 10 + 0.3 * loss.item(), rel=1e-6)
    assert DistillingTrainer.distilled(SimpleNamespace(teacher=None), of_labels, pixels, logits) is of_labels


def test_a_student_follows_it_on_mixed_images_and_resumes_with_the_same_teacher(
    recipe,  # noqa: F811
    tmp_path,
    monkeypatch,
    capsys,
):
    teacher = tmp_path / "teacher"
    recipe["distillation"] = {"teacher": save_teacher(teacher), "weight": 0.9}
    recipe["augmentation"] = {**recipe["augmentation"], "mix": ["MixUp"]}
    recipe["stages"][0].update({"distillation": {}, "training": {"max_steps": 2}})
    steps = ["training.load_best_model_at_end=false", "training.save_strategy=steps", "training.save_steps=2",
             "training.eval_strategy=steps", "training.eval_steps=2"]  # fmt: skip
    seen, before, see = [], weights(teacher), Teacher.logits
    with monkeypatch.context() as patched:
        patched.setattr(Teacher, "logits", lambda self, pixels: seen.append(pixels.clone()) or see(self, pixels))
        whole = train_classifier(recipe, [*steps, f"training.output_dir={tmp_path / 'whole'}"])
    out = capsys.readouterr().out
    assert out.count(f"distillation: {teacher} sees the images of the training; of 6 validation images it rec") == 1
    assert [len(pixels) for pixels in seen] == [6, *[4] * 6], "six of validation, then six steps of the second stage"
    assert len(torch.cat(seen[1:]).unique(dim=0)) == 24, "as they are augmented and mixed, anew in each epoch"
    assert changed(before, weights(teacher)) == set()
    assert [stage["distillation"] for stage in whole["stages"]] == [{}, recipe["distillation"]]
    with monkeypatch.context() as patched:
        kill(patched, 2, 5)
        with pytest.raises(Killed):
            train_classifier(recipe, steps)
    content = (teacher / "model.safetensors").read_bytes()
    save_teacher(teacher, family="swin")
    with pytest.raises(InputError, match="begun with teachers"):
        train_classifier(recipe, steps)
    save_teacher(teacher)
    assert (teacher / "model.safetensors").read_bytes() == content
    train_classifier(recipe, steps)
    assert changed(weights(tmp_path / "whole"), weights(tmp_path / "run")) == set()


def test_an_ensemble_of_this_package_teaches(tmp_path):
    """By the class that is installed, not by the code that lies beside its weights."""
    folders = [tmp_path / name for name in ("one", "two")]
    for folder, family in zip(folders, ("vit", "convnext"), strict=True):
        save_teacher(folder, tiny_processor(), family=family)
    ensemble, processor = assemble_ensemble(folders, LABELS, 0)
    ensemble.save_pretrained(tmp_path / "both")
    processor.save_pretrained(tmp_path / "both")
    pixels = torch.randn(2, 3, SIZE, SIZE)
    mean, *each = (
        teacher_for(folder, tiny_processor()).logits(pixels).softmax(1) for folder in (tmp_path / "both", *folders)
    )
    assert torch.allclose(mean, (each[0] + each[1]) / 2, atol=1e-6)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (("blue", "green", "yellow"), "its classes are not those of the data: it has no red and it also has yellow"),
        (("blue", "green", "red", "grey"), "its classes are not those of the data: it also has grey"),
        (LABELS, "it was trained on several labels an image"),
    ],
)
def test_other_classes_are_refused(labels, message, tmp_path):
    folder = save_teacher(tmp_path, labels=labels)
    if labels == LABELS:
        config = json.loads((tmp_path / "config.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps({**config, "problem_type": "multi_label_classification"}))
    with pytest.raises(InputError, match=f"^distillation.teacher: '{folder}': {message}"):
        teacher_for(folder, tiny_processor())


MISTAKES = [
    ({"distillation.teacher": "nowhere/at/all"}, r"distillation\.teacher: no such folder 'nowhere/at/all'"),
    ({"distillation.teacher": "FOLDER/empty"}, r"distillation\.teacher: .*/empty has no config\.json"),
    ({"distillation.teacher": "FOLDER/detector"}, r"distillation\.teacher: .* is no image classifier"),
    ({"distillation.temperature": 3.0}, r"stages\.0\.distillation\.temperature: has no effect without a teacher"),
    (
        {"distillation.teacher": "FOLDER/checkpoint", "stages.0.cache_features": True, "stages.0.augmentation": {}},
        r"stages\.0\.cache_features: a teacher sees images, no features",
    ),
    ({"distillation": {"teacher": "FOLDER/checkpoint", "weight": 0}}, r"distillation\.weight: found 0 .*than 0"),
]


def test_mistakes_are_found_before_the_data(recipe, tmp_path):  # noqa: F811
    for name in ("empty", "detector"):
        (tmp_path / name).mkdir()
    (tmp_path / "detector/config.json").write_text('{"model_type": "yolos"}')
    for keys, message in MISTAKES:
        overrides = [f"{key}={json.dumps(value).replace('FOLDER', str(tmp_path))}" for key, value in keys.items()]
        with pytest.raises(InputError, match=message) as caught:
            check_recipe(recipe, overrides)
        assert len(str(caught.value)) < 400
