"""RandomErasing with noise: the boxes are torchvision's, the noise is that of the model's floats."""

import pytest
import torch
from conftest import make_image
from test_trainer import largest_difference, make_trainer
from tiny import PROCESSORS, SIZE, tiny_processor
from torchvision.transforms import v2

from hf_imgcls.images.mixing import draw_box, fill_with_noise, is_noise, take_noise
from hf_imgcls.images.transforms import TrainTransform
from hf_imgcls.reports import figures
from hf_imgcls.reports.figures import draw_augmented
from hf_imgcls.reports.samples import choose_sample

NOISE = {"RandomErasing": {"p": 0.6, "value": "random"}}


def test_boxes_are_those_that_torchvision_erases():
    """The same draws, of a RandomErasing that makes black images white."""
    boxes, white = take_noise([v2.RandomErasing(p=0.6, value="random")]), v2.RandomErasing(p=0.6, value=1)
    black, empty = torch.zeros(3, 40, 30), 0
    for seed in range(60):
        torch.manual_seed(seed)
        erased = white(black)
        torch.manual_seed(seed)
        top, left, height, width = draw_box(boxes, black).tolist()
        expected = black.clone()
        expected[:, top : top + height, left : left + width] = 1
        assert torch.equal(erased, expected)
        empty += height == 0
    assert 12 < empty < 36  # of 24 expected


def test_a_box_that_does_not_fit_is_none():
    """Ten times the height of the width, in an image of one row."""
    boxes = take_noise([v2.RandomErasing(p=1, ratio=(10, 10), value="random")])
    assert draw_box(boxes, torch.zeros(3, 1, 50, dtype=torch.uint8)).tolist() == [0, 0, 0, 0]


def test_it_is_taken_off_the_end_with_its_settings():
    chain = [v2.RandomHorizontalFlip(), v2.RandomErasing(0.3, (0.1, 0.2), (0.5, 2), value="random")]
    boxes = take_noise(chain)
    assert (boxes.p, boxes.scale, boxes.ratio) == (0.3, (0.1, 0.2), (0.5, 2))
    assert len(chain) == 1
    assert take_noise(chain) is None
    assert take_noise([]) is None


def test_noise_is_where_it_was_drawn_and_nowhere_else():
    pixels = torch.full((3, 3, 60, 50), 7.0)
    boxes = torch.tensor([[10, 20, 30, 25], [0, 0, 0, 0], [0, 0, 60, 50]])
    made = fill_with_noise(pixels, boxes)
    noise = made[0, :, 10:40, 20:45]
    assert (noise != 7).all()
    made[0, :, 10:40, 20:45] = 7
    assert torch.equal(made[:2], pixels[:2])
    assert abs(made[2].mean()) < 0.05
    assert made[2].std() == pytest.approx(1, abs=0.05)
    assert not torch.equal(made[2, 0], made[2, 1])  # each channel has noise of its own


def test_the_kind_that_bytes_can_hold_is_none_of_it():
    assert [is_noise(v2.RandomErasing(value=value)) for value in ("random", 0, [1, 2, 3])] == [True, False, False]


def rows(*numbers: int) -> dict[str, list]:
    return {
        "image": [make_image("red", n, (40, 30)) for n in numbers],
        "label": [0] * len(numbers),
        "row": list(numbers),
    }


def test_boxes_depend_on_seed_epoch_and_row_alone():
    training = TrainTransform(["RandomResizedCrop", NOISE], PROCESSORS["ViT"](), range(3), seed=1)
    whole = training(rows(*range(12)))
    torch.manual_seed(99)
    again = training(rows(7, 3))
    assert [box.tolist() for box in again["erased"]] == [whole["erased"][n].tolist() for n in (7, 3)]
    assert 2 < sum(box.any().item() for box in whole["erased"]) < 12
    plain = TrainTransform(["RandomResizedCrop"], PROCESSORS["ViT"](), range(3), seed=1)(rows(*range(12)))
    assert "erased" not in plain
    assert all(map(torch.equal, whole["pixel_values"], plain["pixel_values"]))
    training.epoch.fill_(1)
    assert [box.tolist() for box in training(rows(*range(12)))["erased"]] != [b.tolist() for b in whole["erased"]]


def test_training_sees_noise_and_evaluation_none(make_folder, tmp_path):
    images = TrainTransform(["Resize", NOISE], tiny_processor(), range(3), seed=3)
    trainer = make_trainer(make_folder(train=6, validation=3), tmp_path / "run", images=images)
    batch = next(iter(trainer.get_train_dataloader()))
    boxes = batch["erased"]
    seen = trainer._prepare_inputs(dict(batch))["pixel_values"]
    clean = batch["pixel_values"].float() * images.scale + images.shift
    for made, before, (top, left, height, width) in zip(seen, clean, boxes.tolist(), strict=True):
        inside = torch.zeros(SIZE, SIZE, dtype=torch.bool)
        inside[top : top + height, left : left + width] = True
        assert torch.equal(made[:, ~inside], before[:, ~inside])
        assert not torch.isclose(made[:, inside], before[:, inside]).all() or not inside.any()
    assert boxes.any()
    assert "erased" not in next(iter(trainer.get_eval_dataloader()))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_resumed_run_draws_the_same_noise(make_folder, tmp_path, workers):
    """Interrupted in the middle of the first epoch of two."""
    folder = make_folder(train=6, validation=3)
    settings = {"save_strategy": "steps", "save_steps": 2, "dataloader_num_workers": workers}

    def made(output):
        images = TrainTransform(["RandomResizedCrop", NOISE], tiny_processor(), range(3), seed=3)
        return make_trainer(folder, tmp_path / output, images=images, **settings)

    whole, resumed = made("whole"), made("resumed")
    whole.train()
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-2"))
    assert largest_difference(whole.model, resumed.model) == 0


def test_the_drawn_images_show_the_noise(tmp_path, monkeypatch):
    from test_figures import NAMES, shown, split

    caught = {}
    monkeypatch.setattr(figures, "save", lambda figure, folder, name: caught.update({name: figure}))
    before = torch.get_rng_state()
    noise = {"RandomErasing": {"p": 1, "value": "random", "scale": [0.2, 0.3]}}
    images = TrainTransform(["Resize", noise], PROCESSORS["MobileViT, blue first"](), range(3), seed=7)
    draw_augmented(tmp_path, choose_sample(split(0, 2), NAMES, seed=1), images)
    assert torch.equal(before, torch.get_rng_state())
    first = shown(caught["augmented.png"])[1]
    outside = (first == first[0, 0]).all(axis=2) | (first == first[0, -1]).all(axis=2)
    assert 0.1 < 1 - outside.mean() < 0.5
