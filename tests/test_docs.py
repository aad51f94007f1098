"""README and docs/ cannot rot: links, commands, recipes, keys and Python lines are checked against the package."""

import ast
import importlib.util
import json
import logging
import re
import shlex
from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config

import hf_imgcls
from hf_imgcls.cli import main
from hf_imgcls.commands import COMMANDS
from hf_imgcls.recipe import json_schema, load_recipe

ROOT = Path(__file__).parent.parent
README, KOREAN = ROOT / "README.md", ROOT / "README.ko.md"
PAGES = [README, KOREAN, *(ROOT / name for name in ("CONTRIBUTING.md", "recipes/README.md", "notebooks/README.md"))]
PAGES += sorted((ROOT / "docs").glob("*.md"))
SMALL = {"data": {"path": "photos"}, "model": {"checkpoint": "some/model"}, "training": {"output_dir": "runs/x"}}


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    """Every command line of this package in the pages, without prompt, launcher and comment."""
    found = []
    for page in PAGES:
        lines = [line.removeprefix("$ ") for block in blocks(page, "console") for line in block.splitlines()]
        lines += re.findall(r"`(hf-imgcls \w[^`\n]* [^`\n]*)`", page.read_text(encoding="utf-8"))
        for line in lines:
            line = re.sub(r"^(\w+=\S+ )+", "", line)
            if line.startswith("accelerate launch"):
                line = re.sub(r"^.* (-m hf_imgcls\.|hf_imgcls/)(\w+)(\.py)?", r"hf-imgcls \2", line)
            if line.startswith("hf-imgcls "):
                found.append(line.removeprefix("hf-imgcls ").strip())
    return sorted(set(found))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_to_files_and_headings(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"{page}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert anchor in slugs, f"{page}: {target}"


def test_the_site_builds_without_a_warning(tmp_path, caplog):
    config = load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(tmp_path))
    with caplog.at_level(logging.WARNING, "mkdocs"):
        build(config)  # strict: a broken link, anchor or page of the navigation ends it
    assert not [record for record in caplog.records if record.name.startswith("mkdocs")]
    assert "data.path" in (tmp_path / "data.html").read_text(encoding="utf-8")
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert not re.search(r'(src|href)="https?://(?!squidfunk)', page), "the site works offline"


def test_the_tables_of_keys_are_current():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    text = generate.PAGE.read_text(encoding="utf-8")
    for name, block in generate.blocks().items():
        if name != "keys" and json_schema()["$comment"] not in text:
            continue  # generated for other versions of transformers and torchvision
        assert block in text, f"{name}: run `make docs`"


def test_every_command_is_shown_somewhere():
    shown = {line.split()[0] for line in commands()}
    assert shown >= set(COMMANDS)


def test_the_tests_that_are_named_are_there():
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    known = {file.stem for file in files} | set(re.findall(r"def (test_\w+)", "\n".join(map(Path.read_text, files))))
    named = re.findall(r"\btest_\w+", (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8"))
    assert sorted({*named} - known) == []


def test_the_table_of_commands_has_all_of_them():
    text = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `hf-imgcls ([a-z-]+)` \|", text, re.MULTILINE)
    assert sorted(rows) == sorted(COMMANDS)


@pytest.mark.parametrize("line", commands())
def test_a_command_line_is_one_that_the_command_takes(line, monkeypatch):
    """Options, and of a recipe its overrides; what the command would do is left out."""
    ran = []
    for command in COMMANDS.values():
        monkeypatch.setattr(command, "run", ran.append)
    words = shlex.split(line, comments=True)
    assert main(words) == 0
    (options,) = ran
    if words[0] in ("train", "check", "benchmark") and "learning_rat=" not in line:
        file = ROOT / options.recipe
        load_recipe(file if file.is_file() else SMALL, [word for word in options.overrides if "=" in word])


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_recipes_in_the_pages_load(page):
    for block in blocks(page, "json"):
        content = json.loads(block if block.startswith("{") else f"{{{block}}}")
        load_recipe({**SMALL, **content}, ["training.output_dir=runs/x"])


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_python_in_the_pages_compiles_and_imports_what_there_is(page):
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module == "hf_imgcls":
                assert {alias.name for alias in node.names} <= set(dir(hf_imgcls))


def test_every_public_name_stands_in_the_page_of_the_python_api():
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    assert not [name for name in hf_imgcls.__all__ if not re.search(rf"`{name}\b", text)]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_keys_that_a_page_names_are_keys_of_a_recipe(page):
    definitions = json_schema()["$defs"]
    for section, key in re.findall(r"`(data|model|augmentation|loss|training)\.([a-z_0-9]+)", page.read_text("utf-8")):
        if f"{section}.{key}" not in ("model.safetensors", "model.onnx"):
            assert key in definitions[f"{section.capitalize()}Section"]["properties"], f"{section}.{key}"


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 200


def test_the_korean_readme_is_in_step_with_the_english_one():
    """Headings, commands, code, links, figures and the tree; its sentences and comments are its own."""

    def of(page: Path) -> dict[str, list]:
        text = page.read_text(encoding="utf-8")
        lines = [line.split("#")[0].split() for block in blocks(page, "console") for line in block.splitlines()]
        printed, tree = blocks(page, "text")
        prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
        links = re.findall(r"\]\(([^)\s]+)\)", prose)
        return {
            "headings": re.findall(r"^#+ ", prose, re.MULTILINE),
            "commands": lines,
            "code": [block for language in ("json", "python") for block in blocks(page, language)],
            "printed": [printed],
            "tree": [line.split()[0] for line in tree.splitlines()],
            "figures": sorted(re.findall(r"0\.\d{2,}", prose)),
            "names": sorted(set(re.findall(r"`[^`\n]+`", prose))),
            "links": sorted(link for link in links if not link.startswith("README")),
        }

    english, korean = of(README), of(KOREAN)
    for what in english:
        assert korean[what] == english[what], what


def test_the_changelog_has_this_version():
    assert f"\n## {hf_imgcls.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
