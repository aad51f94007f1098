import json
from types import SimpleNamespace

import pytest

from hf_imgcls import store as runs
from hf_imgcls.errors import InputError

RECIPE = {"data": {"path": "photos"}, "training": {"learning_rate": 1e-3, "output_dir": "runs/x"}}
SPLITS = {"fingerprints": {"train": "a", "validation": "b"}}


def change(recipe=RECIPE, **training):
    return {**recipe, "training": {**recipe["training"], **training}}


def test_a_new_run_writes_what_it_was_begun_with(tmp_path):
    folder = tmp_path / "deep" / "run"
    runs.open_run(folder, RECIPE, SPLITS)
    assert runs.last_checkpoint(folder) is None
    assert runs.read_json(folder / "recipe.json") == RECIPE
    assert runs.read_json(folder / "splits.json") == SPLITS


def test_an_unfinished_run_goes_on_from_its_last_complete_checkpoint(tmp_path):
    for step, complete in ((8, True), (20, True), (100, False)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if complete:
            (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text("{}")
    assert runs.last_checkpoint(tmp_path) == tmp_path / "checkpoint-20"


@pytest.mark.parametrize(
    ("recipe", "splits", "part"),
    [
        (change(learning_rate=1e-4), SPLITS, "training.learning_rate"),
        (change(weight_decay=0.1), SPLITS, "training.weight_decay"),
        (RECIPE, {"fingerprints": {"train": "a", "validation": "c"}}, "data (images of validation)"),
        (RECIPE, {"fingerprints": {"train": "a"}}, "data (images of validation)"),
        ({**RECIPE, "augmentation": {"train": [{"Resize": {"size": 9}}]}}, SPLITS, "augmentation.train.0.Resize.size"),
        ({**RECIPE, "stages": [{"train": "all"}]}, SPLITS, "stages.0.train"),
    ],
)
def test_an_unfinished_run_is_not_continued_with_another_recipe_or_other_data(tmp_path, recipe, splits, part):
    runs.open_run(tmp_path, RECIPE, SPLITS)
    with pytest.raises(InputError, match="unfinished") as caught:
        runs.open_run(tmp_path, recipe, splits)
    assert part in str(caught.value)
    assert "--start-over" in str(caught.value)
    assert runs.read_json(tmp_path / "recipe.json") == RECIPE


def test_a_moved_folder_of_the_same_images_is_the_same_run(tmp_path):
    runs.open_run(tmp_path, RECIPE, SPLITS)
    runs.open_run(tmp_path, {**change(dataloader_num_workers=4), "data": {"path": "elsewhere"}}, SPLITS)


def test_a_finished_run_is_refused_and_starting_over_loses_nothing(tmp_path):
    folder = tmp_path / "run"
    for content in ("first", "second"):
        runs.open_run(folder, RECIPE, SPLITS, start_over=True)
        (folder / "results.json").write_text(json.dumps(content))
        with pytest.raises(InputError, match=r"finished.*--start-over"):
            runs.open_run(folder, RECIPE, SPLITS)
    runs.open_run(folder, RECIPE, SPLITS, start_over=True)
    assert not (folder / "results.json").exists()
    assert [runs.read_json(tmp_path / f"run.{n}" / "results.json") for n in (1, 2)] == ["first", "second"]


def test_what_changes_nothing_may_change_within_a_stage_too(tmp_path):
    stages = [{"train": "head", "training": {"dataloader_num_workers": workers}} for workers in (0, 4)]
    runs.open_run(tmp_path, {**RECIPE, "stages": stages[:1]}, SPLITS)
    runs.open_run(tmp_path, {**RECIPE, "stages": stages[1:]}, SPLITS)
    with pytest.raises(InputError, match=r"stages\.1\.train"):
        runs.open_run(tmp_path, {**RECIPE, "stages": stages}, SPLITS)


@pytest.mark.parametrize("start_over", [False, True])
def test_a_folder_of_other_things_is_never_touched(tmp_path, start_over):
    (tmp_path / "thesis.tex").write_text("all of it")
    with pytest.raises(InputError, match="not a run"):
        runs.open_run(tmp_path, RECIPE, SPLITS, start_over)
    assert (tmp_path / "thesis.tex").read_text() == "all of it"
    with pytest.raises(InputError, match="is a file"):
        runs.check_run_folder(tmp_path / "thesis.tex")


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    runs.write_json(tmp_path / "x.json", {"a": "é"})
    with pytest.raises(TypeError):
        runs.write_json(tmp_path / "x.json", {"a": SimpleNamespace()})
    assert runs.read_json(tmp_path / "x.json") == {"a": "é"}


def test_a_loss_that_has_diverged_is_still_json(tmp_path):
    runs.write_json(tmp_path / "x.json", {"loss": float("nan"), "losses": [1.0, float("inf")]})
    assert (tmp_path / "x.json").read_text().split() == [
        "{",
        '"loss":',
        "null,",
        '"losses":',
        "[",
        "1.0,",
        "null",
        "]",
        "}",
    ]
