"""`pipeline` in an app: the example runs unchanged behind a real server."""

import io
import re
import runpy
import threading
import time
from pathlib import Path

import pytest
import uvicorn
from conftest import make_image
from huggingface_hub.utils import httpx
from tiny import tiny_model, tiny_processor
from transformers import pipeline

from hf_imgcls.images.limits import Limits

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("file", ["examples/app.py", "hf_imgcls/serving/page.py"])
def test_what_runs_without_this_package_has_its_limits(file):
    numbers = re.search(r"^MAX_PIXELS, MAX_ASPECT_RATIO = ([\d_]+), ([\d_]+)", (ROOT / file).read_text(), re.MULTILINE)
    assert tuple(map(int, numbers.groups())) == Limits()


@pytest.fixture
def address(tmp_path, monkeypatch):
    """The example, served, with a model where it looks for one."""
    folder = tmp_path / "runs" / "photos_vit"
    tiny_model("vit").save_pretrained(folder)
    tiny_processor().save_pretrained(folder)
    monkeypatch.chdir(tmp_path)
    app = runpy.run_path(str(ROOT / "examples" / "app.py"))["app"]
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/classify"
    server.should_exit = True
    thread.join()


def test_the_app_predicts_as_pipeline_does_and_continues_after_a_broken_image(address, tmp_path):
    make_image("red", 3).save(tmp_path / "a.png")
    photo = (tmp_path / "a.png").read_bytes()
    response = httpx.post(f"{address}?top_k=2", files={"image": ("a.png", photo)})
    serve = pipeline("image-classification", model="runs/photos_vit")
    assert response.json() == serve("a.png", top_k=2)
    for broken in (b"", b"no image", photo[: len(photo) // 2]):
        response = httpx.post(address, files={"image": ("b.png", io.BytesIO(broken))})
        assert response.status_code == 422
        assert "b.png cannot be read" in response.json()["detail"]
    assert httpx.post(address, files={"image": ("a.png", photo)}).status_code == 200


def test_the_documentation_shows_the_example_as_it_is():
    assert (ROOT / "examples" / "app.py").read_text() in (ROOT / "docs" / "serving.md").read_text()
