"""A folder that several machines write: at a path on a drive that they share, or at an address (s3://...)."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from hf_imgcls.store.addresses import (
    is_address,
    look_up,
    open_stored,
    read_stored,
    remove_stored,
    stored_names,
    write_stored,
)

_DRAFT = ".draft"


class SharedFolder(NamedTuple):
    """Its files are written whole or not at all, whoever is killed meanwhile."""

    place: str  # an address, or an absolute path

    @property
    def path(self) -> Path | None:
        return None if is_address(self.place) else Path(self.place)

    def names(self) -> list[str]:
        """The names in it, sorted, without hidden ones; none where there is no such folder."""
        if self.path is None:
            found = stored_names(self.place)
        else:
            found = sorted(os.listdir(self.place)) if self.path.is_dir() else []
        return [name for name in found if not name.startswith(".")]

    def read(self, name: str) -> bytes | None:
        """The content of a file; None where there is none."""
        if self.path is None:
            return read_stored(self._address(name)) if look_up(self._address(name)) else None
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        with open_stored(self._address(name)) if self.path is None else (self.path / name).open("rb") as file:
            yield file

    def write(self, name: str, content: bytes) -> None:
        if self.path is None:
            return write_stored(self._address(name), content)
        self.path.mkdir(parents=True, exist_ok=True)
        draft = self.path / f".{name}.{uuid.uuid4().hex[:8]}{_DRAFT}"
        try:
            draft.write_bytes(content)
            draft.replace(self.path / name)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise

    def remove_drafts(self) -> None:
        """Remove what processes were writing that have been killed."""
        for draft in self.path.glob(f".*{_DRAFT}") if self.path else ():
            draft.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        if self.path is None:
            return remove_stored(self._address(name))
        (self.path / name).unlink(missing_ok=True)

    def _address(self, name: str) -> str:
        return f"{self.place.rstrip('/')}/{name}"
