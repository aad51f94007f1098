"""The images to predict, listed one at a time; and reading an image from a file or a URL."""

import http.server
import io
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import make_image
from web import serve

from hf_imgcls.data.folders import scan_folder
from hf_imgcls.errors import InputError, ReadError
from hf_imgcls.images import UnusableImage, why_unreadable
from hf_imgcls.serving import urls
from hf_imgcls.serving.image_list import (
    READ_ERRORS,
    display_name,
    find_images,
    name_hash,
    read_list,
    read_source,
    write_list,
)
from hf_imgcls.store import write_stored
from hf_imgcls.words import as_json


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder `photos` with what folders hold, in the working directory."""
    monkeypatch.chdir(tmp_path)
    for name in ("b.png", "a.JPG", "red/2.png", "red/1.png", ".hidden/x.png", "__MACOSX/x.png", "red/.x.png"):
        file = tmp_path / "photos" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        make_image("red", 1).save(file, format="PNG")
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"")
    (tmp_path / "photos" / "notes.txt").write_text("no image")
    make_image("red", 1).save(tmp_path / "photos" / "without", format="PNG")
    (tmp_path / "empty").mkdir()
    return tmp_path / "photos"


FOUND = ["photos/a.JPG", "photos/b.png", "photos/broken.jpg", "photos/without", "photos/red/1.png", "photos/red/2.png"]


def listed(text: bytes, monkeypatch) -> list[str]:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
    return list(find_images(["-"]))


def test_a_folders_images_are_sorted_and_come_before_those_of_its_folders(photos):
    assert list(find_images(["photos"])) == FOUND
    assert list(find_images(["./photos//"])) == FOUND


def test_links_are_followed_once_and_never_back_up(photos):
    (photos / "red" / "up").symlink_to(photos.parent)
    (photos / "red" / "round").symlink_to(photos)
    (photos / "red" / "self").symlink_to("self")
    (photos / "zoo").symlink_to(photos.parent / "elsewhere")
    (photos.parent / "elsewhere").mkdir()
    make_image("red", 1).save(photos.parent / "elsewhere" / "3.png")
    assert list(find_images(["photos"])) == [*FOUND, "photos/zoo/3.png"]


def test_patterns_files_and_urls(photos):
    assert list(find_images(["photos/*.png", "photos/notes.txt"])) == ["photos/b.png", "photos/notes.txt"]
    assert list(find_images(["photos/r*"])) == FOUND[-2:]
    assert sorted(find_images(["photos/**"])) == sorted(FOUND)
    assert list(find_images(["https://x.org//a.png"])) == ["https://x.org//a.png"]
    (photos / "b[1].png").write_bytes(b"")
    assert list(find_images(["photos/b[1].png"])) == ["photos/b[1].png"]  # not a pattern where there is such a file


def test_a_list_on_standard_input(photos, monkeypatch):
    text = b"photos/b.png\r\n\nphotos/red\nno/such.png\nhttp://x.org/a.png\ncaf\xe9.png"
    assert listed(text, monkeypatch) == [
        "photos/b.png", "photos/red/1.png", "photos/red/2.png", "no/such.png", "http://x.org/a.png",
        os.fsdecode(b"caf\xe9.png"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["photos/no.png"], "photos/no.png: no such file or folder"),
        (["empty"], "empty: no images in this folder, nor in those below it"),
        (["photos/*.gif"], r"photos/\*.gif: no image matches this pattern"),
        (["photos/*.txt"], "no image matches"),
        (["-"], "-: the list on standard input is empty"),
    ],
)
def test_missing_images_are_an_error(words, message, photos, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\n")))
    with pytest.raises(InputError, match=message):
        list(find_images(["photos/b.png", *words]))


def test_names_are_found_one_at_a_time(photos):
    names = find_images(["photos/b.png", "nowhere"])
    assert next(names) == "photos/b.png"
    with pytest.raises(InputError):
        next(names)


def test_a_list_has_each_name_once_without_those_done_and_is_distributed_in_turn(tmp_path):
    file, names = tmp_path / "list", ["a", "b", "a", "c", "line\nbreak", os.fsdecode(b"\xe9"), "d"]
    done = {name_hash("c"), name_hash("gone")}
    with file.open("w", encoding="ascii") as stream:
        assert write_list(iter(names), done, stream) == (5, 1, len("line\\nbreak"))
    left = ["a", "b", "line\nbreak", os.fsdecode(b"\xe9"), "d"]
    assert list(read_list(file, 0, 1)) == left
    assert [list(read_list(file, i, 2)) for i in (0, 1)] == [left[0::2], left[1::2]]


def test_a_name_is_displayed_in_one_line_of_valid_text():
    assert display_name("photos/кот.png") == "photos/кот.png"
    assert display_name("a\r\nb") == "a\\r\\nb"
    assert display_name(os.fsdecode(b"caf\xe9")).encode() == b"caf\\udce9"


class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/gone.png":
            return self.send_error(404)
        self.send_response(302 if self.path == "/moved" else 200)
        self.send_header("Location", "/a%20%C3%A9.png")
        self.end_headers()
        if self.path == "/a%20%C3%A9.png":
            make_image("red", 7).save(self.wfile, format="PNG")
        elif self.path == "/large":
            self.wfile.write(bytes(1_000_001))
        return None

    def log_message(self, *words):
        pass


@pytest.fixture(scope="module")
def address():
    with serve(Server) as address:
        yield address


def test_an_image_is_read_from_a_url(address):
    for name in ("/a%20é.png", "/a é.png", "/moved"):
        assert read_source(address + name).tobytes() == make_image("red", 7).tobytes()


def test_the_reason_why_a_url_gives_no_image(address, monkeypatch):
    def reason(name: str) -> str:
        with pytest.raises(READ_ERRORS) as caught:
            read_source(name)
        return why_unreadable(caught.value)

    monkeypatch.setattr(urls, "_PAUSES", ())
    assert reason(f"{address}/gone.png") == "HTTPError: HTTP Error 404: Not Found"
    assert reason(f"{address}/page") == "not an image, or its header is broken"
    assert "refused" in reason("http://127.0.0.1:1/a.png")
    assert "URLError" in reason("http://")
    monkeypatch.setattr(urls, "_MAX_BYTES", 1_000_000)
    assert reason(f"{address}/large") == "ValueError: larger than 1 MB"


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for name, reason in (
        ("pipe.png", "a pipe, socket or device, not a file"),
        ("none.png", "no such file"),
        ("", "a folder, not a file"),
    ):
        with pytest.raises(READ_ERRORS) as caught:
            read_source(str(tmp_path / name))
        assert why_unreadable(caught.value) == reason
    with pytest.raises(InputError, match=r"pipe.png: neither a file nor a folder"):
        list(find_images([str(tmp_path / "pipe.png")]))


def test_a_folder_gives_the_images_that_training_reads(photos, monkeypatch):
    monkeypatch.chdir(photos.parent)
    for name in ("blue/3.png", "blue/deep/4", "blue/.5.png", "blue/notes.txt", "blue/__MACOSX/6.png"):
        file = photos / name
        file.parent.mkdir(parents=True, exist_ok=True)
        make_image("red", 1).save(file, format="PNG") if "notes" not in name else file.write_text("no image")
    trained = {str(Path("photos", entry.name)) for entry in scan_folder(photos)[0]["train"]}
    assert trained == set(find_images(["photos/blue", "photos/red"]))


def test_a_signed_address_is_shown_without_its_signature_and_not_as_another_one():
    names = [f"https://h/x.jpg?key={key}&w=9" for key in ("first", "second")]
    shown = [display_name(name) for name in names]
    assert shown[0].startswith("https://h/x.jpg?key=***")
    assert shown[0].endswith("&w=9")
    assert len(set(shown)) == 2
    assert "first" not in shown[0]
    for name in (*names, "https://me:pass@h/x.jpg"):
        assert json.loads(as_json(display_name(name))) == display_name(name)


def test_addresses_are_files_or_folders_of_images(tmp_path, monkeypatch):
    root = f"memory://{tmp_path.name}"
    image = io.BytesIO()
    make_image("red", 1).save(image, "PNG")
    for name in ("b/2.png", "a.png", "b/notes.txt", "b/.hidden.png", "b/1.JPG"):
        write_stored(f"{root}/{name}", image.getvalue())
    found = list(find_images([root]))
    assert [name.partition(tmp_path.name)[2] for name in found] == ["/a.png", "/b/1.JPG", "/b/2.png"]
    assert list(find_images([f"{root}/b/notes.txt"])) == [f"{root}/b/notes.txt"]
    listed = SimpleNamespace(buffer=io.BytesIO(f"{root}/a.png\n{root}/b/\n".encode()))
    monkeypatch.setattr("sys.stdin", listed)
    assert [name.rpartition("/")[2] for name in find_images(["-"])] == ["a.png", "1.JPG", "2.png"]
    assert read_source(found[2]).getpixel((0, 0)) == make_image("red", 1).getpixel((0, 0))
    write_stored(f"{root}/none/x.txt", b"")
    for folder, line in (("none", "no images there"), ("missing", "no such bucket or file")):
        with pytest.raises(InputError, match=line):
            list(find_images([f"{root}/{folder}"]))


def test_an_image_that_is_not_at_its_address_is_one_bad_image_and_a_failing_service_is_asked_again(monkeypatch):
    with pytest.raises(UnusableImage, match="no such file"):
        read_source("memory://nothing/here.png")

    def fail(name, most):
        raise ReadError("s3://b/x cannot be read at present")

    monkeypatch.setattr(urls, "read_stored", fail)
    with pytest.raises(urls.TemporaryError, match=r"^temporary: "):
        read_source("memory://nothing/here.png")
