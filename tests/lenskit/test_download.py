"""Downloads of encoders: whole and as their plugin states, or one line."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from lenskit.download import fetch, url_of
from lenskit.errors import LenskitError

FILES = {"encoder.json": b"{}", "model.safetensors": bytes(range(256)) * 8}
DIGESTS = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}


class Handler(BaseHTTPRequestHandler):
    """Handler that serves files, counts requests, and can stop within a file.

    Args:
        short: Bytes that are left out at the end of each file.
        status: In place of 200.
    """

    def __init__(self, *request: Any, asked: list[str], short: int, status: int) -> None:
        self.asked, self.short, self.status = asked, short, status
        super().__init__(*request)

    def do_GET(self) -> None:
        self.asked.append(self.path)
        content = FILES.get(self.path.rpartition("/")[2])
        self.send_response(self.status if content is not None else 404)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        if content is not None:
            self.wfile.write(content[: len(content) - self.short])

    def log_message(self, *words: Any) -> None:
        pass


class Server:
    """A web server on this machine."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.servers: list[ThreadingHTTPServer] = []

    def start(self, short: int = 0, status: int = 200) -> str:
        """Return the address of a folder with the files."""
        handler = partial(Handler, asked=self.asked, short=short, status=status)
        self.servers.append(ThreadingHTTPServer(("127.0.0.1", 0), handler))
        Thread(target=self.servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.servers[-1].server_port}/a folder".replace(" ", "%20")

    def stop(self) -> None:
        for server in self.servers:
            server.shutdown()
            server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LENSKIT_CACHE", str(tmp_path / "cache"))
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"


def test_files_are_downloaded_once(server: Server, cache: Path) -> None:
    address = server.start()
    folder = fetch(address, DIGESTS)
    assert cache in folder.parents
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES
    assert fetch(address, DIGESTS) == folder
    assert len(server.asked) == 2


def test_only_what_is_wanted_is_downloaded(server: Server) -> None:
    folder = fetch(server.start(), DIGESTS, "encoder.json")
    assert [path.name for path in folder.iterdir()] == ["encoder.json"]


def test_what_changed_on_disk_is_downloaded_again(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    address = server.start()
    path = fetch(address, DIGESTS) / "model.safetensors"
    path.write_bytes(b"x" + path.read_bytes()[1:])
    assert (fetch(address, DIGESTS) / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    assert f"{path} is damaged: its digest differs" in caplog.text


def test_other_digests_are_another_folder(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    address = (tmp_path / "there").as_uri()
    (tmp_path / "there" / "encoder.json").write_bytes(b"old")
    old = fetch(address, {"encoder.json": hashlib.sha256(b"old").hexdigest()})
    (tmp_path / "there" / "encoder.json").write_bytes(b"new")
    new = fetch(address, {"encoder.json": hashlib.sha256(b"new").hexdigest()})
    assert [(folder / "encoder.json").read_bytes() for folder in (old, new)] == [b"old", b"new"]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"short": 100}, r"model\.safetensors was cut short: received 1948 of 2048 bytes; try again"),
        ({"status": 403}, r"encoder\.json cannot be downloaded: the server answers HTTP 403"),
    ],
)
def test_what_a_server_does_not_send_is_one_line(
    how: dict[str, int], message: str, server: Server, cache: Path
) -> None:
    names = ["model.safetensors"] if "short" in how else []
    with pytest.raises(LenskitError, match=message):
        fetch(server.start(**how), DIGESTS, *names)
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_a_file_that_is_not_there_is_one_line(server: Server, tmp_path: Path) -> None:
    digests = DIGESTS | {"head.safetensors": "0" * 64}
    with pytest.raises(LenskitError, match=r"head\.safetensors does not exist \(HTTP 404\): update the plugin"):
        fetch(server.start(), digests)
    with pytest.raises(LenskitError, match=r"encoder\.json does not exist: update the plugin"):
        fetch(tmp_path.as_uri(), DIGESTS)


def test_another_digest_is_one_line_and_leaves_nothing(server: Server, cache: Path) -> None:
    other = DIGESTS | {"encoder.json": "0" * 64}
    with pytest.raises(LenskitError, match=r"encoder\.json has the digest 44136fa355b3\.\.\., but its plugin"):
        fetch(server.start(), other)
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_a_server_that_cannot_be_reached_is_one_line(server: Server, cache: Path) -> None:
    address = server.start()
    server.stop()
    server.servers.clear()
    with pytest.raises(LenskitError, match="cannot be reached .*: without network, put the file at ") as error:
        fetch(address, DIGESTS)
    place = Path(str(error.value).rpartition("put the file at ")[2])
    place.write_bytes(FILES["encoder.json"])
    assert fetch(address, DIGESTS, "encoder.json") == place.parent


def test_addresses_of_the_hub(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    assert url_of("hf://owner/repo", "a.json").endswith("/owner/repo/resolve/main/a.json")
    assert url_of("hf://owner/repo@v1/b/c/", "a.json").endswith("/owner/repo/resolve/v1/b/c/a.json")
    monkeypatch.setenv("HF_ENDPOINT", server.start().rpartition("/")[0])
    folder = fetch("hf://owner/repo@abc/inner", DIGESTS)
    assert (folder / "encoder.json").read_bytes() == FILES["encoder.json"]
    assert server.asked[0] == "/owner/repo/resolve/abc/inner/encoder.json"


@pytest.mark.parametrize(
    ("address", "digests", "message"),
    [
        ("ftp://a/b", DIGESTS, "is no address: write hf://OWNER/REPO"),
        ("hf://owner", DIGESTS, "is no address: write hf://OWNER/REPO"),
        ("https://a/b", {}, r"has no digest of encoder\.json"),
        ("https://a/b", {"encoder.json": "abc"}, "is no SHA-256 of 64 hexadecimal digits"),
        ("https://a/b", DIGESTS | {"../a": "0" * 64}, "is no name of a file in the folder"),
    ],
)
def test_a_wrong_announcement_is_one_line(address: str, digests: dict[str, str], message: str) -> None:
    with pytest.raises(LenskitError, match=message):
        fetch(address, digests)


def test_a_cache_that_cannot_be_made_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LENSKIT_CACHE", str(tmp_path / "file"))
    with pytest.raises(LenskitError, match="cannot be created: .*set LENSKIT_CACHE to another folder"):
        fetch("https://127.0.0.1/a", DIGESTS)
