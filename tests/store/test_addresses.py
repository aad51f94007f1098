"""Files at addresses: listed, read, written; every fault one line, no secret in any line."""

import sys

import pytest
from object_store import clear_instances

from hf_imgcls.errors import InputError, MachineError, ReadError
from hf_imgcls.store.address_errors import address_errors
from hf_imgcls.store.addresses import (
    check_address,
    find_stored,
    is_address,
    last_part,
    look_up,
    open_stored,
    read_stored,
    write_stored,
)
from hf_imgcls.words import as_json, one_line


@pytest.fixture(params=["s3", "memory", "file"])
def place(request, tmp_path):
    """An address of each kind of storage under which nothing is."""
    if request.param == "s3":
        return f"{request.getfixturevalue('bucket')}/{tmp_path.name}"
    return f"memory://{tmp_path.name}" if request.param == "memory" else f"file://{tmp_path}/place"


def test_files_are_written_listed_and_read(place):
    assert look_up(f"{place}/a.txt") is None
    for name in ("b/2.txt", "a.txt", "b/1.txt", ".hidden/x.txt"):
        write_stored(f"{place}/{name}", name.encode())
    # :: is what fsspec joins two addresses with; its memory has no such names.
    odd = f"{place}-odd/a{'' if place.startswith('memory') else '::'}b #1?%20*[x].txt"
    write_stored(odd, b"odd")
    assert read_stored(odd) == b"odd"
    assert [file.name for file in find_stored(f"{place}-odd")] == [last_part(odd)]
    found = find_stored(place)
    assert [(file.name, file.size) for file in found] == [("a.txt", 5), ("b/1.txt", 7), ("b/2.txt", 7)]
    assert [read_stored(file.address) for file in found] == [b"a.txt", b"b/1.txt", b"b/2.txt"]
    assert find_stored(f"{place}/") == found
    (alone,) = find_stored(f"{place}/b/1.txt")
    assert (alone.name, alone.size) == ("1.txt", 7)
    with open_stored(found[1].address) as file:
        file.seek(2)
        assert file.read() == b"1.txt"


def test_a_file_that_changed_has_another_version(place):
    write_stored(f"{place}/a.txt", b"one")
    before = look_up(f"{place}/a.txt")
    assert look_up(f"{place}/a.txt") == before
    write_stored(f"{place}/a.txt", b"two")
    assert look_up(f"{place}/a.txt") != before


@pytest.mark.parametrize("address", ["s3://no-such-bucket/x", "s3://bucket/none", "memory://none", "file:///no/such"])
def test_nothing_there_is_one_line(bucket, address):
    for ask in (find_stored, read_stored, lambda each: open_stored(each).__enter__()):
        with pytest.raises(InputError, match=f"^{address}: no such "):
            ask(address)


def test_a_server_that_cannot_be_reached(bucket, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    clear_instances()
    with pytest.raises(ReadError, match=r"^s3://bucket/x: cannot be read at present \(EndpointConnectionError"):
        find_stored("s3://bucket/x")
    clear_instances()


@pytest.mark.parametrize(
    "error",
    [PermissionError("Access Denied"), OSError("Unable to locate credentials"), OSError(22, "The Token has expired")],
)
def test_no_permission_names_the_environment(error):
    line = r"^s3://b/x: no permission to write it .*credentials come from the env"
    with pytest.raises(MachineError, match=line), address_errors("s3://b/x", "write"):
        raise error


def test_no_credentials(bucket, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    clear_instances()
    with pytest.raises(MachineError, match="credentials come from the environment"):
        write_stored("s3://bucket/x", b"x")
    clear_instances()


def test_a_bug_and_a_full_disk_stay_what_they_are():
    for error in (KeyError("x"), ValueError("of a reader"), OSError(28, "No space left on device")):
        with pytest.raises(type(error)) as caught, address_errors("s3://b/x"):
            raise error
        assert caught.value is error


def test_a_missing_library_and_an_unknown_kind(monkeypatch):
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(
        InputError, match=r"^gs://b/x: needs the package gcsfs, which is not installed: pip install gcsfs"
    ):
        check_address("gs://b/x")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)
    with pytest.raises(InputError, match=r'needs the package s3fs, .*: pip install "hf-imgcls\[storage\]"'):
        check_address("s3://b/x")
    with pytest.raises(InputError, match="no such kind of address"):
        check_address("s4://b/x")


def test_the_hub_is_not_asked_offline(monkeypatch):
    with pytest.raises(InputError, match="HF_HUB_OFFLINE"):
        find_stored("hf://datasets/a/b")


@pytest.mark.parametrize(("name", "is_one"), [
    ("s3://b/x", True), ("S3://b/x", True), ("https://h/x.tar?a=1", True), ("owner/name", False), ("C:\\a", False),
    ("a/b://c", False), ("photos", False),
])  # fmt: skip
def test_what_an_address_is(name, is_one):
    assert is_address(name) is is_one


def test_the_last_part():
    assert last_part("s3://b/x/train 0.tar/") == "train 0.tar"
    assert last_part("https://h/x/a%20b.tar?X-Amz-Signature=1/2") == "a b.tar"
    assert last_part("s3://bucket") == last_part("s3://bucket/") == "bucket"
    assert last_part("s3://bucket/a#1?.tar") == "a#1?.tar"


def test_no_line_has_a_secret():
    assert (
        one_line("https://h/x?sig=abc: gone (https://h/y?token=d.e).")
        == "https://h/x?sig=***: gone (https://h/y?token=***)."
    )
    assert one_line("https://me:p@ss@h/a@b.tar, s3://b/x@y") == "https://***@h/a@b.tar, s3://b/x@y"
    address = "https://me:pass@h/x.tar?id=7&X-Amz-Signature=abc&X-Amz-Credential=k%2F1&sv=3&sig=d%3D#e"
    with pytest.raises(ReadError) as caught, address_errors(address):
        raise OSError(f"timed out: {address}")
    for line in (str(caught.value), one_line(f"{address} and s3://u:p@b/x?id=7&b"), as_json({"path": address})):
        assert not any(secret in line for secret in ("pass", "abc", "k%2F", "d%3D", "me:", "u:p")), line
        assert "id=7&" in line
