"""`ImageClassifier` in an app: the example runs unchanged behind a real server."""

import contextlib
import io
import re
import runpy
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import uvicorn
from conftest import make_image
from huggingface_hub.utils import httpx
from PIL import Image
from tiny import tiny_model, tiny_processor
from transformers import pipeline

from hf_imgcls.images.limits import Limits
from hf_imgcls.serving import page

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("file", ["hf_imgcls/serving/page.py", "hf_imgcls/publishing/handler.py"])
def test_what_runs_without_this_package_has_its_limits(file):
    numbers = re.search(r"^MAX_PIXELS, MAX_ASPECT_RATIO = ([\d_]+), ([\d_]+)", (ROOT / file).read_text(), re.MULTILINE)
    assert tuple(map(int, numbers.groups())) == Limits()


def save_model(root: Path) -> Path:
    """A model where the example looks for one."""
    folder = root / "runs" / "photos_vit"
    tiny_model("vit").save_pretrained(folder)
    tiny_processor().save_pretrained(folder)
    return folder


@contextlib.contextmanager
def served(file: Path, name: str = "app"):
    """An app of a file behind a real server: its address."""
    server = uvicorn.Server(uvicorn.Config(runpy.run_path(str(file))[name], port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def address(tmp_path, monkeypatch):
    save_model(tmp_path)
    monkeypatch.chdir(tmp_path)
    with served(ROOT / "examples" / "app.py") as place:
        yield f"{place}/classify"


def assert_same(predicted: list[dict], served: list[dict]) -> None:
    assert [each["label"] for each in predicted] == [each["label"] for each in served]
    assert [each["score"] for each in predicted] == pytest.approx([each["score"] for each in served], abs=1e-6)


def test_the_app_predicts_as_pipeline_does_and_continues_after_a_broken_image(address, tmp_path):
    make_image("red", 3).save(tmp_path / "a.png")
    photo = (tmp_path / "a.png").read_bytes()
    response = httpx.post(f"{address}?top_k=2", files={"image": ("a.png", photo)})
    serve = pipeline("image-classification", model="runs/photos_vit")
    assert_same(response.json(), serve("a.png", top_k=2))
    # Pillow opens it and pipeline predicts it; what is turned a second time stumbles over its EXIF data.
    make_image("red", 3).save(tmp_path / "exif.jpg", exif=b"Exif\0\0\xff\xff\xff\xff\0\0\0\x08")
    response = httpx.post(address, files={"image": ("exif.jpg", (tmp_path / "exif.jpg").read_bytes())})
    assert_same(response.json(), serve("exif.jpg"))
    assert serve("exif.jpg") == serve(page.load("exif.jpg"))
    for broken in (b"", b"no image", photo[: len(photo) // 2]):
        response = httpx.post(address, files={"image": ("b.png", io.BytesIO(broken))})
        assert response.status_code == 422
        assert response.json()["detail"].startswith("the image cannot be read: ")
    assert httpx.post(address, files={"image": ("a.png", photo)}).status_code == 200


def test_what_is_too_large_or_no_image_is_the_clients_error(address):
    def status(content, name="a.png", query="", **others) -> int:
        return httpx.post(address + query, files={"image": (name, content)}, **others).status_code

    bomb, drawing, program = io.BytesIO(), io.BytesIO(), b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n"
    Image.new("1", (13_000, 13_000)).save(bomb, "PNG")
    make_image("red", 1).save(drawing, "GIF", save_all=True, append_images=[make_image("blue", 1)] * 3)
    assert status(bomb.getvalue()) == 422
    assert status(program, "a.eps") == 422
    assert status(b"\x89PNG\r\n\x1a\n" + b"\0" * 60) == 422
    assert status(drawing.getvalue(), "a.gif") == 200
    assert [status(drawing.getvalue(), query=f"?top_k={n}") for n in ("0", "-1", "many", "1000")] == [
        422,
        422,
        422,
        200,
    ]
    assert httpx.post(address, json={"image": "a.png"}).status_code == 422
    assert httpx.post(address, data={"image": "a.png"}).status_code == 422
    assert httpx.post(address, content=b"--", headers={"content-type": "multipart/form-data"}).status_code == 400
    with socket.create_connection(address.split("/")[2].split(":")) as client:
        client.sendall(b"POST /classify HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\n")
        client.sendall(b"Content-Length: 99999999999\r\n\r\n--b\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 413 ")
    begin = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    chunked = (begin if number == 0 else b"0" * (8 << 20) for number in range(10))
    headers = {"content-type": "multipart/form-data; boundary=b"}
    with pytest.raises(httpx.HTTPStatusError, match="413"):
        httpx.post(address, content=chunked, headers=headers).raise_for_status()
    with socket.create_connection(address.split("/")[2].split(":")) as client:  # one that goes away
        client.sendall(b"POST /classify HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\n")
        client.sendall(b"Content-Length: 99\r\n\r\n--b\r\n")
    assert status(drawing.getvalue(), "a.gif") == 200


def test_one_image_is_decoded_at_a_time(tmp_path, monkeypatch, request):
    running, most = [], []

    def load(image):
        running.append(1)
        most.append(len(running))
        time.sleep(0.05)
        running.pop()
        return image.convert("RGB")

    monkeypatch.setattr("hf_imgcls.images.read.load_image", load)
    address = request.getfixturevalue("address")
    make_image("red", 3).save(tmp_path / "a.png")
    photo = (tmp_path / "a.png").read_bytes()
    with ThreadPoolExecutor(4) as pool:
        send = partial(httpx.post, address, files={"image": ("a.png", photo)})
        assert [job.result().status_code for job in [pool.submit(send) for _ in range(4)]] == [200] * 4
    assert most == [1] * 4


def test_the_documentation_shows_the_example_as_it_is():
    assert (ROOT / "examples" / "app.py").read_text() in (ROOT / "docs" / "serving.md").read_text()
