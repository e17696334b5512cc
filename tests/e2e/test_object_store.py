"""Libraries in an object store: a real S3 server (moto) on this machine."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Result
from tests.libraries import all_segments, run

pytest.importorskip("moto.server")

Run = Callable[..., Result]
PLACE = "s3://bucket/archive/library"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server with one empty bucket, named by the variables that all S3 programs read."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    import boto3

    boto3.client("s3").create_bucket(Bucket="bucket")
    yield
    server.stop()


@pytest.mark.usefixtures("store")
def test_a_library_in_an_object_store(vl: Run, media: Path) -> None:
    at = ("-L", PLACE)
    first = vl("index", media, *at)
    assert "4 new, 0 unchanged" in first.stdout, first.stderr
    assert "0 new, 4 unchanged" in vl("index", media, *at).stdout
    assert vl("library", "verify", *at).stdout.strip() == f"{PLACE}: no problems found"
    assert len(vl("search", "val", "-f", *at).stdout.split()) > 0
    assert json.loads(vl("library", "status", "--json", *at).stdout)["segments"] == 4
    answer = vl("ask", PLACE, "Which color moved last?", "--min-score", "0")
    assert answer.code == 0, answer.stderr
    assert vl("library", "export", "-o", "there.jsonl", *at).code == 0
    run(media)
    assert len(all_segments()) == 4
    vl("library", "export", "-o", "here.jsonl", "-L", "lib")
    assert Path("there.jsonl").read_text() == Path("here.jsonl").read_text()
    assert vl("library", "rm", media, "--yes", *at).code == 0
    assert vl("library", "compact", *at).code == 0
    assert json.loads(vl("library", "status", "--json", *at).stdout)["segments"] == 0
    nothing = vl("library", "status", "-L", "s3://bucket/nothing")
    assert nothing.code == 3
    assert nothing.stderr.startswith(
        "error: s3://bucket/nothing: contains no library; make one with"
    )


def test_what_is_missing_is_said(vl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    lost = vl("library", "status", "-L", "s3://unknown/x")
    assert lost.code == 4
    assert "s3://unknown/x: the object store cannot be reached (" in lost.stderr
    wrong = vl("library", "status", "-L", "nonsense://x")
    assert wrong.code == 4
    assert "nonsense://x: cannot be used" in wrong.stderr
    monkeypatch.setitem(sys.modules, "upath", None)
    missing = vl("library", "status", "-L", PLACE)
    assert missing.code == 4
    assert "pip install 'videolatent-cli[objects]'" in missing.stderr
