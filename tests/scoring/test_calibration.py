"""Calibration: scores against accuracy, and the temperature that brings them together."""

import numpy as np
import pytest
from made_run import from_logits

from hf_imgcls.scoring.calibration import at_temperature, fit_temperature, reliability


@pytest.fixture(scope="module")
def overconfident():
    """2,000 images of 5 classes whose logits are 2.5 times those that the labels were drawn from."""
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 1.5, (2000, 5))
    powers = np.exp(logits)
    labels = (powers.cumsum(1) / powers.sum(1, keepdims=True) < generator.random((2000, 1))).sum(1)
    return from_logits((2.5 * logits).astype(np.float32), labels)


def test_bins_and_error_are_those_of_the_definition():
    scores = np.array([0.95, 0.99, 0.55, 0.6])
    split = from_logits(np.log(np.stack([scores, 1 - scores], 1)), np.array([0, 1, 0, 0]))
    found = reliability(split)
    assert [(b["images"], b["accuracy"], b["score"]) for b in found["bins"]] == [(2, 1.0, 0.575), (2, 0.5, 0.97)]
    assert found["error"] == pytest.approx((2 * abs(1 - 0.575) + 2 * abs(0.5 - 0.97)) / 4)
    assert (found["bins"][0]["low"], found["bins"][1]["high"]) == (0.533333, 1.0)


def test_an_image_without_scores_is_in_no_bin():
    logits = np.array([[np.nan, 0.0], [3.0, 0.0]])
    assert [b["images"] for b in reliability(from_logits(logits, np.array([0, 0])))["bins"]] == [1]
    assert reliability(from_logits(logits[:1], np.array([0]))) == {"error": None, "bins": []}


def test_the_temperature_is_the_one_with_the_lowest_loss(overconfident):
    temperature = fit_temperature(overconfident)
    assert temperature == pytest.approx(2.5, rel=0.08)
    losses = [-at_temperature(overconfident, temperature * by).log_likelihoods.mean() for by in (0.99, 1, 1.01)]
    assert losses[1] == min(losses)
    calm = reliability(at_temperature(overconfident, temperature))["error"]
    assert calm < 0.03 < 0.1 < reliability(overconfident)["error"]


def test_a_split_at_a_temperature_is_that_of_divided_logits(overconfident):
    logits = overconfident.sample[1]
    cooled, divided = at_temperature(overconfident, 1.7), from_logits(logits / 1.7, overconfident.label_ids)
    for name in ("ranked", "log_likelihoods", "top_log_probabilities", "energies", "probabilities"):
        np.testing.assert_allclose(getattr(cooled, name), getattr(divided, name), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(cooled.sample[1], divided.sample[1], rtol=1e-6)


def test_without_all_scores_it_is_fitted_on_the_images_whose_logits_were_kept(overconfident):
    some = np.arange(0, 2000, 2)
    kept = overconfident.__class__(
        **{**vars(overconfident), "probabilities": None, "sample": (some, overconfident.sample[1][some])}
    )
    whole = from_logits(overconfident.sample[1][some], overconfident.label_ids[some])
    assert fit_temperature(kept) == pytest.approx(fit_temperature(whole), rel=1e-5)


def test_without_a_mistake_or_without_scores_there_is_none():
    logits = np.array([[2.0, 0.0], [0.0, 1.0]], np.float32)
    assert fit_temperature(from_logits(logits, np.array([0, 1]))) is None
    logits[0, 0] = np.nan
    assert fit_temperature(from_logits(logits, np.array([0, 0]))) is None
    hopeless = from_logits(np.array([[9.0, 0.0]] * 4, np.float32), np.array([0, 1, 1, 1]))
    assert fit_temperature(hopeless) == pytest.approx(20)  # no better than chance: the end of the range
