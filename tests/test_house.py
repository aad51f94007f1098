"""Who imports whom: a layer imports only layers to its left, as their `__init__.py` exports it, without circles."""

import ast
from pathlib import Path

import pytest

import hf_imgcls

PACKAGE = Path(hf_imgcls.__file__).parent
# Layers in one set never import each other; what is right of a layer is never imported by it.
ORDER = (
    {"errors", "words", "scoring"}, {"store"}, {"recipe"}, {"machine", "images"}, {"data", "models"},
    {"training", "serving"}, {"reports"}, {"publishing"}, {"api"}, {"commands"}, {"cli"},
    {"train", "predict", "__main__"},
)  # fmt: skip
PLACE = {name: place for place, names in enumerate(ORDER) for name in names}
FILES = sorted(PACKAGE.rglob("*.py"))


def imports(file: Path) -> list[str]:
    """The modules of this package that a file imports, wherever in it."""
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            inner = [f"{node.module}.{alias.name}" for alias in node.names if alias.name != "__version__"]
            found += [name if is_module(name) else node.module for name in inner]
    return [name for name in found if name.split(".")[0] == "hf_imgcls"]


def is_module(name: str) -> bool:
    path = PACKAGE.parent.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or path.is_dir()


def module_name(file: Path) -> str:
    return ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_layer_imports_only_what_layers_to_its_left_export(file):
    own = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if own == "__init__":
        return  # its names are imported when they are used
    for name in imports(file):
        layer, *inner = [*name.split(".")[1:]] or [""]
        if layer == own:
            continue
        assert PLACE[layer] < PLACE[own], f"{own} may not import {layer}: it does not stand to its left"
        assert not inner, f"{name}: import what hf_imgcls.{layer} exports"


def test_there_are_no_import_circles():
    edges = {module_name(file): {n for n in imports(file) if is_module(n)} for file in FILES}
    # An import of an `__init__.py` is one of what it re-exports. A module imports modules of its own layer only.
    done, path = set(), []

    def visit(name: str) -> None:
        if name in done:
            return
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        path.append(name)
        for other in edges.get(name, ()):
            visit(other)
        done.add(path.pop())

    for name in edges:
        visit(name)


def test_there_are_few_layers_and_each_has_its_place_in_the_order():
    layers = {p.stem for p in PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").is_file()}
    assert len(layers) <= 20
    assert layers - {"__init__"} == set(PLACE)


@pytest.mark.parametrize("file", sorted(PACKAGE.glob("*/__init__.py")), ids=lambda file: file.parent.name)
def test_an_init_re_exports_and_does_nothing_else(file):
    allowed = (ast.ImportFrom, ast.Expr, ast.Assign)
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        assert isinstance(node, allowed)
        if isinstance(node, ast.Expr):
            assert isinstance(node.value, ast.Constant)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_cores_are_counted_as_a_container_limits_them(file):
    """`os.cpu_count` sees those of the whole machine: machine/hardware.py counts with joblib."""
    assert "cpu_count" not in file.read_text(encoding="utf-8").replace("joblib.cpu_count", "")


def test_what_is_printed_is_clean():
    """Names of strangers reach a terminal without control characters: rows of predictions and JSON are made so."""
    nodes = [node for file in FILES for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    calls = [node for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    for printed in [ast.unparse(call) for call in calls if call.func.id == "print"]:
        assert any(word in printed for word in ("clean(", "clean,", "one_line(", "print(text, end=''", "json.dumps"))
