"""Flipped labels are the most suspect ones, by heads that have not seen them nor copies of them."""

import numpy as np
import pytest
import torch

from hf_imgcls.errors import InputError
from hf_imgcls.training.regression import Examples
from hf_imgcls.training.suspects import losses_of, predict_out_of_sample


def examples(flip: int):
    random = np.random.default_rng(0)
    right = random.integers(0, 3, 150)
    features = 1.6 * np.eye(3)[right] @ random.normal(size=(3, 8)) + 0.5 * random.normal(size=(150, 8))
    flipped = random.choice(150, flip, replace=False)
    labels = right.copy()
    labels[flipped] = (right[flipped] + random.integers(1, 3, flip)) % 3
    return features, labels, set(flipped.tolist())


def test_flipped_labels_have_the_highest_loss_out_of_sample():
    features, labels, flipped = examples(10)
    found = predict_out_of_sample(Examples(torch.from_numpy(features), torch.from_numpy(labels)), 3, seed=1)
    losses = losses_of(found.log_probabilities, labels)
    assert len(flipped & set(np.argsort(-losses)[:14].tolist())) >= 9
    assert np.allclose(np.exp(found.log_probabilities).sum(1), 1)


def test_a_flipped_image_is_not_vouched_for_by_its_copy_of_the_same_group():
    features, labels, flipped = examples(8)
    twice = Examples(torch.from_numpy(np.concatenate([features] * 2)), torch.from_numpy(np.concatenate([labels] * 2)))
    groups = np.tile(np.arange(150), 2)
    alone = predict_out_of_sample(twice, 3, seed=1)
    together = predict_out_of_sample(twice._replace(groups=groups), 3, seed=1)
    rows = np.array(sorted(flipped))
    losses = [losses_of(each.log_probabilities[:150], labels)[rows].mean() for each in (alone, together)]
    assert losses[1] > losses[0]


def test_the_only_image_of_a_class_has_no_prediction():
    features, labels, _ = examples(0)
    labels[7] = 3
    found = predict_out_of_sample(Examples(torch.from_numpy(features), torch.from_numpy(labels)), 4, seed=1)
    assert np.isnan(found.log_probabilities[7]).all()
    assert not np.isnan(np.delete(found.log_probabilities, 7, axis=0)).any()
    with pytest.raises(InputError, match="--labels: each class has one image alone"):
        predict_out_of_sample(Examples(torch.from_numpy(features[:2]), torch.arange(2)), 2, seed=1)
