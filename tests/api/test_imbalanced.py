"""A whole run against imbalance, on a few made images."""

import pytest
from tiny import tiny_model, tiny_processor

from hf_imgcls import train_classifier
from hf_imgcls.training import refit

pytestmark = pytest.mark.usefixtures("undrawn")


def test_a_run_draws_in_balance_solves_with_the_adjustment_and_says_so(make_folder, tmp_path, monkeypatch):
    refitted, losses_of = [], refit.losses_of
    monkeypatch.setattr(
        refit, "losses_of", lambda terms, *others: (refitted.append(terms), losses_of(terms, *others))[1]
    )
    tiny_model("vit").save_pretrained(tmp_path / "checkpoint")
    tiny_processor().save_pretrained(tmp_path / "checkpoint")
    solved = {"train": "head", "cache_features": True, "logistic_regression": True, "refit": True}
    drawn = {"train": "head", "cache_features": True, "sampling": {"balance": 0.5}}
    results = train_classifier(
        {
            "data": {"path": str(make_folder(train=16, validation=3, test=3)), "long_tail": 16},
            "model": {"checkpoint": str(tmp_path / "checkpoint")},
            "loss": {"logit_adjustment": 1},
            "stages": [drawn, solved],
            "training": {
                "output_dir": str(tmp_path / "run"), "num_train_epochs": 2, "per_device_train_batch_size": 8,
                "metric_for_best_model": "macro_f1",
            },
        }
    )  # fmt: skip
    assert [stage["sampling"] for stage in results["stages"]] == [{"balance": 0.5}, {}]
    assert results["stages"][0]["steps"] == 6, "an epoch of 21 images is as long as without"
    assert results["images"] == {"train": 21, "validation": 9, "test": 9}
    assert results["parity"]["passed"]
    shares = sorted(refitted[0].shares.tolist())
    assert shares == pytest.approx([4 / 30, 7 / 30, 19 / 30]), (
        "of train and validation, on which the head is solved again"
    )
    card = (tmp_path / "run" / "README.md").read_text()
    assert "16.0 times as many; trained with logit adjustment and rare classes drawn more often." in card
    assert "its scores are not for classes as frequent as in these images" in card
    assert "thinned to a long tail of 16 to 1" in card
