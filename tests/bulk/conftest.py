"""A local S3 server, and Ray on two CPUs, each started once."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.sample import FOLDER

SHARDS = ("blob-000000.tar", "composite-000000.tar", "emojione-000000.tar")


@pytest.fixture(scope="session")
def s3_server() -> Iterator[Any]:
    """An s3fs file system at a server by moto. The environment leads every process there."""
    server = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    running = server.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        for name in ("NO_PROXY", "no_proxy"):
            patch.setenv(name, ",".join(filter(None, [os.environ.get(name), "127.0.0.1"])))
        yield s3fs.S3FileSystem()
    running.stop()


@pytest.fixture
def bucket(s3_server: Any) -> Iterator[Any]:
    """The file system, with the bucket `undiffuse` and three shards in it."""
    s3_server.mkdir("undiffuse")
    for name in SHARDS:
        s3_server.put_file(str(FOLDER / name), f"undiffuse/shards/{name}")
    yield s3_server
    s3_server.rm("undiffuse", recursive=True)


@pytest.fixture(scope="session")
def two_cpus(s3_server: Any) -> Iterator[None]:
    """Ray on this machine: it takes some ten seconds."""
    ray = pytest.importorskip("ray")
    from undiffuse.bulk.on_ray import connected

    with connected(2, None):
        yield
    assert not ray.is_initialized()
