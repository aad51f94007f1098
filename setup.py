"""Builds the package with the shipped recipes in it; everything else is in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithRecipes(build_py):
    """Copies `recipes/` to where `hf_imgcls.recipe.shipped` finds it in an installation."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:  # which reads the checkout's own
            target = Path(self.build_lib, "hf_imgcls", "recipe", "shipped")
            shutil.copytree("recipes", target, ignore=shutil.ignore_patterns("*.py"), dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithRecipes})
