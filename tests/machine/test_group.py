"""What processes on several machines must share, with a group of processes that is made up."""

import pytest

from hf_imgcls.errors import InputError
from hf_imgcls.machine import group
from hf_imgcls.store import TOKEN, check_run_folder


@pytest.fixture
def two_machines(monkeypatch):
    """Make this process the first of two; `answer` is what the second one, on another machine, gathers."""

    def pretend(answer):
        monkeypatch.setattr(group, "PartialState", lambda: type("State", (), {"num_processes": 2, "process_index": 0}))
        monkeypatch.setattr(group, "on_main", lambda function: function())
        monkeypatch.setattr(group, "gather_object", lambda own: [*own, (1, "node2", answer(own[0][2]))])

    return pretend


@pytest.mark.parametrize("there", ["a run", "empty", "not"])
def test_a_folder_that_machines_do_not_share_is_refused_and_left_as_it_was(there, two_machines, tmp_path):
    folder = tmp_path / "runs" / "photos"
    if there != "not":
        folder.mkdir(parents=True)
    if there == "a run":
        (folder / "recipe.json").touch()
    before, found = sorted(tmp_path.rglob("*")), []
    two_machines(lambda own: found.append(sorted(tmp_path.rglob("*"))) or own)
    group.check_shared(folder, "training.output_dir")
    assert len(found[0]) == len(before) + 1
    two_machines(lambda own: False)
    with pytest.raises(InputError, match=r"training.output_dir: .*photos of process 1 on node2 is not the folder of"):
        group.check_shared(folder, "training.output_dir")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_token_that_a_killed_launch_left_makes_no_folder_a_stranger(tmp_path):
    (tmp_path / f"{TOKEN}0123").touch()
    check_run_folder(tmp_path)


def test_a_file_of_another_machine_may_come_a_little_later_or_never(monkeypatch, tmp_path):
    monkeypatch.setattr(group, "_SECONDS", 0.0)
    assert not group._is_there(tmp_path / "token")
    (tmp_path / "token").touch()
    assert group._is_there(tmp_path / "token")


def test_processes_that_would_train_different_things_together_are_refused(two_machines):
    recipe = {"data": {"path": "/a", "seed": 1}, "description": "photos"}
    two_machines(lambda own: {"data.seed": 1, "description": "photos"})
    group.check_same("the settings", recipe, but=("data.path",))
    two_machines(lambda own: {"data.seed": 2, "description": "photos"})
    with pytest.raises(InputError, match=r"the settings of process 1 on node2 are not those of .* \(data.seed\)"):
        group.check_same("the settings", recipe, but=("data.path",))


def test_a_single_process_leaves_no_token(tmp_path):
    group.check_shared(tmp_path / "run", "training.output_dir")
    group.check_same("the images", {"train": "abc"})
    assert not (tmp_path / "run").exists()
