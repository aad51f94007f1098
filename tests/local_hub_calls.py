"""What each HTTP call of the local hub does, and with whose rights."""

import base64
import hashlib
import json
import re
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote

import yaml

_LFS = (".safetensors", ".parquet", ".png", ".jpg")
_KINDS = ("models", "datasets", "spaces")
ROUTES = [
    (method, re.compile(path.replace("ID", rf"(?P<kind>{'|'.join(_KINDS)})/(?P<id>[^/]+/[^/]+)") + "$"), name)
    for method, path, name in [
        ("GET", "/api/whoami-v2", "whoami"),
        ("POST", "/api/repos/create", "create"),
        ("POST", "/api/validate-yaml", "validate"),
        ("GET", "/api/ID/auth-check(?P<write>/write)?", "auth_check"),
        ("GET", "/api/ID(/revision/(?P<rev>[^/]+))?", "info"),
        ("GET", "/api/ID/tree/(?P<rev>[^/]+)(/(?P<path>.*))?", "tree"),
        ("POST", "/api/ID/paths-info/(?P<rev>[^/]+)", "paths_info"),
        ("GET", "/api/ID/commits/(?P<rev>[^/]+)", "commits"),
        ("POST", "/api/ID/branch/(?P<rev>[^/]+)", "branch"),
        ("POST", "/api/ID/preupload/(?P<rev>[^/]+)", "preupload"),
        ("POST", "/api/ID/commit/(?P<rev>[^/]+)", "commit"),
        ("POST", r"/(?P<prefix>datasets/|spaces/)?(?P<id>[^/]+/[^/]+)\.git/info/lfs/objects/batch", "batch"),
        ("PUT", "/objects/(?P<oid>[0-9a-f]{64})", "put_object"),
        ("POST", "/objects/verify", "verify"),
        ("GET", r"/(?P<prefix>datasets/|spaces/)?(?P<id>[^/]+/[^/]+)/resolve/(?P<rev>[^/]+)/(?P<path>.+)", "resolve"),
    ]
]


class Refused(Exception):
    """An answer that is not 200: the status, the Hub's error code, what it says."""


class Calls:
    """What each call does; returns JSON, or bytes with headers. Only one runs at a time."""

    def __init__(self, handler):
        self.hub, self.body, self.query = handler.hub, handler.body, handler.query
        token = handler.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in self.hub.tokens:
            raise Refused(401, None, "Invalid credentials in Authorization header")
        self.user, self.role = self.hub.tokens.get(token, (None, None))

    @property
    def json(self) -> dict:
        return json.loads(self.body)

    def repo(self, found, write: bool = False) -> SimpleNamespace:
        repo, owner = self.hub.repositories.get((found.kind, found.id)), found.id.split("/")[0]
        if repo is None or (repo.private and self.user != owner):
            raise Refused(404, "RepoNotFound", "Repository not found")
        if write and (self.user != owner or self.role != "write"):
            raise Refused(403, None, f"you do not have write access to {found.id}")
        return repo

    def commit_of(self, found) -> str:
        repo, revision = self.repo(found), found.rev or "main"
        oid = repo.branches.get(revision, revision)
        if not (self.hub.root / found.kind / found.id / oid).is_dir():
            raise Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return oid

    def whoami(self, found):
        if self.user is None:
            raise Refused(401, None, "Invalid username or password.")
        token = {"displayName": "test", "role": self.role}
        return {"type": "user", "name": self.user, "orgs": [], "auth": {"type": "access_token", "accessToken": token}}

    def create(self, found):
        kind, owner = self.json.get("type", "model") + "s", self.json.get("organization") or self.user
        name = f"{owner}/{self.json['name']}"
        if self.role != "write" or owner != self.user:
            raise Refused(
                403, None, f'You don\'t have the rights to create a {kind[:-1]} under the namespace "{owner}"'
            )
        if (kind, name) in self.hub.repositories:
            raise Refused(409, None, "You already created this repo")
        self.hub.create(kind, name, self.json.get("visibility") == "private")
        return {"url": f"{self.hub.url}/{'' if kind == 'models' else kind + '/'}{name}"}

    def validate(self, found):
        parts = self.json["content"].split("---\n", 2)
        if len(parts) == 3 and not isinstance(yaml.safe_load(parts[1]) or {}, dict):
            raise Refused(400, None, "metadata is no mapping")
        return {"errors": [], "warnings": []}

    def auth_check(self, found):
        self.repo(found, write=bool(found.write))
        return {}

    def info(self, found):
        oid, repo = self.commit_of(found), self.repo(found)
        siblings = [{"rfilename": path} for path in self.hub.files(found.id, found.kind, oid)]
        return {"id": found.id, "sha": oid, "private": repo.private, "tags": [], "siblings": siblings, "downloads": 0}

    def tree(self, found):
        entries = self._entries(found)
        if found.path:
            entries = [entry for entry in entries if entry["path"].startswith(found.path + "/")]
            if not entries:
                raise Refused(404, "EntryNotFound", f"{found.path} does not exist")
        if re.search(r"recursive=(true|1)", self.query, re.IGNORECASE):
            return entries
        depth = found.path.count("/") + 1 if found.path else 0
        return [entry for entry in entries if entry["path"].count("/") == depth]

    def paths_info(self, found):
        asked = self.json["paths"] if self.body.startswith(b"{") else re.findall("paths=([^&]*)", self.body.decode())
        asked = [asked] if isinstance(asked, str) else asked
        return [entry for entry in self._entries(found) if entry["path"] in [unquote(path) for path in asked]]

    def _entries(self, found) -> list[dict]:
        oid, lfs = self.commit_of(found), self.repo(found).lfs
        files = self.hub.files(found.id, found.kind, oid)
        folders = {parent.as_posix() for path in files for parent in Path(path).parents} - {"."}
        return [{"type": "directory", "path": path, "oid": oid, "size": 0} for path in sorted(folders)] + [
            {"type": "file", "path": path, "size": len(content), "oid": _git_hash(content)}
            | ({"lfs": {"oid": _sha256(content), "size": len(content), "pointerSize": 134}} if path in lfs else {})
            for path, content in files.items()
        ]

    def commits(self, found):
        return [
            {"id": self.commit_of(found), "title": "", "message": "", "authors": [], "date": "2026-01-01T00:00:00Z"}
        ]

    def branch(self, found):
        repo = self.repo(found, write=True)
        if found.rev in repo.branches:
            raise Refused(409, None, "Reference already exists")
        repo.branches[found.rev] = repo.branches["main"]
        return {}

    def preupload(self, found):
        repo, oid = self.repo(found, write=True), self.commit_of(found)
        present, modes = self.hub.files(found.id, found.kind, oid), []
        for file in self.json["files"]:
            large = file["path"].endswith(_LFS)
            hashed = (_sha256 if file["path"] in repo.lfs else _git_hash)(present.get(file["path"], b""))
            known = {"oid": hashed} if file["path"] in present else {}
            modes.append(
                {"path": file["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False, **known}
            )
        return {"files": modes}

    def batch(self, found):
        self.repo(found, write=True)
        place, known = f"{self.hub.url}/objects", self.hub.root / "objects"
        objects = self.json["objects"]
        for wanted in objects:
            if not (known / wanted["oid"]).exists():
                wanted["actions"] = {
                    "upload": {"href": f"{place}/{wanted['oid']}"},
                    "verify": {"href": f"{place}/verify"},
                }
        return {"transfer": "basic", "objects": objects}

    def put_object(self, found):
        if _sha256(self.body) != found.oid:
            raise Refused(400, None, "the content is not what was announced")
        (self.hub.root / "objects" / found.oid).write_bytes(self.body)
        return {}

    def verify(self, found):
        if not (self.hub.root / "objects" / self.json["oid"]).exists():
            raise Refused(404, None, "no such object")
        return {}

    def commit(self, found):
        repo, head = self.repo(found, write=True), self.commit_of(found)
        header, *operations = [json.loads(line) for line in self.body.splitlines()]
        if header["value"].get("parentCommit", head) != head:
            raise Refused(412, None, "A commit has happened since. Please refresh and try again.")
        add, delete = {}, []
        for operation in operations:
            key, value = operation["key"], operation["value"]
            if key == "file":
                add[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                add[value["path"]] = self.hub.root / "objects" / value["oid"]
                repo.lfs.add(value["path"])
            elif key == "deletedFile":
                delete.append(value["path"])
        oid = self.hub.commit(found.kind, found.id, found.rev, add, delete)
        return {"success": True, "commitOid": oid, "commitUrl": f"{self.hub.url}/{found.id}/commit/{oid}"}

    def resolve(self, found):
        oid = self.commit_of(found)
        file = self.hub.root / found.kind / found.id / oid / found.path
        if not file.is_file():
            raise Refused(404, "EntryNotFound", "Entry not found")
        content, large = file.read_bytes(), found.path in self.repo(found).lfs
        tag = f'"{(_sha256 if large else _git_hash)(content)}"'
        headers = {"X-Repo-Commit": oid, "ETag": tag, "Accept-Ranges": "bytes", "Content-Type": "text/plain"}
        return content, {**headers, "X-Linked-Etag": tag, "X-Linked-Size": str(len(content))}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
