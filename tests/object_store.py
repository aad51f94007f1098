"""A stand-in for S3 in this process, which s3fs finds through the environment."""

import contextlib
import os
import urllib.request
from collections.abc import Iterator
from unittest import mock

import fsspec


@contextlib.contextmanager
def serve_s3() -> Iterator[str]:
    """The address of an empty bucket, `s3://bucket`, while inside."""
    from moto.server import ThreadedMotoServer  # takes seconds, which each worker would spend while it collects tests

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "a-key",
        "AWS_SECRET_ACCESS_KEY": "a-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with mock.patch.dict(os.environ, settings):
        clear_instances()
        urllib.request.urlopen(f"http://{host}:{port}/moto-api/reset", b"").close()  # it keeps what others have left
        fsspec.filesystem("s3").mkdir("bucket")
        yield "s3://bucket"
    clear_instances()
    server.stop()


def clear_instances() -> None:
    """File systems are kept by fsspec, with the settings that they were made with."""
    fsspec.get_filesystem_class("s3").clear_instance_cache()
