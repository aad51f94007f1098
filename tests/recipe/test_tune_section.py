"""What a search may try: ranges, keys that cannot be searched, and the corners that are built before any trial."""

import pytest

from hf_imgcls import InputError, load_recipe
from hf_imgcls.recipe import as_overrides, as_run, check_space, corners
from hf_imgcls.store.run_folder import recipe_differences

LOG = {"low": 1e-5, "high": 1e-1, "log": True}


def made(**tune):
    return {"data": {"path": "photos"}, "model": {"checkpoint": "a/b"}, "training": {"output_dir": "run"}, "tune": tune}


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"low": 2, "high": 1}, "tune.key: found low 2 and high 1, expected a lower and a higher one"),
        ({"low": 0, "high": 1, "log": True}, "found low 0 with log, which needs limits above 0"),
        ({"low": 1, "high": 3, "log": True, "step": 1}, "log and step exclude each other"),
        ({"low": 0.0, "high": 1.0, "step": 0.3}, "high is not low and a number of steps of 0.3"),
        ({"low": 0, "high": 1, "step": 0.5}, "a step of 0.5 between whole numbers"),
        ({"low": 0, "high": 1, "step": 0}, "tune.key.step: found 0 (a number), expected a number greater than 0"),
        ({"low": 0, "hgih": 1}, 'tune.key.hgih: unknown key; did you mean "high"?'),
        ({"low": 0}, "tune.key.high: missing"),
        ([], "tune.key: found a list, expected a list of at least 1"),
        (1e-3, "tune.key: found 0.001 (a number), expected a list or a section"),
    ],
)
def test_what_is_no_range_is_one_line(values, line):
    with pytest.raises(InputError) as caught:
        load_recipe(made(key=values))
    assert line in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("data.validation_fraction", "the same images"),
        ("data", "the same images"),
        ("training.seed", "the luckiest"),
        ("stages.0.training.seed", "the luckiest"),
        ("training.metric_for_best_model", "one metric"),
        ("stages.1.training.greater_is_better", "one metric"),
        ("training.output_dir", "nothing about the model"),
        ("training.hub_model_id", "nothing about the model"),
        ("ensemble.average", "cannot be searched"),
        ("calibration.temperature_scaling", "cannot be searched"),
        ("model.multi_label", "what the labels are"),
        ("tune", "cannot be searched"),
        ("rejection.method", "cannot be searched"),
    ],
)
def test_what_would_not_compare_trials_fairly_is_refused(key, why):
    with pytest.raises(InputError, match=f"^tune.{key}: .*{why}"):
        check_space({key: [1, 2]})


def test_a_space_is_refused_where_it_is_empty_or_contradicts_itself():
    with pytest.raises(InputError, match=r'"tune": {"training.learning_rate": '):
        check_space({})
    with pytest.raises(InputError, match=r'tune.loss.class_weights: "balanced" is listed twice'):
        check_space({"loss.class_weights": ["balanced", None, "balanced"]})
    with pytest.raises(InputError, match=r"tune.stages.0.training.optim: stages is searched too"):
        check_space({"stages": [[], [1]], "stages.0.training.optim": ["sgd", "adamw_torch"]})
    check_space(
        {"training.weight_decay": [0, 0.0, False], "training.learning_rate": load_recipe(made(k=LOG)).tune["k"]}
    )


def test_corners_are_all_combinations_or_each_extreme_alone():
    space = load_recipe(made(a=LOG, b=[1, 2, 3])).tune
    assert len(corners(space)) == 6
    assert {"a": 1e-5, "b": 3} in corners(space)
    many = load_recipe(made(**{f"k{n}": LOG for n in range(7)})).tune
    assert len(corners(many)) == 14 + 2
    assert as_overrides({"a": 1e-5, "b": None, "c": "x", "d": [True]}) == ["a=1e-05", "b=null", 'c="x"', "d=[true]"]


def test_a_run_goes_on_where_only_its_ranges_have_changed():
    before, after = as_run(load_recipe(made(a=LOG))), as_run(load_recipe(made(b=[1, 2])))
    assert before != after
    assert recipe_differences(before, after) == []
    assert recipe_differences(before, {**after, "loss": {"class_weights": "balanced"}})
