"""The order of an epoch: balanced classes and repeats, over processes, and exact in a run that is resumed."""

import itertools
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from test_trainer import AUGMENTATION, Recorder, largest_difference, make_trainer
from tiny import tiny_processor

from hf_imgcls.errors import InputError
from hf_imgcls.recipe.sections import AugmentationSection, SamplingSection
from hf_imgcls.training.order import EpochOrder, check_repeats

LABELS = np.repeat([0, 1, 2], [8, 3, 1])


def plan(balance=None, repeats=1, batch=4, processes=1, images=None, train=AUGMENTATION) -> SimpleNamespace:
    images = images or SimpleNamespace(epoch=torch.tensor(0), size=(16, 16))
    stage = SimpleNamespace(
        sampling=SamplingSection(balance=balance), augmentation=AugmentationSection(train=train, repeats=repeats)
    )
    arguments = SimpleNamespace(train_batch_size=batch, world_size=processes, seed=3, data_seed=None)
    return SimpleNamespace(arguments=arguments, stage=stage, images=images)


def test_an_epoch_is_drawn_from_seed_and_epoch_alone():
    planned = plan(balance=1.0)
    order = EpochOrder(LABELS, planned)
    first = list(order)
    assert list(order) == first == list(EpochOrder(LABELS, planned))
    assert Counter(LABELS[[row % 12 for row in first]].tolist()) == {0: 4, 1: 4, 2: 4}
    assert sorted(row for row in first if row % 12 == 11) == [11, 23, 35, 47], "the only image of its class, 4 times"
    planned.images.epoch.fill_(1)
    assert list(order) != first
    planned.arguments.seed = 4
    planned.images.epoch.fill_(0)
    assert list(EpochOrder(LABELS, planned)) != first


@pytest.mark.parametrize(("batch", "processes", "repeats"), [(6, 1, 3), (3, 2, 3), (4, 1, 2), (5, 1, 2)])
@pytest.mark.parametrize("balance", [None, 1.0])
def test_a_batch_shows_its_images_several_times_never_side_by_side(batch, processes, repeats, balance):
    labels = np.zeros(24, dtype=int)
    order = list(EpochOrder(labels, plan(balance, repeats, batch, processes)))
    assert len(order) == len(set(order)) == 24, "the same image in the same way"
    rows = [row % 24 for row in order]
    assert set(Counter(rows).values()) == {repeats}
    assert {row // 24 for row in order} == set(range(repeats))
    for begin in range(0, 24, batch * processes):
        of_batch = rows[begin : begin + batch * processes]
        if batch * processes % repeats == 0:
            assert set(Counter(of_batch).values()) == {repeats}
        # torchvision's MixUp takes the image before: with one of its own repeats nothing would be mixed.
        assert all(a != b for a, b in itertools.pairwise(of_batch))


def test_repeats_that_would_be_alike_or_do_not_fit_are_refused():
    check_repeats(plan(repeats=3))
    with pytest.raises(InputError, match=r"augmentation\.repeats: nothing in augmentation\.train is random"):
        check_repeats(plan(repeats=3, train=["Resize"]))
    with pytest.raises(InputError, match=r"augmentation\.repeats: 3 of each image do not go into a batch of 2"):
        check_repeats(plan(repeats=3, batch=2))


@pytest.fixture
def train(make_folder, tmp_path):
    """A training whose epochs are balanced and repeated; the images it sees, by epoch and row."""
    folder = make_folder(train=6, validation=2)
    for name, kept in {"green": 2, "red": 1}.items():
        for file in sorted((folder / "train" / name).iterdir())[kept:]:
            file.unlink()

    def run(checkpoint=None, **training):
        images = Recorder(AUGMENTATION, tiny_processor(), range(3), seed=3)
        labels = np.repeat([0, 1, 2], [6, 2, 1])
        own = {"order": EpochOrder(labels, plan(1.0, 2, images=images))}
        trainer = make_trainer(folder, tmp_path / "run", images=images, own=own, save_strategy="steps", save_steps=1,
                               **training)  # fmt: skip
        trainer.train(resume_from_checkpoint=checkpoint and str(tmp_path / "run" / checkpoint))
        return trainer, images.seen

    return run


def test_repeats_of_an_image_differ_and_a_resumed_run_sees_them_again(train):
    whole, seen = train()
    assert whole.state.global_step == 6
    for epoch in (0, 1):
        looks = [sums for (of, _), sums in seen.items() if of == epoch]
        assert sum(map(len, looks)) == 9
        assert all(len(set(sums)) == len(sums) for sums in looks), "an image augmented alike"
        assert (epoch, 8) in seen, "the only image of its class"
        assert sum(len(sums) for (of, row), sums in seen.items() if of == epoch and row < 6) <= 4  # of 9
    for step, workers in ((2, 0), (4, 2)):
        resumed, again = train(f"checkpoint-{step}", dataloader_num_workers=workers)
        assert largest_difference(whole.model, resumed.model) == 0.0
        assert workers or all(set(sums) <= set(seen[place]) for place, sums in again.items())
