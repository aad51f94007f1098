"""Which images of a run are drawn, and the files they go to."""

import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import COLOURS
from datasets import Dataset
from made_run import from_logits
from PIL import Image
from tiny import PROCESSORS

from hf_imgcls.images.mixing import Mixing
from hf_imgcls.images.transforms import TrainTransform
from hf_imgcls.recipe.sections import AugmentationSection
from hf_imgcls.recipe.shipped import shipped_recipes
from hf_imgcls.reports import figures
from hf_imgcls.reports.figures import (
    draw_augmented,
    draw_confusion,
    draw_gallery,
    draw_mixed,
    draw_results,
    draw_training_images,
)
from hf_imgcls.reports.samples import choose_sample

NAMES = ["파랑", "green", "red"]


def png(label: int, number: int) -> dict:
    """An image of its class's colour, darker to the right; so high that one can tell them apart."""
    pixels = np.full((20 + number % 5, 24, 3), list(COLOURS.values())[label], np.uint8)
    pixels[:, 12:] //= 2
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return {"bytes": out.getvalue(), "path": None}


def split(*labels: int) -> Dataset:
    images = [png(label, number) for number, label in enumerate(labels)]
    return Dataset.from_dict({"image": images, "label": list(labels), "row": list(range(len(labels)))})


def transform(*specs, processor="ViT") -> TrainTransform:
    return TrainTransform(list(specs), PROCESSORS[processor](), range(3), seed=7)


@pytest.fixture
def drawn(monkeypatch) -> dict:
    """Figures by the name of the file that they would be saved to."""
    caught = {}
    monkeypatch.setattr(figures, "save", lambda figure, folder, name: caught.update({name: figure}))
    return caught


def shown(figure) -> list[np.ndarray]:
    return [np.asarray(ax.images[0].get_array()) for ax in figure.axes]


def test_a_sample_has_as_many_of_each_class_as_there_is_room_for():
    sample = choose_sample(split(*[0] * 40, *[1] * 3, *[2] * 40), NAMES, seed=1)
    labels = [row["label"] for row in sample.rows]
    assert len(labels) == 16
    assert labels == sorted(labels)
    assert labels.count(1) == 3  # a rare class with all it has
    assert abs(labels.count(0) - labels.count(2)) <= 1


def test_a_sample_of_many_classes_shows_another_class_in_every_image():
    sample = choose_sample(split(*[0, 1, 2] * 2), NAMES, seed=1)
    assert len(sample.rows) == 6
    many = Dataset.from_dict({"image": [png(0, 0)] * 120, "label": [i // 4 for i in range(120)], "row": range(120)})
    assert len({row["label"] for row in choose_sample(many, NAMES * 10, seed=1).rows}) == 16


def test_a_sample_is_drawn_from_the_seed():
    rows = split(*[0, 1, 2] * 30)
    one, again, other = (choose_sample(rows, NAMES, seed) for seed in (1, 1, 2))
    assert one == again != other


def test_a_sample_of_a_stream_skips_what_cannot_be_read():
    rows = split(*[0, 1, 2] * 4).to_list()
    rows[1]["image"] = {"bytes": b"broken", "path": None}
    sample = choose_sample(Dataset.from_list(rows).to_iterable_dataset(), NAMES, seed=1)
    assert sorted(row["row"] for row in sample.rows) == [0, *range(2, 12)]


def test_the_gallery_shows_images_as_they_are(drawn, tmp_path):
    draw_gallery(tmp_path, choose_sample(split(0, 1, 2, 2), NAMES, seed=1))
    assert [ax.get_title() for ax in drawn["gallery.png"].axes] == ["파랑", "green", "red", "red"]
    assert [image[0, 0].tolist() for image in shown(drawn["gallery.png"])] == [
        [*COLOURS[name]] for name in ("blue", "green", "red", "red")
    ]


@pytest.mark.parametrize("processor", ["ViT", "MobileViT, blue first"])
def test_augmented_images_are_those_of_the_first_epochs(drawn, tmp_path, processor):
    images = transform("RandomHorizontalFlip", {"RandomResizedCrop": {}}, processor=processor)
    images.epoch.fill_(3)
    sample = choose_sample(split(0, 2), NAMES, seed=1)
    draw_augmented(tmp_path, sample, images)
    assert int(images.epoch) == 3
    original, *draws = shown(drawn["augmented.png"])[:6]
    assert original.shape == (20, 24, 3)
    for epoch, draw in enumerate(draws):
        images.epoch.fill_(epoch)
        seen = images({"image": [png(0, 0)], "label": [0], "row": [0]})["pixel_values"][0]
        seen = seen.flip(0) if processor != "ViT" else seen
        assert np.array_equal(draw, seen.permute(1, 2, 0).numpy())
    assert any(not np.array_equal(draws[0], draw) for draw in draws)
    assert draws[0][0, 0].argmax() == 2  # blue is blue


def test_squares_that_cutout_erases_are_seen(drawn, tmp_path):
    """The one of digits_ladder: squares of one value, beside images of which nothing is erased."""
    recipe = json.loads(shipped_recipes()["digits_ladder"].read_text())
    cutout = recipe["augmentation"]["train"][-1]
    value = cutout["RandomErasing"]["value"]
    draw_augmented(tmp_path, choose_sample(split(0, 1, 2), NAMES, seed=1), transform("Resize", cutout))
    erased = [(image == value).all(axis=2) for image in shown(drawn["augmented.png"])]
    sizes = [(square.any(1).sum(), square.any(0).sum(), square.sum()) for square in erased]
    assert (0, 0, 0) in sizes  # an original, or a draw that is left as it is
    squares = [size for size in sizes if size[2]]
    assert squares
    assert set(squares) == {(6, 6, 36)}  # 6 % of 24x24


def test_without_random_transforms_an_image_is_drawn_once(drawn, tmp_path):
    draw_augmented(tmp_path, choose_sample(split(0, 1, 2), NAMES, seed=1), transform())
    assert len(drawn["augmented.png"].axes) == 6
    assert shown(drawn["augmented.png"])[1].shape == (24, 24, 3)


def test_fractions_of_a_mixed_image_are_those_of_its_colours(drawn, tmp_path):
    before = torch.get_rng_state()
    images = transform({"CenterCrop": {"size": 10}}, {"Resize": {"size": [24, 24]}})
    mixing = Mixing([{"MixUp": {"alpha": 0.2}}, "Identity", "CutMix"], 3)
    draw_mixed(tmp_path, choose_sample(split(*[0, 1, 2] * 3), NAMES, 1), images, mixing)
    assert torch.equal(before, torch.get_rng_state())
    axes = drawn["mixed.png"].axes
    assert len(axes) == 18
    rows = [[ax.texts[-1].get_text() for ax in axes[first : first + 6]] for first in (0, 6, 12)]
    assert [axes[first].texts[0].get_text() for first in (0, 6, 12)] == ["MixUp", "CutMix", "MixUp"]
    assert all(any("\n" in text for text in row) for row in rows)  # each shows that it is mixed
    assert len({text.split("%")[0] for row in rows for text in row if "\n" in text}) == 3  # by a fraction of its own
    colours = dict(zip(NAMES, COLOURS.values(), strict=True))
    for ax in [*axes[:6], *axes[12:]]:
        parts = [line.split("% ") for line in ax.texts[-1].get_text().split("\n")]
        expected = sum(int(percent) / 100 * np.array(colours[name]) for percent, name in parts)
        assert np.asarray(ax.images[0].get_array())[12, 2] == pytest.approx(expected, abs=3)


def test_identity_alone_is_not_drawn(drawn, tmp_path):
    draw_mixed(tmp_path, choose_sample(split(0, 1, 2), NAMES, 1), transform(), Mixing(["Identity"], 3))
    assert drawn == {}


def plan(number: int, train: list, mix: list) -> SimpleNamespace:
    augmentation = AugmentationSection(train=train, mix=mix)
    stage = SimpleNamespace(number=number, augmentation=augmentation)
    return SimpleNamespace(stage=stage, images=transform(*train), mixing=Mixing(mix, 3) if mix else None)


def test_stages_with_another_augmentation_are_drawn_again(drawn, tmp_path):
    plans = [
        plan(1, [], []),
        plan(2, ["RandomHorizontalFlip"], ["MixUp"]),
        plan(3, ["RandomHorizontalFlip"], ["CutMix"]),
        plan(4, ["RandomHorizontalFlip"], ["CutMix"]),
        plan(5, [], []),
    ]
    draw_training_images(tmp_path, SimpleNamespace(splits={"train": split(0, 1, 2)}, labels=NAMES), plans)
    names = ["augmented.png", "augmented_stage_2.png", "mixed_stage_2.png", "mixed_stage_3.png", "gallery.png"]
    assert list(drawn) == names


def test_a_resumed_run_has_its_images(drawn, tmp_path):
    data = SimpleNamespace(splits={"train": split(0, 1, 2)}, labels=NAMES)
    for there in ("augmented.png", "gallery.png"):
        (tmp_path / "plots").mkdir(exist_ok=True)
        (tmp_path / "plots" / there).touch()
        drawn.clear()
        draw_training_images(tmp_path, data, [plan(1, [], [])])
        assert bool(drawn) is (there == "augmented.png")  # it alone was left by a run that was stopped while drawing


def test_a_stream_without_a_readable_image_is_left_to_training(drawn, tmp_path):
    broken = {"image": {"bytes": b"broken", "path": None}, "label": 0, "row": 0}
    stream = Dataset.from_list([broken] * 2).to_iterable_dataset()
    draw_training_images(tmp_path, SimpleNamespace(splits={"train": stream}, labels=NAMES), [plan(1, [], [])])
    assert drawn == {}


def test_confusions_are_counted_from_logits(drawn, tmp_path):
    logits = np.array([[3, 1, 0], [0, 1, 2], [5, 4, 0], [np.nan] * 3])
    draw_confusion(tmp_path, from_logits(logits, np.array([0, 1, 2, 1])), NAMES, "test")
    ax = drawn["confusion_matrix.png"].axes[0]
    assert ax.get_title() == "test, 1 image without a prediction: 1 of 3 correct (33.3%)"
    assert ax.images[0].get_array().tolist() == [[1, 0, 0], [0, 0, 1], [1, 0, 0]]


def test_results_are_the_curves_of_all_stages_and_the_confusions_of_the_test_split(drawn, tmp_path):
    stages = [
        {"stage": 1, "best_step": None, "history": [{"stage": 1, "step": 10, "loss": 2.0}]},
        {"stage": 2, "best_step": 4, "history": [{"stage": 2, "step": 4, "eval_loss": 1.0, "eval_accuracy": 0.5}]},
    ]
    outputs = {
        split: from_logits(np.eye(3)[:rows], np.arange(rows)) for split, rows in {"validation": 2, "test": 3}.items()
    }
    draw_results(tmp_path, stages, outputs, NAMES)
    loss = drawn["curves.png"].axes[0]
    assert [line.get_xdata()[0] for line in loss.lines if line.get_label() == "best step"] == [14]
    assert drawn["confusion_matrix.png"].axes[0].get_title() == "test: 3 of 3 correct (100.0%)"
    del outputs["test"]
    draw_results(tmp_path, stages, outputs, NAMES)
    assert drawn["confusion_matrix.png"].axes[0].get_title() == "validation: 2 of 2 correct (100.0%)"


def test_without_a_scored_split_there_are_curves_alone(drawn, tmp_path):
    draw_results(tmp_path, [{"stage": 1, "best_step": None, "history": [{"step": 1, "loss": 1.0}]}], {}, NAMES)
    assert list(drawn) == ["curves.png"]


def test_files_are_images_that_tell_nothing_of_the_machine(tmp_path):
    data = SimpleNamespace(splits={"train": split(*[0, 1, 2] * 4)}, labels=NAMES)
    draw_training_images(tmp_path, data, [plan(1, ["RandomHorizontalFlip"], ["MixUp"])])
    history = [{"stage": 1, "step": 1, "loss": 1.0}, {"stage": 1, "step": 2, "loss": 0.5}]
    stages = [{"stage": 1, "history": history, "best_step": None}]
    draw_results(tmp_path, stages, {"test": from_logits(np.eye(3), np.arange(3))}, NAMES)
    files = {file.name: file for file in (tmp_path / "plots").iterdir()}
    assert sorted(files) == ["augmented.png", "confusion_matrix.png", "curves.png", "gallery.png", "mixed.png"]
    for file in files.values():
        with Image.open(file) as image:
            assert image.format == "PNG"
            assert min(image.size) > 200
            assert len(set(image.convert("RGB").getdata())) > 20
            assert set(image.info) <= {"dpi"}
