"""What is known of a recipe without torch, and the cache that it is known from."""

import json

import pytest
from huggingface_hub import constants

from hf_imgcls.errors import InputError
from hf_imgcls.models.configure import BUILT_IN
from hf_imgcls.recipe import installed as module
from hf_imgcls.recipe import load_recipe
from hf_imgcls.recipe.check import BUILT_IN_ARCHITECTURES, check_settings, check_transforms
from hf_imgcls.recipe.installed import as_type, installed
from hf_imgcls.recipe.places import check_output_dir, check_path, resolve_checkpoint
from hf_imgcls.recipe.sections import DataSection, ModelSection

SMALL = {"data": {"path": "photos"}, "model": {"checkpoint": "some/model"}, "training": {"output_dir": "runs/x"}}


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """How often the packages were asked, of a cache that is empty."""
    times = []
    monkeypatch.setattr("hf_imgcls.store.cache.cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(module, "_ask_packages", lambda: times.append(1) or {"asked": len(times)})
    return times


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.path=no/such/folder/", "data.path: no such folder 'no/such/folder/'"),
        ("model.checkpoint=./no/such", "model.checkpoint: no such folder './no/such'"),
        ('model={"architecture":"resne","from_scratch":true}', "transformers has no 'resne'; did you mean \"resnet\"?"),
        (
            'augmentation.train=["RandomResizedCro"]',
            "no transform 'RandomResizedCro'; did you mean \"RandomResizedCrop\"?",
        ),
        ('augmentation.train=[{"Resize":{"sise":3}}]', "augmentation.train.0.Resize.sise: unknown argument"),
        ('augmentation.mix=["Mixup"]', 'did you mean "MixUp"?'),
        ('stages=[{"augmentation":{"train":["Flip"]}}]', "stages.0.augmentation.train.0: torchvision.transforms.v2"),
    ],
)
def test_what_is_found_without_torch(override, message):
    with pytest.raises(InputError) as caught:
        check_settings(load_recipe(SMALL, [override]))
    assert message in str(caught.value)


def test_built_in_architectures_and_those_of_timm_are_known():
    assert set(BUILT_IN_ARCHITECTURES) == {config.model_type for config in BUILT_IN}
    for name in (*BUILT_IN_ARCHITECTURES, "timm/resnet18", "vit"):
        check_settings(load_recipe(SMALL, [f'model={{"architecture":"{name}","from_scratch":true}}']))


def test_a_custom_transform_is_known_by_its_name():
    check_transforms([{"MyCrop": {"by": 3}}, {"RandomApply": {"transforms": ["MyCrop"]}}], ["MyCrop"])
    with pytest.raises(InputError, match=r"train.1: .* no transform 'MyCro'; did you mean \"MyCrop\""):
        check_transforms(["MyCrop", "MyCro"], ["MyCrop"])


def test_a_path_exists_or_could_be_a_hub_id(tmp_path):
    check_path(DataSection(path="ethz/food101"))
    check_path(DataSection(path=str(tmp_path)))
    for path in (str(tmp_path / "nowhere"), "labels.csv"):
        with pytest.raises(InputError, match="no such f"):
            check_path(DataSection(path=path))


@pytest.mark.parametrize(
    ("data", "output", "line"),
    [
        ("photos", "photos", "lies in data.path"),
        ("photos", "photos/runs/new", "lies in data.path"),
        ("photos", "photos/../photos/cat", "lies in data.path"),
        ("link", "photos/run", "lies in data.path"),
        ("photos", "link/run", "lies in data.path"),
        ("photos", "inside/run", "lies in data.path"),
        ("photos/cat", "photos", "holds data.path"),
        ("photos/list.csv", "photos", "holds data.path"),
        ("photos/cat", "photos/run", None),
        ("photos/list.csv", "photos/run", None),
        ("photos", "photos-run", None),
        ("photos", "missing/run", None),
        ("someone/photos", "run", None),
    ],
)
def test_run_folder_and_data_lie_apart(data, output, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos/cat").mkdir(parents=True)
    (tmp_path / "photos/list.csv").touch()
    (tmp_path / "link").symlink_to("photos")
    (tmp_path / "inside").symlink_to("photos/cat")
    sections = {"data": {"path": data}, "model": {"checkpoint": "a/b"}, "training": {"output_dir": output}}
    recipe = load_recipe(sections)
    if line is None:
        return check_output_dir(recipe)
    with pytest.raises(InputError) as caught:
        check_settings(recipe)
    assert str(caught.value).startswith(f"training.output_dir: {output} {line}")


def test_what_is_installed_survives_the_cache():
    assert json.loads(json.dumps(installed())) == installed()
    types = {name: kind for name, (kind, _, _) in installed()["training"].items()}
    assert as_type(types["num_train_epochs"]) is float
    assert as_type(types["run_name"]) == str | None
    assert as_type(types["report_to"]) == None | str | list[str]
    assert "cosine" in types["lr_scheduler_type"][0]["values"]
    assert "size" in installed()["transforms"]["Resize"]


def test_the_cache_is_read_and_rebuilt_where_it_cannot_be_read(asked, tmp_path):
    for _ in range(2):
        assert installed.__wrapped__() == {"asked": 1}
    (file,) = tmp_path.glob("cache/installed/*/content.json")
    file.write_text("{")
    assert installed.__wrapped__() == {"asked": 2}
    assert json.loads(file.read_text()) == {"asked": 2}


@pytest.mark.parametrize("package", ["transformers", "torchvision", "torch"])
def test_another_version_is_asked_again(package, asked, monkeypatch):
    installed.__wrapped__()
    version = module.metadata.version
    monkeypatch.setattr(module.metadata, "version", lambda name: "9" if name == package else version(name))
    assert installed.__wrapped__() == {"asked": 2}


def test_another_question_is_asked_again(asked, tmp_path, monkeypatch):
    installed.__wrapped__()
    changed = tmp_path / "installed.py"
    changed.write_text("another question")
    monkeypatch.setattr(module, "__file__", str(changed))
    assert installed.__wrapped__() == {"asked": 2}


def test_a_cache_that_cannot_be_written_is_done_without(asked, tmp_path):
    (tmp_path / "cache").write_text("a file, not a folder")
    assert installed.__wrapped__() == {"asked": 1}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("runs/fod101", "no such folder 'runs/fod101' (looked in {}); did you mean \"runs/food101\"?"),
        ("rns/food101", 'did you mean "runs/food101"?'),
        ("./photos_vit", 'did you mean "photos-vit"?'),
        ("photos_vit", 'did you mean "photos-vit"?'),
        ("/no/such", "no such folder '/no/such'"),
        ("C:\\models\\vit", "it is a path of Windows"),
        ("https://huggingface.co/a/b", "is a URL"),
        ("https://huggingface.co/datasets/a/b", "Hub"),
        ("x" * 300, "is no path: File name too long"),
        ("a\0b", "is no path"),
        ("a\ud800b", "no such folder"),
    ],
)
def test_a_mistyped_folder_is_named_with_the_one_that_exists(name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "food101").mkdir(parents=True)
    (tmp_path / "photos-vit").mkdir()
    for key, check in (
        ("data.path", lambda: check_path(DataSection.model_construct(path=name))),
        ("model.checkpoint", lambda: resolve_checkpoint(ModelSection.model_construct(checkpoint=name))),
    ):
        with pytest.raises(InputError) as caught:
            check()
        assert str(caught.value).startswith(key)
        assert message.format(tmp_path) in str(caught.value)
    resolve_checkpoint(ModelSection(checkpoint="google/vit"))


def test_the_hub_is_asked_for_what_is_nearly_a_folder_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    (tmp_path / "microsoft" / "resnet-18").mkdir(parents=True)
    assert resolve_checkpoint(ModelSection(checkpoint="microsoft/resnet-50")) == "microsoft/resnet-50"
    check_path(DataSection(path="microsoft/resnet-50"))
    with pytest.raises(InputError, match='did you mean "microsoft/resnet-18"'):
        resolve_checkpoint(ModelSection(checkpoint="./microsoft/resnet-28"))
