"""The package as a whole: names, imports, what is public."""

import importlib
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import hf_imgcls

PACKAGE = Path(hf_imgcls.__file__).parent


def test_no_module_has_the_name_of_a_package_that_anything_imports():
    # Launching hf_imgcls/train.py puts hf_imgcls/ first on the path: its modules hide packages of the same name.
    taken = set(sys.stdlib_module_names) | set(metadata.packages_distributions())
    modules = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()} - {"__init__"}
    assert modules & taken == set()


@pytest.mark.parametrize("name", hf_imgcls.__all__)
def test_public_names_are_documented(name):
    assert getattr(hf_imgcls, name).__doc__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = hf_imgcls.trian


@pytest.mark.parametrize("statement", ["import hf_imgcls", "from hf_imgcls.cli import main; main(['--help'])"])
def test_nothing_heavy_is_imported_for_help(statement):
    script = f"""
import sys
try:
    {statement}
except SystemExit as stop:
    assert stop.code == 0
heavy = sys.modules.keys() & {{"torch", "transformers", "datasets", "numpy", "pydantic"}}
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_module_imports_and_says_what_it_is_for():
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        assert importlib.import_module(name).__doc__, name
