"""Places that will be written are tried before anything is read; what will not fit is refused before training."""

import errno
import os
import resource
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny import tiny_model

from hf_imgcls import api
from hf_imgcls.cli import main
from hf_imgcls.errors import InputError, MachineError
from hf_imgcls.store import check_room, try_place
from hf_imgcls.training import check_room_of_run, room

RECIPE = str(Path(__file__).parents[2] / "recipes" / "digits_resnet.json")
DENIED = [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE]


def deny(monkeypatch, number: int) -> None:
    def fail(*arguments, **settings):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tempfile, "TemporaryFile", fail)


@pytest.mark.parametrize("number", DENIED, ids=errno.errorcode.get)
@pytest.mark.parametrize("missing", ["", "no/such/folder"])
def test_a_place_that_cannot_be_written_is_a_line(number, missing, tmp_path, monkeypatch):
    deny(monkeypatch, number)
    with pytest.raises(MachineError, match=r"^--output: .*; .*, then run the same command again$") as caught:
        try_place(tmp_path / missing, "--output")
    if number != errno.EMFILE:
        assert str(caught.value).startswith(f"--output: {tmp_path}: ")


def test_a_place_that_has_a_name_left_and_no_room_is_a_line(tmp_path):
    """As a full disk: the kernel makes the file and refuses what is to be in it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(MachineError, match="the file is larger than the limit"):
            try_place(tmp_path, "--output")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_place_is_as_it_was(tmp_path):
    try_place(tmp_path / "new" / "run", "training.output_dir")
    try_place(tmp_path, "training.output_dir")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "fault"),
    [("file", "is a file"), ("file/run", "file is a file"), ("x" * 300, "more than 255 bytes"),
     (f"new/{'x' * 300}", "more than 255 bytes"), ("/".join(["x" * 200] * 21), "is longer than")],
    ids=["file", "under a file", "long name", "long name below", "long path"],
)  # fmt: skip
def test_a_name_that_cannot_be_is_the_users(name, fault, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=fault) as caught:
        try_place(tmp_path / name, "training.output_dir")
    assert len(str(caught.value)) < 400


def test_each_command_tries_before_it_reads_an_image(model, make_folder, tmp_path, monkeypatch, capsys):
    folder = str(make_folder(train=3, test=2))

    def read(*arguments, **settings):
        raise AssertionError("images or weights were read")

    monkeypatch.setattr(api.train, "load_data", read)
    monkeypatch.setattr(api.evaluate, "load_network", read)
    monkeypatch.setattr(api.export, "load_network", read)
    monkeypatch.setattr(api.predict, "_open", read)
    deny(monkeypatch, errno.EROFS)
    for words in (
        ["train", RECIPE, f"data.path={folder}", f"training.output_dir={tmp_path / 'run'}"],
        ["evaluate", model, folder, "--output", str(tmp_path / "scores.json")],
        ["evaluate", model, folder, "--output", str(tmp_path / "scores")],
        ["export", model, "--output", str(tmp_path / "export")],
        ["predict", model, folder, "--output", str(tmp_path / "predictions.csv")],
    ):
        assert main(words) == 1
        line = capsys.readouterr().err
        assert line.startswith("hf-imgcls: "), words
        assert f"{tmp_path}: a read-only file system; name another place" in line
        assert line.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "photos"]


def plan(**settings):
    defaults = {"save_strategy": "epoch", "load_best_model_at_end": True, "num_train_epochs": 9.0, "max_steps": -1}
    arguments = SimpleNamespace(**defaults | {"save_total_limit": 2, "optim": SimpleNamespace(value="sgd")} | settings)
    stage = SimpleNamespace(averaging=SimpleNamespace(ema_decay=None))
    return SimpleNamespace(arguments=arguments, trained=WEIGHTS // 4, stage=stage)


MODEL = tiny_model("vit")
WEIGHTS = sum(each.numel() * 4 for each in MODEL.state_dict().values())


@pytest.mark.parametrize(
    ("settings", "needed"),
    [
        ({}, WEIGHTS), ({"optim": SimpleNamespace(value="adamw_torch_fused")}, 3 * WEIGHTS),
        ({"save_strategy": "no", "optim": SimpleNamespace(value="adamw_torch")}, WEIGHTS),
    ],
    ids=["sgd", "adam", "no checkpoints"],
)  # fmt: skip
def test_a_run_whose_first_checkpoint_does_not_fit_is_refused(settings, needed, tmp_path, monkeypatch):
    monkeypatch.setattr("hf_imgcls.store.places.free_space", lambda folder: needed - 1)
    with pytest.raises(MachineError, match=r" MB are free, and (one checkpoint|the model) takes .*; make room"):
        check_room_of_run(tmp_path, MODEL, [plan(**settings)])
    monkeypatch.setattr("hf_imgcls.store.places.free_space", lambda folder: needed)
    check_room_of_run(tmp_path, MODEL, [plan(**settings)])


def test_where_not_all_checkpoints_fit_a_line_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(room, "free_space", lambda folder: 3 * WEIGHTS)
    check_room_of_run(tmp_path, MODEL, [plan()])
    assert "and 3 checkpoints at once take" in capsys.readouterr().out
    for number in (1, 2):  # two of them are there already
        (tmp_path / f"checkpoint-{number}").mkdir()
    check_room_of_run(tmp_path, MODEL, [plan()])
    check_room_of_run(tmp_path, MODEL, [plan(num_train_epochs=1.0)])
    assert capsys.readouterr().out == ""


def test_room_that_cannot_be_told_is_no_reason_to_stop(tmp_path, monkeypatch):
    monkeypatch.setattr("hf_imgcls.store.places.free_space", lambda folder: None)
    check_room(tmp_path, 1 << 60, "a checkpoint")
