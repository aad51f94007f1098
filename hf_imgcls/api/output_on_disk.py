"""An output at an address: written on this disk first, and there when all of it is done."""

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path

from hf_imgcls.errors import InputError, UserError
from hf_imgcls.machine import on_main
from hf_imgcls.store import (
    cache_folder,
    check_address,
    is_address,
    last_part,
    look_up,
    read_json,
    read_stored,
    write_json,
    write_stored,
)
from hf_imgcls.words import without_secrets

_STAMP = "at_address.json"  # beside the file: what was at the address when it was begun


@contextlib.contextmanager
def output_on_disk(output: str | Path | None) -> Iterator[Path | None]:
    """The file to write: the output itself, or of an address a file in the cache, which goes there at the end.

    What is at the address is fetched before, so that its images are skipped. What an interrupted run has written stays
    in the cache, and the same command goes on with it.
    """
    if output is None or not is_address(str(output)):
        yield None if output is None else Path(output)
        return
    address, shown = str(output), without_secrets(str(output))
    check_address(address)
    place = cache_folder() / "outputs" / hashlib.sha256(shown.encode()).hexdigest()[:32]
    file = place / last_part(address)
    on_main(lambda: _fetch(address, file))
    try:
        yield file
    except UserError as error:
        raise type(error)(str(error).replace(str(file), shown)) from None
    on_main(lambda: _send(address, file))


def _fetch(address: str, file: Path) -> None:
    now, stamp = look_up(address), file.with_name(_STAMP)
    known = [now.size, now.version] if now else []
    if stamp.is_file():
        if read_json(stamp) != known:
            raise InputError(
                f"--output: {without_secrets(address)} was changed after a run to it was interrupted; its rows are in "
                f"{file}: take them from there and delete that folder, or name another output"
            )
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    if now:
        file.write_bytes(read_stored(address))
    write_json(stamp, known)


def _send(address: str, file: Path) -> None:
    write_stored(address, file.read_bytes())
    file.unlink()
    file.with_name(_STAMP).unlink()
    with contextlib.suppress(OSError):  # a lock of a run that waits
        file.parent.rmdir()
