import json
from types import SimpleNamespace

import pytest

from hf_imgcls import store as runs
from hf_imgcls.errors import InputError

RECIPE = {"data": {"path": "photos"}, "training": {"learning_rate": 1e-3, "output_dir": "runs/x"}}
SPLITS = {"fingerprints": {"train": "a", "validation": "b"}}


def change(recipe=RECIPE, **training):
    return {**recipe, "training": {**recipe["training"], **training}}


def begin(folder, recipe=RECIPE, splits=SPLITS, settings=None, last_digits=None, **how):
    now = runs.Beginning(recipe, splits, settings or {"processes": 1}, last_digits or {"versions": {"torch": "2.15.0"}})
    return runs.open_run(folder, now, **how)


def test_a_new_run_writes_what_it_was_begun_with(tmp_path):
    folder = tmp_path / "deep" / "run"
    begin(folder)
    assert runs.read_json(folder / "recipe.json") == RECIPE
    assert runs.read_json(folder / "splits.json") == SPLITS


@pytest.mark.parametrize(
    ("recipe", "splits", "part"),
    [
        (change(learning_rate=1e-4), SPLITS, "training.learning_rate"),
        (change(weight_decay=0.1), SPLITS, "training.weight_decay"),
        (RECIPE, {"fingerprints": {"train": "a", "validation": "c"}}, "other images of validation"),
        (RECIPE, {"fingerprints": {"train": "a"}}, "other images of validation"),
        ({**RECIPE, "augmentation": {"train": [{"Resize": {"size": 9}}]}}, SPLITS, "augmentation.train.0.Resize.size"),
        ({**RECIPE, "stages": [{"train": "all"}]}, SPLITS, "stages.0.train"),
    ],
)
def test_an_unfinished_run_is_not_continued_with_another_recipe_or_other_data(tmp_path, recipe, splits, part):
    begin(tmp_path)
    with pytest.raises(InputError, match="unfinished") as caught:
        begin(tmp_path, recipe, splits)
    assert part in str(caught.value)
    assert "--start-over" in str(caught.value)
    assert runs.read_json(tmp_path / "recipe.json") == RECIPE


def test_a_moved_folder_of_the_same_images_is_the_same_run(tmp_path):
    begin(tmp_path)
    begin(tmp_path, {**change(dataloader_num_workers=4), "data": {"path": "elsewhere"}}, SPLITS)


def test_a_finished_run_is_refused_and_starting_over_loses_nothing(tmp_path):
    folder = tmp_path / "run"
    for content in ("first", "second"):
        begin(folder, start_over=True)
        (folder / "results.json").write_text(json.dumps(content))
        with pytest.raises(InputError, match=r"finished.*--start-over"):
            begin(folder)
        assert runs.is_finished(folder, change(dataloader_num_workers=4))
        with pytest.raises(
            InputError, match=r"finished, and has another recipe: training.learning_rate 0.001, now 0.1"
        ):
            runs.is_finished(folder, change(learning_rate=0.1))
        runs.check_same_data(folder, SPLITS)
        with pytest.raises(InputError, match=r"finished, and had other images of validation; name another folder"):
            runs.check_same_data(folder, {"fingerprints": {"train": "a", "validation": "c"}})
    begin(folder, start_over=True)
    assert not runs.is_finished(folder, RECIPE)
    assert [runs.read_json(tmp_path / f"run.{n}" / "results.json") for n in (1, 2)] == ["first", "second"]


def test_what_changes_nothing_may_change_within_a_stage_too(tmp_path):
    stages = [{"train": "head", "training": {"dataloader_num_workers": workers}} for workers in (0, 4)]
    begin(tmp_path, {**RECIPE, "stages": stages[:1]}, SPLITS)
    begin(tmp_path, {**RECIPE, "stages": stages[1:]}, SPLITS)
    with pytest.raises(InputError, match=r"stages\.1\.train"):
        begin(tmp_path, {**RECIPE, "stages": stages}, SPLITS)


@pytest.mark.parametrize("start_over", [False, True])
def test_a_folder_of_other_things_is_never_touched(tmp_path, start_over):
    (tmp_path / "thesis.tex").write_text("all of it")
    with pytest.raises(InputError, match="not a run"):
        begin(tmp_path, start_over=start_over)
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


FILES = ("recipe.json", "splits.json", "begun.json")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("content", ["", "{", "\0" * 40])
def test_a_damaged_file_of_a_run_is_named(name, content, tmp_path):
    begin(tmp_path)
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=rf"{name} is damaged; put it back.*--start-over"):
        begin(tmp_path)


def test_a_run_without_the_record_of_its_images_is_not_continued(tmp_path):
    begin(tmp_path)
    (tmp_path / "splits.json").unlink()
    with pytest.raises(InputError, match=r"splits\.json is gone; put it back.*--start-over"):
        begin(tmp_path)


@pytest.mark.parametrize("left", [["splits.json"], ["splits.json", "begun.json", "recipe.json.part"], []])
def test_a_run_killed_before_it_had_begun_begins(left, tmp_path):
    for name in left:
        (tmp_path / name).write_text("{")
    assert begin(tmp_path) == []
    assert begin(tmp_path) == []


def test_a_link_leads_to_the_run_and_starting_over_keeps_it(tmp_path):
    (tmp_path / "disk" / "run").mkdir(parents=True)
    link = tmp_path / "run"
    link.symlink_to(tmp_path / "disk" / "run")
    begin(link)
    begin(link, start_over=True)
    assert link.is_symlink()
    assert (tmp_path / "disk" / "run.1" / "recipe.json").is_file()
    assert (tmp_path / "disk" / "run" / "recipe.json").is_file()
    (tmp_path / "disk").rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"is a link to .*disk/run, which is not there"):
        begin(link)
    assert begin(tmp_path / "elsewhere" / "run") == []


SETTINGS = {"processes": 2, "device": "cuda", "each_stage": [{"precision": "bf16"}] * 2, "labels": {"red": 0}}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"processes": 1}, "processes 2, now 1"),
        ({"device": "cpu", "each_stage": [{"precision": "float32"}] * 2},
         "device cuda, now cpu; precision bf16, now float32"),
        ({"each_stage": [{"precision": "bf16"}, {"precision": "fp16"}]}, "precision bf16, now fp16"),
        ({"labels": {"red": 1}}, "labels.red 0, now 1"),
    ],
)  # fmt: skip
def test_a_resume_with_another_result_is_refused_or_noted_beside_it(settings, words, tmp_path):
    begin(tmp_path, settings=SETTINGS)
    kept = (tmp_path / "begun.json").read_bytes()
    with pytest.raises(InputError, match=f"begun with {words}, which would change the result.*--resume-anyway"):
        begin(tmp_path, settings={**SETTINGS, **settings})
    assert (tmp_path / "begun.json").read_bytes() == kept
    said = begin(tmp_path, settings={**SETTINGS, **settings}, resume_anyway=True)
    assert said == [f"begun with {words}, and resumed anyway: not the result of an uninterrupted run"]
    assert begin(tmp_path, settings={**SETTINGS, **settings}) == []
    assert runs.resumed_with(tmp_path) == said
    assert begin(tmp_path, settings=SETTINGS, start_over=True) == runs.resumed_with(tmp_path) == []


def test_what_changes_the_last_digits_alone_is_noted(tmp_path):
    begin(tmp_path, last_digits={"run": {"threads": 2}, "versions": {"torch": "2.15.0", "timm": "1.0"}})
    said = begin(tmp_path, last_digits={"run": {"threads": 8}, "versions": {"torch": "2.16.0", "new": "1.0"}})
    assert said == ["begun with threads 2, now 8; torch 2.15.0, now 2.16.0: the last digits of the result may differ"]
    assert runs.resumed_with(tmp_path) == said


def test_a_run_of_an_older_version_is_resumed_with_a_note(tmp_path):
    begin(tmp_path)
    (tmp_path / "begun.json").unlink()
    assert begin(tmp_path) == ["begun by a version that did not keep the number of processes, device and precision"]
    assert begin(tmp_path) == []
