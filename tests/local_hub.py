"""A hub on this machine for the real client: repositories as folders, tokens with roles, faults on demand.

    with LocalHub(folder) as hub:
        hub.fail("PUT /objects/", 503, times=2)
        ...
        hub.files("someone/model")

It speaks the HTTP calls that `huggingface_hub` makes to create a repository, commit to it (git and LFS) and read it.
"""

import hashlib
import json
import re
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

from local_hub_calls import ROUTES, Calls, Refused

WRITER, READER, STRANGER = "hf_writer_secret", "hf_reader_secret", "hf_stranger_secret"


def settings_of(url: str) -> list[tuple]:
    """What libraries that are imported already keep of a hub's environment: owner, name and value."""
    import datasets
    from huggingface_hub import constants, hf_api

    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    return [
        (constants, "ENDPOINT", url),
        (constants, "HUGGINGFACE_CO_URL_TEMPLATE", template),
        (hf_api.api, "endpoint", url),
        (datasets.config, "HF_ENDPOINT", url),
        (constants, "HF_HUB_DISABLE_XET", True),
        (constants, "HF_HUB_OFFLINE", False),
        (datasets.config, "HF_HUB_OFFLINE", False),
    ]


class LocalHub:
    """The hub's state, its faults and its server.

    Attributes:
        tokens: who a token belongs to and whether it may write.
        calls: "METHOD /path" of every call so far.
        repositories: by (kind, id): `private`, `branches` (name to commit), `lfs` (paths).
    """

    def __init__(self, root: Path):
        self.root = root
        self.tokens = {WRITER: ("someone", "write"), READER: ("someone", "read"), STRANGER: ("stranger", "write")}
        self.calls: list[str] = []
        self.repositories: dict[tuple[str, str], SimpleNamespace] = {}
        self._faults: list[list] = []
        self._commits = 0
        self.lock = threading.Lock()
        (root / "objects").mkdir(parents=True)
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()

    def start(self, port: int = 0) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", port), type("Handler", (_Handler,), {"hub": self}))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def fail(self, call: str, how: int | str, times: int = 10**6) -> None:
        """Let calls fail whose "METHOD /path" matches: with a status, or by a connection that is dropped ("drop").

        "drop after" drops it when the work is done, so that the answer alone is lost; "garbage" answers 503 in HTML.
        """
        self._faults.append([re.compile(call), how, times])

    def heal(self) -> None:
        self._faults.clear()

    def fault(self, call: str) -> int | str | None:
        with self.lock:
            self.calls.append(call)
            for fault in self._faults:
                if fault[0].search(call) and fault[2] > 0:
                    fault[2] -= 1
                    return fault[1]
        return None

    def create(self, kind: str, repository: str, private: bool = False) -> None:
        self.repositories[kind, repository] = SimpleNamespace(private=private, branches={}, lfs=set())
        self.commit(kind, repository, "main", {".gitattributes": b"*.safetensors filter=lfs\n"})

    def commit(self, kind: str, repository: str, branch: str, add: dict, delete=()) -> str:
        """A new commit on a branch: a folder with all files of the branch, new ones as bytes or Paths."""
        repo = self.repositories[kind, repository]
        self._commits += 1
        # Different for every hub: caches keep what they have read by the commit.
        oid = hashlib.sha1(f"{self.root}/{kind}/{repository}/{self._commits}".encode()).hexdigest()
        folder = self.root / kind / repository / oid
        if branch in repo.branches:
            shutil.copytree(folder.with_name(repo.branches[branch]), folder)
        for path in delete:
            (folder / path).unlink()
        for path, content in add.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content if isinstance(content, bytes) else content.read_bytes())
        repo.branches[branch] = oid
        return oid

    def folder(self, repository: str, kind: str = "models", revision: str = "main") -> Path:
        branches = self.repositories[kind, repository].branches
        return self.root / kind / repository / branches.get(revision, revision)

    def files(self, repository: str, kind: str = "models", revision: str = "main") -> dict[str, bytes]:
        folder = self.folder(repository, kind, revision)
        return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}

    def use(self, monkeypatch, token: str | None = WRITER) -> None:
        """Let the libraries of this process, which have read their environment already, talk to this hub."""
        for setting in settings_of(self.url):
            monkeypatch.setattr(*setting)
        for name, value in self.environment(token).items():
            monkeypatch.setenv(name, value)
        if token is None:
            monkeypatch.delenv("HF_TOKEN", raising=False)

    def environment(self, token: str | None = WRITER) -> dict[str, str]:
        """What a fresh process needs to talk to this hub."""
        named = {"HF_ENDPOINT": self.url, "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"}
        return {**named, "HF_TOKEN": token} if token else named


class _Handler(BaseHTTPRequestHandler):
    hub: LocalHub
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.handle_call()

    do_HEAD = do_POST = do_PUT = do_GET

    def log_message(self, *arguments):
        pass

    def handle_call(self):
        address = urlsplit(self.path)
        method = "GET" if self.command == "HEAD" else self.command
        self.query = address.query
        fault = self.hub.fault(f"{self.command} {address.path}")
        if fault == "drop":
            self.rfile.read(int(self.headers.get("Content-Length", 0)) // 2)
            self.close_connection = True
            return self.connection.close()
        self.body = self._read_body()
        if isinstance(fault, int):
            return self._answer({"error": f"fault {fault}"}, fault)
        if fault == "garbage":
            return self._answer(b"<html>bad gateway</html>", 503, {"Content-Type": "text/html"})
        route = next((r for m, p, n in ROUTES if m == method and (r := (p.match(address.path), n))[0]), None)
        try:
            if route is None:
                raise Refused(404, None, f"no such call: {self.command} {address.path}")
            found = {key: unquote(value or "") for key, value in route[0].groupdict().items()}
            if "prefix" in found:
                found["kind"] = found.pop("prefix").rstrip("/") or "models"
            with self.hub.lock:
                answer = getattr(Calls(self), route[1])(SimpleNamespace(**found))
            status, headers = 200, {}
        except Refused as refused:
            status, code, message = refused.args
            headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {})}
            answer = {"error": message}
        if fault == "drop after":
            self.close_connection = True
            return self.connection.close()
        if isinstance(answer, tuple):
            answer, headers = answer
        return self._answer(answer, status, headers)

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, content, status: int, headers: dict | None = None):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        headers = {"Content-Type": "application/json", **(headers or {})}
        if wanted and status == 200:
            first, last = int(wanted[1]), min(int(wanted[2] or len(body)), len(body) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(body)}"
            body, status = body[first : last + 1], 206
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
