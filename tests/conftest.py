"""Offline, on the CPU, with caches of their own; small data made here."""

import contextlib
import gc
import io
import json
import os
import sys
import tempfile

# Before anything imports the Hugging Face libraries: they read these once.
_CACHE = tempfile.TemporaryDirectory(prefix="hf_imgcls_tests_")
os.environ.update(
    HF_HOME=_CACHE.name,
    HF_DATASETS_CACHE=f"{_CACHE.name}/datasets",
    HF_HUB_OFFLINE="1",
    HF_DATASETS_DISABLE_PROGRESS_BARS="1",
    ACCELERATE_USE_CPU="true",
    TOKENIZERS_PARALLELISM="false",
    RAY_AUTH_MODE="disabled",  # else Ray writes a token into the home folder
    RAY_USAGE_STATS_ENABLED="0",
)
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Importing it takes 2 s, and every run would make maps: those of a test have it by the fixture `explaining`.
sys.modules["pytorch_grad_cam"] = None

import fresh  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
from chromium import open_chromium  # noqa: E402
from PIL import Image  # noqa: E402
from undrawn import Plots  # noqa: E402

COLOURS = {"blue": (20, 30, 200), "green": (30, 180, 40), "red": (200, 30, 20)}


def pytest_configure(config):
    """One server of fresh processes for all workers; it ends with the process that starts it here."""
    if not hasattr(config, "workerinput"):
        server = fresh.start_server(_CACHE.name)
        config.add_cleanup(server.communicate)


def pytest_collection_finish():
    """What is imported by now stays: every training collects garbage, and would look through all of it each time."""
    import datasets

    gc.collect()
    gc.freeze()
    datasets.config.STREAMING_READ_RETRY_INTERVAL = 0  # seconds between two tries of a file that cannot be read
    if torch := sys.modules.get("torch"):
        # Seconds that a loader waits for its workers where the garbage collector ends it, as after an error in one: its
        # queue is taken down before it can tell them.
        torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL = 0.5


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA GPU")


def pytest_sessionfinish():
    gc.unfreeze()  # or triton calls everything frozen a leak


@pytest.fixture
def undrawn(monkeypatch):
    """A run prepares its plots and has their files, but matplotlib, tested elsewhere, does not draw them."""
    for drawing in ("figures", "trials"):
        monkeypatch.setattr(f"hf_imgcls.reports.{drawing}.import_plots", Plots)


@pytest.fixture
def without_folds(monkeypatch):
    """A validation split, however small, chooses the penalty of a solved head without the folds of train beside it."""
    monkeypatch.setattr("hf_imgcls.training.regression._FEW", 0)


@pytest.fixture
def explaining(monkeypatch):
    """The library that makes maps is installed."""
    monkeypatch.delitem(sys.modules, "pytorch_grad_cam")


@pytest.fixture(scope="session")
def _chromium(tmp_path_factory):
    with open_chromium(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@pytest.fixture
def browser(_chromium):
    """A real browser, started once, that has nothing open and has logged nothing."""
    yield _chromium
    _chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    _chromium.get("about:blank")
    for log in ("performance", "browser"):
        _chromium.get_log(log)


@pytest.fixture
def model(tmp_path) -> str:
    """The folder of a saved ViT of three classes."""
    from tiny import tiny_model, tiny_processor

    tiny_model("vit").save_pretrained(tmp_path / "model")
    tiny_processor().save_pretrained(tmp_path / "model")
    return str(tmp_path / "model")


@pytest.fixture
def data(make_folder):
    """A training split of 12 images and a validation split of 6, loaded."""
    from hf_imgcls.data import load_data
    from hf_imgcls.recipe.sections import DataSection

    return load_data(DataSection(path=str(make_folder(train=4, validation=2))))


@pytest.fixture
def down(monkeypatch) -> set[str]:
    """Names of images whose server fails for now; a test adds them."""
    from hf_imgcls.serving import reading
    from hf_imgcls.serving.urls import TemporaryError

    read, names = reading.read_source, set()

    def fail(name, limits):
        if name in names:
            raise TemporaryError("temporary: HTTPError: HTTP Error 503: Service Unavailable")
        return read(name, limits)

    monkeypatch.setattr(reading, "read_source", fail)
    return names


@pytest.fixture
def write_recipe(make_folder, tmp_path, monkeypatch):
    """Write recipe.json in the present folder, on photos and a saved ViT there: `write_recipe(content, train=4)`."""
    from tiny import tiny_model, tiny_processor

    monkeypatch.chdir(tmp_path)

    def write(content: dict, **splits: int):
        tiny_model("vit").save_pretrained("checkpoint")
        tiny_processor().save_pretrained("checkpoint")
        own = {"data": {"path": str(make_folder(**splits))}, "model": {"checkpoint": str(tmp_path / "checkpoint")}}
        (tmp_path / "recipe.json").write_text(json.dumps({**own, **content}))
        return tmp_path / "recipe.json"

    return write


def make_image(colour: str, number: int, size: tuple[int, int] = (24, 20)) -> Image.Image:
    """A noisy image of one colour, different for every number, the same in every run."""
    random = np.random.default_rng([list(COLOURS).index(colour), number])
    noise = random.integers(-40, 40, (size[1], size[0], 3))
    return Image.fromarray(np.clip(np.array(COLOURS[colour]) + noise, 0, 255).astype(np.uint8))


@pytest.fixture
def make_folder(tmp_path):
    """Make a folder of class folders: `make_folder(train=6, test=3)`, or `make_folder(6)` without split folders."""

    def make(each: int | None = None, name: str = "photos", classes=tuple(COLOURS), **splits: int):
        root = tmp_path / name
        for split, count in ({"": each} if each else splits).items():
            offset = 1000 * ["", "train", "validation", "test"].index(split)
            for colour in classes:
                folder = root / split / colour
                folder.mkdir(parents=True)
                for number in range(count):
                    make_image(colour, offset + number).save(folder / f"{number:03d}.png")
        return root

    return make


@pytest.fixture(autouse=True)
def _environment_of_accelerate():
    """accelerate leaves what a training asked for (precision, FSDP) in the environment of the next test."""
    before = {name: value for name, value in os.environ.items() if name.startswith("ACCELERATE_")}
    yield
    for name in [name for name in os.environ if name.startswith("ACCELERATE_")]:
        del os.environ[name]
    os.environ |= before


@pytest.fixture(scope="module")
def bucket():
    """The address of an empty bucket of a stand-in for S3, which credentials of the environment open."""
    from object_store import serve_s3

    with serve_s3() as address:
        yield address


@pytest.fixture(scope="session")
def exported_run(tmp_path_factory):
    """(folder of a run, of its ONNX export with --quantize, standard output, standard error)."""
    from exporting import make_photos, save

    from hf_imgcls.cli import main

    place = tmp_path_factory.mktemp("exported")
    run = save(place / "colours", "vit", make_photos(place / "photos", train=2, test=10))
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        assert main(["export", str(run), "--quantize"]) == 0
    return run, place / "colours-onnx", out.getvalue(), err.getvalue()
