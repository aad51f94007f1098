"""Images from URLs: what a server's failure says of an image, and what is tried again."""

import http.server
import socket
from typing import ClassVar

import pytest
from conftest import make_image
from web import serve

from hf_imgcls.errors import ReadError
from hf_imgcls.images import why_unreadable
from hf_imgcls.serving import urls
from hf_imgcls.serving.image_list import READ_ERRORS, read_source
from hf_imgcls.serving.urls import TemporaryError


class Server(http.server.BaseHTTPRequestHandler):
    """Answers `/STATUS/TIMES` so many times with that status, then with an image; counts the requests of each path."""

    requests: ClassVar[list[str]] = []

    def do_GET(self):
        self.requests.append(self.path)
        _, status, times = self.path.split("/")
        fails = self.requests.count(self.path) <= int(times)
        if fails and status == "drop":
            return None
        self.send_response(int(status) if fails and status.isdigit() else 200)
        if fails and status == "429":
            self.send_header("Retry-After", "3")
        if fails and status == "cut":
            self.send_header("Content-Length", "100000")
        self.end_headers()
        make_image("red", 7).save(self.wfile, format="PNG")
        return None

    def log_message(self, *words):
        pass


@pytest.fixture(scope="module")
def address():
    with serve(Server) as address:
        yield address


@pytest.fixture
def waited(monkeypatch):
    """The pauses, none of which is made."""
    pauses = []
    monkeypatch.setattr(urls.time, "sleep", pauses.append)
    monkeypatch.setattr(urls, "_failing", set())
    Server.requests.clear()
    return pauses


@pytest.mark.parametrize("status", ["500", "503", "408", "drop", "cut"])
def test_a_failure_that_passes_is_tried_again_at_once(status, address, waited):
    assert read_source(f"{address}/{status}/2").tobytes() == make_image("red", 7).tobytes()
    assert waited == [0.5, 2.0]


def test_a_server_that_is_busy_is_waited_for_as_it_asks(address, waited):
    read_source(f"{address}/429/1")
    assert waited == [3]


def test_a_failure_that_lasts_is_temporary_and_the_server_is_not_waited_for_again(address, waited):
    for path in ("/503/9", "/502/9"):
        with pytest.raises(TemporaryError, match=r"^temporary: HTTPError: HTTP Error 50"):
            read_source(address + path)
    assert Server.requests == ["/503/9"] * 3 + ["/502/9"]
    read_source(f"{address}/200/0")
    with pytest.raises(TemporaryError):
        read_source(f"{address}/500/9")
    assert Server.requests.count("/500/9") == 3, "a server that works again is waited for again"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "temporary: ConnectionRefusedError: Connection refused"),
        (socket.gaierror(-3, "Temporary failure in name resolution"), "temporary: gaierror: Temporary failure"),
        (TimeoutError("timed out"), "temporary: TimeoutError: timed out"),
    ],
)
def test_a_server_out_of_reach_is_temporary(error, reason, waited, monkeypatch):
    def fail(*arguments, **options):
        raise urls.URLError(error)

    monkeypatch.setattr(urls.urllib.request, "urlopen", fail)
    with pytest.raises(TemporaryError) as caught:
        read_source("http://example.org/a.png")
    assert why_unreadable(caught.value).startswith(reason)
    assert len(waited) == 2


@pytest.mark.parametrize("name", ["{}/404/9", "{}/403/9", "http://", "http://[::1", "http://a b/", "http://x:port/"])
def test_what_a_server_has_decided_and_a_wrong_address_are_not_tried_again(name, address, waited):
    with pytest.raises(READ_ERRORS) as caught:
        read_source(name.format(address))
    assert not isinstance(caught.value, TemporaryError)
    assert waited == []


def test_too_many_open_files_stop_the_run(waited, monkeypatch):
    def fail(*arguments, **options):
        raise urls.URLError(OSError(24, "Too many open files"))

    monkeypatch.setattr(urls.urllib.request, "urlopen", fail)
    with pytest.raises(ReadError, match="Too many open files"):
        read_source("http://example.org/a.png")
