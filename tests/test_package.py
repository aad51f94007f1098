"""The package as a whole: names, imports, what is public."""

import importlib
import runpy
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from fresh import run_fresh
from listed_run import made_run

import hf_imgcls
from hf_imgcls.commands import COMMANDS
from hf_imgcls.recipe import json_schema

PACKAGE = Path(hf_imgcls.__file__).parent


def test_no_module_has_the_name_of_a_package_that_anything_imports():
    # Launching hf_imgcls/train.py puts hf_imgcls/ first on the path: its modules hide packages of the same name.
    taken = set(sys.stdlib_module_names) | set(metadata.packages_distributions())
    modules = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()} - {"__init__"}
    assert modules & taken == set()


@pytest.mark.parametrize("name", hf_imgcls.__all__)
def test_public_names_are_documented(name):
    assert getattr(hf_imgcls, name).__doc__


def test_names_of_earlier_versions_still_work():
    assert hf_imgcls.predict_pictures is hf_imgcls.predict_images


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = hf_imgcls.trian


LIGHT = """
import sys
from hf_imgcls.cli import main
for words in ([], ["--help"], ["--version"], ["train", "--help"]):
    try:
        assert main(words) == "no status"
    except SystemExit as stop:
        assert stop.code == 0
heavy = sys.modules.keys() & {"torch", "transformers", "datasets", "numpy", "pydantic"}
assert not heavy, heavy
"""


def test_nothing_heavy_is_imported_for_help_and_version():
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for name, command in COMMANDS.items():  # a line each, with and without --help
        assert sum(line.split() == [name, *command.__doc__.split()] for line in lines) == 2
    assert f"hf-imgcls {hf_imgcls.__version__}" in lines


@pytest.mark.parametrize(
    ("module", "usage"),
    [
        ("hf_imgcls", "hf-imgcls [-h] [-V] COMMAND"),
        ("hf_imgcls.train", "hf-imgcls train [-h]"),
        ("hf_imgcls.predict", "hf-imgcls predict [-h]"),
    ],
)
def test_python_m_runs_the_command(module, usage, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [module, "--help"])
    with pytest.raises(SystemExit) as stop:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: {usage}")


QUICK = """
import sys
from hf_imgcls.cli import main
from hf_imgcls.recipe import shipped_recipes
recipe = str(shipped_recipes()["mnist_convnet"])
for command in ("check", "train"):
    for wrong in ("training.learning_rat=1", "training.bf16=1", 'augmentation.train=["Resiz"]', "data.path=no/such/x"):
        assert main([command, recipe, wrong]) == 2
heavy = sys.modules.keys() & {"torch", "transformers", "datasets", "numpy"}
assert not heavy, heavy
for words in ([], ["--json"], ["--sort", "test"]):
    assert main(["runs", sys.argv[1], *words]) == 0
heavy = sys.modules.keys() & {"torch", "transformers", "datasets", "accelerate"}
assert not heavy, heavy
"""


def test_mistakes_in_a_recipe_are_found_and_runs_are_listed_without_importing_anything_heavy(tmp_path):
    made_run(tmp_path / "run")
    json_schema()  # fills the cache of what is installed
    done = subprocess.run([sys.executable, "-c", QUICK, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 8


FROM_A_WHEEL = """
import sys
from pathlib import Path
sys.path[:] = [sys.argv[1], *sys.path[1:]]  # in place of this checkout
import hf_imgcls
from hf_imgcls.cli import main
from hf_imgcls.recipe import load_recipe
assert Path(hf_imgcls.__file__).is_relative_to(sys.argv[1]), hf_imgcls.__file__
assert main(["recipes"]) == 0
assert main(["recipes", "digits_resnet"]) == 0
load_recipe("recipes/digits_resnet.json")
assert Path("recipes/digits/train.parquet").is_file() and Path("recipes/recipe.schema.json").is_file()
main(["--version"])
"""


def test_a_wheel_brings_the_recipes_the_schema_and_the_digits(tmp_path):
    copy, target, elsewhere = (tmp_path / name for name in ("copy", "target", "elsewhere"))
    for name in ("hf_imgcls", "recipes"):
        shutil.copytree(PACKAGE.parent / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(PACKAGE.parent / name, copy)
    build = "from setuptools import build_meta; build_meta.build_wheel('..')"
    subprocess.run([sys.executable, "-c", build], cwd=copy, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(target)
    elsewhere.mkdir()
    json_schema()  # fills the cache of what is installed
    done = run_fresh(FROM_A_WHEEL, str(target), environment={"PYTHONPATH": None}, folder=elsewhere)
    assert done.returncode == 0, done.stderr
    assert f"hf-imgcls {hf_imgcls.__version__}" in done.stdout
    modules = {path.relative_to(PACKAGE.parent) for path in PACKAGE.rglob("*.py")}
    assert {path.relative_to(target) for path in (target / "hf_imgcls").rglob("*.py")} >= modules
    page = {path.relative_to(PACKAGE.parent) for path in (PACKAGE / "serving/web/page").iterdir()}
    assert [path for path in page if not (target / path).is_file()] == []
    for name in ("recipe.schema.json", "launch/two_cpu_processes.yaml"):
        assert (target / "hf_imgcls/recipe/shipped" / name).is_file()


def test_every_module_imports_and_says_what_it_is_for():
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        assert importlib.import_module(name).__doc__, name
