import contextlib
import errno
import json
import os
from pathlib import Path

import pytest
from tiny import tiny_model, tiny_processor

from hf_imgcls.cli import main
from hf_imgcls.commands import COMMANDS, parse
from hf_imgcls.errors import InputError, MachineError, ParityError, PushError, RestoreError

RECIPES = [p for p in sorted((Path(__file__).parents[2] / "recipes").glob("*.json")) if p.stem != "recipe.schema"]


def fails(capsys, *arguments: str) -> str:
    assert main(list(arguments)) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    lines = [line for line in error.splitlines() if line and "it/s" not in line]  # progress bars
    assert len(lines) == 1
    assert lines[0].startswith("hf-imgcls: ")
    return lines[0]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_every_shipped_recipe_is_valid(path, capsys, monkeypatch):
    monkeypatch.chdir(path.parent.parent)
    assert main(["check", str(path)]) == 0
    assert ": OK" in capsys.readouterr().out


def test_overrides_behind_an_option_of_several_words_are_none_of_them():
    words = ["fit", "photos", "--checkpoint", "a", "runs/x.y=1", "data.seed=3", "--minutes", "2"]
    options = parse(words, COMMANDS)
    assert (options.checkpoint, options.overrides) == (["a", "runs/x.y=1"], ["data.seed=3"])
    options = parse(["inspect", "photos", "data.seed=1", "--allow", "tiny", "data.name=x"], COMMANDS)
    assert (options.allow, options.overrides) == (["tiny"], ["data.seed=1", "data.name=x"])


# What a folder of three classes does not have; and networks that take less time than those that are `check`ed.
OTHER = {
    "caltech101_efficientnet_scratch": ["model.architecture=timm/test_efficientnet"],
    "cats_vs_dogs_convnet": ["model.config.filters=[4, 8, 8, 8, 8]"],
    "cats_vs_dogs_convnet_augmented": ["model.config.filters=[4, 8, 8, 8, 8]"],
    "celeba_attributes": ["data.label_column=null", "data.group_column=null", "data.name=null"],
    "clothing_distilled": ["distillation.teacher=checkpoint"],
    "clothing_long_tail": ["data.long_tail=4"],
    "clothing_two_networks": [
        *("ensemble.networks.0.model.checkpoint=checkpoint", "stages.1.train.freeze_batch_norm=false")  # a ViT has none
    ],
    "digits_folds": ["data.folds=null"],
    "clothing_lora": ["model.image_size=null"],  # an adapter fits its checkpoint as it is
    "imagenet_resnet50_scratch": [
        *("data.validation_split=null", "training.gradient_accumulation_steps=2", "model.architecture=timm/test_resnet")
    ],
}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
@pytest.mark.usefixtures("undrawn", "without_folds")
def test_every_shipped_recipe_trains_on_other_data_and_weights_by_overrides_alone(
    path, make_folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    tiny_model("vit").save_pretrained(tmp_path / "checkpoint")
    tiny_processor().save_pretrained(tmp_path / "checkpoint")
    recipe = json.loads(path.read_text())
    other = [f"model.checkpoint={tmp_path / 'checkpoint'}", "model.image_size=16", "model.config={}"]
    if recipe["model"].get("from_scratch"):
        other = [f"model.image_size={min(recipe['model']['image_size'], 96)}"]
    if "feature_point" in recipe["model"]:
        other += ["model.feature_point=vit.layers.1"]
    for number, stage in enumerate(recipe.get("stages", [])):
        if "last_blocks" in stage["train"]:
            other += [f"stages.{number}.train.last_blocks=1"]
    other += OTHER.get(path.stem, [])
    assert main([
        "train", str(path), f"data.path={make_folder(train=10, test=2)}", *other, "training.max_steps=2",
        "training.per_device_train_batch_size=4",
        "training.fp16=false", "training.push_to_hub=false", "training.dataloader_num_workers=0",
        f"training.output_dir={tmp_path / 'run'}",
    ]) == 0  # fmt: skip
    assert json.loads((tmp_path / "run" / "results.json").read_text())["parity"]["passed"]


@pytest.mark.parametrize("path", [p for p in RECIPES if p.stem.startswith("food101")], ids=lambda path: path.name)
def test_a_recipe_of_the_hub_says_in_a_line_that_the_hub_cannot_be_reached(path, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = fails(capsys, "train", str(path))
    assert "data.path: 'ethz/food101'" in line
    assert "could not be loaded from the Hub" in line
    assert len(line) < 400
    assert not list(tmp_path.iterdir())


def test_one_of_several_processes_ends_before_its_connections_are_taken_down(monkeypatch):
    ended = []
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("atexit._run_exitfuncs", lambda: ended.append("exit functions"))
    monkeypatch.setattr("os._exit", ended.append)
    monkeypatch.chdir(RECIPES[0].parent.parent)
    assert main(["check", "recipes/digits_resnet.json"]) == 0
    assert main(["check", "no/such.json"]) == 2
    assert ended == ["exit functions", 0, "exit functions", 2]


def test_check_finds_what_a_run_would_stumble_over(capsys, tmp_path):
    recipe = str(RECIPES[0].parent / "digits_resnet.json")
    assert "did you mean" in fails(capsys, "check", recipe, "training.learning_rat=1")
    assert "RandomResizedCrop" in fails(capsys, "check", recipe, 'augmentation.train=["RandomResizedCro"]')
    assert "data.path" in fails(capsys, "check", recipe, "data.path=no/such/folder/")
    assert "model.config.depth:" in fails(capsys, "check", recipe, "model.config.depth=[1]")
    assert "no such recipe" in fails(capsys, "check", str(tmp_path / "x.json"))


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("runs", "recipes", "cache")])
def test_overrides_are_not_among_the_words_that_are_missing(command, capsys):
    error = fails(capsys, command)
    assert "the following arguments are required: " in error
    assert "key=value" not in error


def test_options_may_stand_before_between_and_behind_overrides(capsys, tmp_path):
    arguments = ["train", str(tmp_path / "x.json"), "a.b=1", "--start-over", "c.d=2"]
    assert "no such recipe" in fails(capsys, *arguments)
    assert 'did you mean "--start-over"?' in fails(capsys, *arguments, "--start-ovr")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["trian", "x.json"], 'trian: no such command; did you mean "train"?; see hf-imgcls --help'),
        (["x\x1b[2J\ny"], "x\ufffd[2J y: no such command; see hf-imgcls --help"),
        (["train"], "train: the following arguments are required: recipe; see hf-imgcls train --help"),
        (["predict", "m", "i", "--top-k", "abc"], "predict: argument --top-k: invalid int value: 'abc'; see "),
        (["predict", "m", "i", "--outptu", "a"], 'predict: unknown option: --outptu; did you mean "--output"?; see '),
        (["--nothing", "cache"], "cache: unknown option: --nothing; see hf-imgcls cache --help"),
    ],
)
def test_what_is_wrong_with_a_command_line_is_one_line(words, line, capsys):
    assert fails(capsys, *words).startswith(f"hf-imgcls: {line}")


@pytest.mark.parametrize("words", [["push", "run"], ["recipes", "name"], ["cache"]])
def test_a_command_without_a_recipe_has_no_overrides(words, capsys):
    assert f"hf-imgcls: {words[0]}: data.path=x is not an option" in fails(capsys, *words, "data.path=x")


def test_evaluate_writes_its_figures(capsys, make_folder, tmp_path):
    tiny_model("vit").save_pretrained(tmp_path / "model")
    tiny_processor().save_pretrained(tmp_path / "model")
    folder = make_folder(train=3, test=4)
    output = tmp_path / "figures.json"
    assert (
        main(["evaluate", str(tmp_path / "model"), str(folder), "--split", "train[:6]", "--output", str(output)]) == 0
    )
    assert "train[:6]: accuracy" in capsys.readouterr().out
    figures = json.loads(output.read_text())
    assert (figures["split"], figures["scores"]["images"]) == ("train[:6]", 6)
    assert main(["evaluate", str(tmp_path / "model"), str(folder / "train"), "--output", str(output)]) == 0
    assert json.loads(output.read_text())["scores"]["images"] == 9
    assert "no split" in fails(capsys, "evaluate", str(tmp_path / "model"), str(folder), "--split", "nope")
    tiny_model("vit", ["blue", "green", "violet"]).save_pretrained(tmp_path / "model")
    line = fails(capsys, "evaluate", str(tmp_path / "model"), str(folder))
    assert "'red' (4 images)" in line
    assert "of the model: blue, green, violet" in line


@pytest.mark.usefixtures("undrawn")
def test_an_error_in_a_worker_is_one_line_too(capsys, make_folder, tmp_path):
    folder = make_folder(train=8, validation=2)
    (folder / "train" / "red" / "000.png").write_bytes(b"broken")
    assert "000.png cannot be read" in fails(
        capsys, "train", str(RECIPES[0].parent / "digits_resnet.json"), f"data.path={folder}", "data.streaming=true",
        'data.label_names=["blue","green","red"]', "data.bad_images=raise", "training.max_steps=9",
        "training.dataloader_num_workers=1", "training.disable_tqdm=true", f"training.output_dir={tmp_path / 'run'}",
    )  # fmt: skip


def test_a_switch_shows_the_traceback(capsys, monkeypatch):
    monkeypatch.setenv("HF_IMGCLS_TRACEBACK", "1")
    assert main(["check", "no/such.json"]) == 2
    error = capsys.readouterr().err
    assert "Traceback (most recent call last)" in error
    assert error.splitlines()[-1] == "hf-imgcls: no/such.json: no such recipe"


@pytest.mark.parametrize(
    ("error", "status"), [(InputError, 2), (MachineError, 1), (ParityError, 1), (RestoreError, 1), (PushError, 3)]
)
def test_each_kind_of_error_has_its_status(error, status, capsys, monkeypatch):
    def run(options):
        raise error("this is why")

    monkeypatch.setattr(COMMANDS["check"], "run", run)
    assert main(["check", "x.json"]) == status
    assert capsys.readouterr().err == "hf-imgcls: this is why\n"


def test_a_bug_is_no_user_error(monkeypatch):
    def run(options):
        raise ValueError("[Errno 28] No space left on device")  # a text alone is no error of the machine

    monkeypatch.setattr(COMMANDS["check"], "run", run)
    with pytest.raises(ValueError, match="No space"):
        main(["check", "x.json"])


def test_what_the_machine_denies_is_one_line_with_status_1(capsys, monkeypatch):
    def run(options):
        raise PermissionError(errno.EACCES, "Permission denied", "/somewhere/run")

    monkeypatch.setattr(COMMANDS["check"], "run", run)
    assert main(["check", "x.json"]) == 1
    line = capsys.readouterr().err
    assert line.startswith("hf-imgcls: /somewhere/run: no permission; ")
    assert line.count("\n") == 1


@pytest.mark.parametrize("stream", ["/dev/full", "a closed pipe"])
def test_output_that_cannot_be_written_is_no_traceback(stream, capsys):
    if stream == "a closed pipe":
        reader, writer = os.pipe()
        os.close(reader)
    else:
        writer = os.open(stream, os.O_WRONLY)
    with open(writer, "w") as output, contextlib.redirect_stdout(output):
        status = main(["recipes"])
        output.flush()  # as the interpreter does at its end
    line = capsys.readouterr().err
    if stream == "/dev/full":
        assert (status, line) == (
            1,
            "hf-imgcls: standard output: the disk is full; make room, then run the same command again\n",
        )
    else:
        assert (status, line) == (141, "")
