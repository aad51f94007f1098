"""What a fit chooses: the network, what of it is trained, what fits into the time."""

import datasets
import pytest
import torch

from hf_imgcls.api.fit_stages import FitOptions, choose_recipe, holdout_fraction, scoring_seconds
from hf_imgcls.data import Data
from hf_imgcls.reports.candidates import candidate_table
from hf_imgcls.training.candidates import Candidate
from hf_imgcls.training.choice import choose_candidate, choose_partner


def candidate(name="net", losses=(0.5, 0.5, 0.5, 0.5), accuracy=0.5, parameters=10, **others) -> Candidate:
    """With these losses of images of class 0, of which this fraction is predicted right, by label ids that agree."""
    likely = torch.tensor(losses).neg()
    wrong = torch.arange(len(losses)) >= round(accuracy * len(losses))
    other = torch.where(wrong, likely + 1, likely - 1)
    labels = torch.zeros(len(losses), dtype=torch.int64)
    given = {"balanced": False, "batch_norm": False, "stock": True, "timm": False, "images_per_second": (300.0, 100.0)}
    columns = torch.stack([likely, other], dim=1)
    return Candidate(name, columns, labels, 0.1, parameters=parameters, seconds=1.0, **{**given, **others})


def test_a_smaller_network_is_chosen_where_the_difference_is_within_chance():
    best = candidate("large", (0.1, 0.3, 0.2, 0.2), parameters=100)
    close = candidate("small", (0.3, 0.1, 0.2, 0.25), parameters=10)
    worse = candidate("tiny", (0.9, 0.8, 0.95, 0.9), parameters=1)
    assert choose_candidate([worse, best, close]) is close
    assert choose_candidate([worse, best]) is best
    lines = candidate_table([worse, best, close], close)
    assert [line[0] for line in lines[1:4]] == [" ", "*", " "]
    assert "small is smaller than large" in lines[-1]


def data_of(*counts: int, **held_out: int) -> Data:
    """Data with so many images of each class in train, and so many in other splits."""
    rows = datasets.Dataset.from_dict({"label": [label for label, count in enumerate(counts) for _ in range(count)]})
    others = {split: datasets.Dataset.from_dict({"label": [0] * count}) for split, count in held_out.items()}
    return Data({"train": rows, **others}, [str(label) for label in range(len(counts))])


def contents_of(*found: Candidate) -> dict:
    return {each.checkpoint: {"model": {"checkpoint": each.checkpoint}, "training": {}} for each in found}


@pytest.mark.parametrize(
    ("chosen", "images", "options", "words"),
    [
        (candidate(losses=[0.5] * 100), 400, FitOptions(preset="fast"), "--preset fast"),
        (candidate(losses=[0.5] * 100, accuracy=0.95), 400, FitOptions(), "wrong on 5 images of validation"),
        (candidate(losses=[0.5] * 100), 38, FitOptions(), "38 images of 2 classes are too few"),
        (candidate(losses=[0.5] * 100), 400, FitOptions(minutes=0.75), "--minutes 0.75 is too little"),
        (candidate(losses=[0.5] * 100), 400, FitOptions(minutes=1), None),
        (candidate(losses=[0.5] * 100, batch_norm=True), 400, FitOptions(), None),
    ],
)
def test_all_weights_train_where_it_can_pay_and_there_is_time(chosen, images, options, words, capsys):
    """400 images, three epochs at 100 a second: 12 s, after 40 s of comparing."""
    data = data_of(images // 2, images // 2)
    content = choose_recipe([chosen], contents_of(chosen), data, options, 40.0)
    assert len(content["stages"]) == (1 if words else 2)
    assert content["stages"][0]["refit"]
    assert (words or "trains all weights, 3 epochs and scoring in 12 s") in capsys.readouterr().out
    if not words:
        frozen = {"last_blocks": "all", "freeze_batch_norm": True}
        assert content["stages"][1]["train"] == (frozen if chosen.batch_norm else "all")


def test_where_time_is_short_two_epochs_are_trained_instead_of_three(capsys):
    chosen, data = candidate(losses=[0.5] * 100), data_of(200, 200)
    content = choose_recipe([chosen], contents_of(chosen), data, FitOptions(minutes=0.85), 40.0)
    assert content["stages"][1]["training"]["num_train_epochs"] == 2
    assert "2 epochs and scoring in 8 s or so; 3 would take 12 s" in capsys.readouterr().out


@pytest.mark.parametrize(("minutes", "epochs"), [(10, 3), (9, 2), (7, 2), (6.5, None), (None, 3)])
def test_evaluation_scoring_and_parity_check_are_in_the_time(minutes, epochs, capsys):
    """Three epochs of 128 + 5 s, 31 s of scoring, after two minutes: 550 s; two epochs 417 s."""
    chosen = candidate(losses=[0.5] * 341, images_per_second=(68.0, 24.0))
    data = data_of(1534, 1534, validation=341, test=372)
    assert scoring_seconds(chosen, data) == pytest.approx(31.5, abs=0.1)
    content = choose_recipe([chosen], contents_of(chosen), data, FitOptions(minutes=minutes), 120.0)
    assert [stage["training"]["num_train_epochs"] for stage in content["stages"][1:]] == ([epochs] if epochs else [])


def test_two_networks_are_averaged_only_where_there_is_time_to_score_them(capsys):
    """Each alone and both together: 4 x 3 x 100 / 300 = 4 s; features of the second anew, 200 / 300 = 0.7 s."""
    found = [candidate("one", (0.1, 0.1, 0.4, 0.4)), candidate("two", (0.4, 0.4, 0.1, 0.12))]
    data = data_of(50, 50, validation=100)
    for seconds, average in ((4.8, True), (4.5, False)):
        options = FitOptions(preset="best", minutes=seconds / 60)
        assert ("ensemble" in choose_recipe(found, contents_of(*found), data, options, 0.0)) == average
    assert "--minutes 0.075 is too little for that (another 4.67 s or so)" in capsys.readouterr().out


def test_uneven_classes_are_selected_by_macro_f1_and_weighted_where_that_was_better():
    for counts, balanced, metric, loss in (
        ((40, 10), False, None, None),
        ((50, 10), False, "macro_f1", None),
        ((50, 10), True, "macro_f1", {"class_weights": "balanced"}),
    ):
        chosen = candidate(balanced=balanced)
        content = choose_recipe([chosen], contents_of(chosen), data_of(*counts), FitOptions(preset="fast"), 0.0)
        assert (content["training"].get("metric_for_best_model"), content.get("loss")) == (metric, loss)


def test_two_networks_are_averaged_where_their_mean_is_better():
    best = candidate("one", (0.1, 0.1, 0.4, 0.4), parameters=1)
    differs = candidate("two", (0.4, 0.4, 0.1, 0.12), timm=True)
    agrees = candidate("three", (0.2, 0.2, 0.5, 0.5))
    own = candidate("four", (0.4, 0.4, 0.1, 0.11), stock=False)
    for found, partner in (([best, differs, agrees, own], differs), ([best, agrees], None), ([best, own], None)):
        assert choose_partner(found, best) is partner
    data, options = data_of(20, 20), FitOptions(preset="best")
    content = choose_recipe([best, differs], contents_of(best, differs), data, options, 0.0)
    # timm's image processor is that of both, so its network comes first.
    assert [content["model"]["checkpoint"], content["ensemble"]["networks"][0]["model"]["checkpoint"]] == ["two", "one"]
    assert not any("refit" in stage for stage in [*content["stages"], *content["ensemble"]["networks"][0]["stages"]])
    content = choose_recipe([best, agrees], contents_of(best, agrees), data, options, 0.0)
    assert "ensemble" not in content


def test_a_network_that_may_be_as_good_is_trained_too_and_the_better_one_saved():
    """200 images, three epochs at 100 and 300 a second: 6 s and 2 s."""
    slow = candidate("slow", [0.3, 0.5] * 50)
    fast = candidate("fast", [0.55, 0.3] * 50, parameters=20, images_per_second=(300.0, 300.0))
    worse = candidate("worse", [0.9, 1.1] * 50)
    found, data = [slow, fast, worse], data_of(100, 100)
    for minutes, stages in ((None, {"fast": 2, "slow": 2}), (0.09, {"fast": 2}), (0.02, {"slow": 1})):
        content = choose_recipe(found, contents_of(*found), data, FitOptions(minutes=minutes), 0.0)
        networks = [content, *content.get("ensemble", {"networks": []})["networks"]]
        assert {each["model"]["checkpoint"]: len(each["stages"]) for each in networks} == stages
        assert not content.get("ensemble", {}).get("average")


@pytest.mark.parametrize(("images", "fraction"), [(100, 0.2), (2500, 0.2), (4000, 0.125), (5000, 0.1), (10**6, 0.1)])
def test_the_fraction_that_is_held_out(images, fraction):
    assert holdout_fraction(images) == fraction
