"""Folders of the encoders of plugins: in a package, or downloaded to the cache.

A downloaded file is used only if it has the digest that the plugin declares.
"""

from __future__ import annotations

import hashlib
import http.client
import logging
import os
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

from lenskit.cache import cache_folder
from lenskit.errors import LenskitError
from lenskit.files import write_atomically
from lenskit.version import __version__
from lenskit.words import quoted, reason

log = logging.getLogger("lenskit")

CARD = "encoder.json"

SCHEMES = ("hf", "https", "http", "file")

PIECE = 2**20
"""Bytes to read at a time."""

TIMEOUT = 30.0
"""Seconds without data after which a download fails."""

_HUB = re.compile(r"hf://(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w.-]+))?(/(?P<path>.+?))?/?")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"\w[\w.-]*")


def is_address(target: str) -> bool:
    """Whether a target is an address, and not a folder in a package."""
    return "://" in target


def folder_of(target: str, digests: Mapping[str, str], *names: str) -> Path:
    """Return the folder of an encoder, and download missing files.

    Args:
        target: `package:path/of/folder`, or an address.
        digests: For an address, the digests of its files.
        names: For an address, the files to download if they are missing; by default all files.

    Raises:
        LenskitError: The folder has no `encoder.json`, or `fetch` failed.
    """
    if is_address(target):
        return fetch(target, digests, *names)
    package, _, path = target.partition(":")
    folder = Path(str(resources.files(package) / path))
    if not (folder / CARD).is_file():
        raise LenskitError(f"{folder} holds no encoder: {CARD} is missing")
    return folder


def fetch(address: str, digests: Mapping[str, str], *names: str) -> Path:
    """Return the cache folder of an address, and download missing files.

    Args:
        address: `hf://OWNER/REPO[@REVISION][/PATH]` on the Hugging Face Hub, or `https://.../FOLDER`.
        digests: The SHA-256 digest of each file by its name, in hexadecimal digits.
        names: Files to download if they are missing; by default all files.

    Raises:
        LenskitError: The address or the digests are malformed; or a file does not exist, cannot be downloaded, is
            truncated or has a wrong digest.
    """
    _check(address, digests)
    contents = "\n".join(f"{name} {digest}" for name, digest in sorted(digests.items()))
    folder = cache_folder() / "encoders" / hashlib.sha256(contents.encode()).hexdigest()[:16]
    for name in names or digests:
        path = folder / name
        if path.is_file():
            if digest_of(path) == digests[name]:
                continue
            log.warning("%s is damaged: its digest differs; downloading it again", path)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LenskitError(
                f"{folder} cannot be created: {error.strerror}; set LENSKIT_CACHE to another folder"
            ) from None
        _download(url_of(address, name), path, digests[name])
    return folder


def digest_of(path: Path) -> str:
    """Return the SHA-256 digest of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def url_of(address: str, name: str) -> str:
    """Return the URL of a file in the folder of an address."""
    if match := _HUB.fullmatch(address):
        from huggingface_hub import hf_hub_url

        endpoint = os.environ.get("HF_ENDPOINT")
        return hf_hub_url(
            match["repo"], name, subfolder=match["path"], revision=match["revision"], endpoint=endpoint or None
        )
    return f"{address.rstrip('/')}/{quote(name)}"


def _check(address: str, digests: Mapping[str, str]) -> None:
    """Check the address and the digests of a plugin.

    Raises:
        LenskitError: The address or a digest is malformed.
    """
    scheme = address.partition("://")[0]
    if scheme not in SCHEMES or (scheme == "hf" and not _HUB.fullmatch(address)):
        raise LenskitError(f"{quoted(address)} is no address: write hf://OWNER/REPO[@REVISION]/PATH or https://...")
    if CARD not in digests:
        raise LenskitError(f"{address} has no digest of {CARD}: state one for each file, as digests={{NAME: SHA256}}")
    for name, digest in digests.items():
        if not _NAME.fullmatch(name):
            raise LenskitError(f"{address}: {quoted(name)} is no name of a file in the folder")
        if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            raise LenskitError(f"{address}: the digest of {name} is no SHA-256 of 64 hexadecimal digits")


def _download(url: str, path: Path, digest: str) -> None:
    """Download a file from a URL, and verify its digest.

    Raises:
        LenskitError: The download failed.
    """
    log.info("downloading %s", url)
    try:
        with urlopen(Request(url, headers={"User-Agent": f"lenskit/{__version__}"}), timeout=TIMEOUT) as answer:
            length = answer.headers.get("Content-Length")
            write_atomically(path, lambda file: _copy(answer, file, url, length, digest))
    except HTTPError as error:
        if error.code in (404, 410):
            raise LenskitError(
                f"{url} does not exist (HTTP {error.code}): update the plugin, or tell its author"
            ) from None
        raise LenskitError(f"{url} cannot be downloaded: the server answers HTTP {error.code}") from None
    except URLError as error:
        if isinstance(error.reason, FileNotFoundError):
            raise LenskitError(f"{url} does not exist: update the plugin, or tell its author") from None
        raise LenskitError(
            f"{url} cannot be reached ({_reason(error.reason)}): without network, put the file at {path}"
        ) from None
    except TimeoutError:
        raise LenskitError(f"{url} stopped sending data: try again, or put the file at {path}") from None
    except (http.client.HTTPException, ValueError) as error:
        raise LenskitError(f"{url} cannot be downloaded: {_reason(error)}") from None
    except OSError as error:
        raise LenskitError(f"{url} cannot be downloaded to {path}: {error.strerror or _reason(error)}") from None


def _copy(answer: IO[bytes], file: IO[bytes], url: str, length: str | None, digest: str) -> None:
    """Copy the response of a server to a file, and verify its length and digest.

    Raises:
        LenskitError: The response is shorter than announced, or has a wrong digest.
    """
    hasher, done = hashlib.sha256(), 0
    while True:
        try:
            piece = answer.read(PIECE)
        except (http.client.IncompleteRead, ConnectionError):
            raise LenskitError(f"{url} was cut short after {done} bytes: try again") from None
        if not piece:
            break
        file.write(piece)
        hasher.update(piece)
        done += len(piece)
    if length is not None and length.isdecimal() and done < int(length):
        raise LenskitError(f"{url} was cut short: received {done} of {length} bytes; try again")
    if hasher.hexdigest() != digest:
        raise LenskitError(
            f"{url} has the digest {hasher.hexdigest()[:12]}..., but its plugin states {digest[:12]}...: the file "
            "was changed or damaged, and is not used; update the plugin, or tell its author"
        )


def _reason(error: object) -> str:
    return reason(error) if isinstance(error, BaseException) else str(error)
