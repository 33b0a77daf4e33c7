"""Two servers on loopback that behave like the Hugging Face Hub: one with names, one with large files, which it names.

What both the page and huggingface_hub ask for is answered: the list of a repository's files, small files at once, large
ones by a redirection to the other server, which gives parts of them. Other origins may read what the hub lets them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

LARGE = ".safetensors"
READABLE = "X-Repo-Commit, X-Error-Code, ETag, Content-Range, X-Linked-Size, X-Linked-ETag, Retry-After"


class LoopbackHub:
    """Repositories by name, each a folder and a commit; a context manager.

    Attributes
    ----------
    address, files_address : str
        Of the two servers.
    asked : list of str
        ``METHOD path range`` of every request of either, in order.
    fault : callable or None
        Called with the number of the request for a part of a large file, from 0, its first byte and its end; gives what
        goes wrong: "refused", "broken", "halted" (broken once ``gate`` is set), "whole", "short", "more", "changed",
        "elsewhere" (other bytes than were asked for), a status, or "".
    """

    def __init__(self, repositories: dict[str, Path]):
        self.repositories = repositories
        self.asked: list[str] = []
        self.fault: Callable[[int, int, int], str] | None = None
        self.statuses: dict[str, int] = {}  # of files that are not given, by name
        self.sizes: dict[str, int] = {}  # that the list claims wrongly, by name
        self.pause = 0.0  # seconds before each part of a large file
        self.parts = 0
        self.gate = threading.Event()

    def __enter__(self) -> LoopbackHub:
        self.servers = [
            ThreadingHTTPServer(("127.0.0.1", 0), self._handler(files)) for files in (False, True)
        ]
        self.address, self.files_address = (f"http://127.0.0.1:{one.server_port}" for one in self.servers)
        for server in self.servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def reset(self) -> None:
        """No fault, and nothing asked."""
        self.asked.clear()
        self.fault, self.statuses, self.sizes, self.pause, self.parts = None, {}, {}, 0.0, 0
        self.gate.clear()

    @staticmethod
    def commit(name: str) -> str:
        return hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()

    def _handler(self, files: bool) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hub.asked.append(
                    f"{self.command} {unquote(self.path)} {self.headers.get('Range', '')}".strip()
                )
                (self.file if files else self.name)(urlsplit(self.path))

            do_HEAD = do_GET

            def do_OPTIONS(self) -> None:  # a request that asks before it asks: none of the page's should
                hub.asked.append(f"OPTIONS {self.path}")
                self.answer(405)

            def log_message(self, *_: object) -> None:
                pass

            def answer(
                self, status: int, body: bytes = b"", claimed: int | None = None, **headers: str
            ) -> None:
                self.send_response(status)
                origin = self.headers.get("Origin")
                if origin:
                    self.send_header("Access-Control-Allow-Origin", "*" if files else origin)
                    self.send_header("Access-Control-Expose-Headers", READABLE)
                for key, value in headers.items():
                    self.send_header(key.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(body) if claimed is None else claimed))
                self.end_headers()
                if self.command == "GET":
                    with contextlib.suppress(ConnectionError):  # who asked has gone away
                        self.wfile.write(body)

            def missing(self, code: str) -> None:
                self.answer(404, X_Error_Code=code)

            def name(self, address) -> None:
                path = unquote(address.path)
                if "/tree/" in path:  # a folder of it: the repositories here have none
                    return self.missing("EntryNotFound")
                if found := re.fullmatch(r"/api/models/(.+?)(?:/revision/([^/]+))?", path):
                    return self.listed(*found.groups())
                found = re.fullmatch(r"/(.+?)/resolve/([^/]+)/(.+)", path)
                if not found or found[1] not in hub.repositories:
                    return self.missing("RepoNotFound")
                repository, _, name = found.groups()
                commit = hub.commit(repository)
                source = hub.repositories[repository] / name
                if status := hub.statuses.get(name):
                    return self.answer(status)
                if not source.is_file():
                    return self.missing("EntryNotFound")
                content = source.read_bytes()
                tag = hashlib.sha256(content).hexdigest()
                if not name.endswith(LARGE):
                    return self.answer(200, content, ETag=f'"{tag}"', X_Repo_Commit=commit)
                self.answer(
                    302, Location=f"{hub.files_address}/{repository}/{name}?signature={tag}", X_Repo_Commit=commit,
                    X_Linked_Size=str(len(content)), X_Linked_ETag=f'"{tag}"', ETag=f'"{tag}"',
                )  # fmt: skip

            def listed(self, repository: str, _: str | None) -> None:
                folder = hub.repositories.get(repository)
                if status := hub.statuses.get("list"):
                    return self.answer(status)
                if folder is None:
                    return self.missing("RepoNotFound")
                siblings = [
                    {"rfilename": path.name, "size": hub.sizes.get(path.name, path.stat().st_size)}
                    for path in sorted(folder.iterdir())
                ]
                facts = {"id": repository, "sha": hub.commit(repository), "siblings": siblings}
                self.answer(200, json.dumps(facts).encode(), Content_Type="application/json")

            def file(self, address) -> None:
                repository, _, name = unquote(address.path)[1:].rpartition("/")
                content = (hub.repositories[repository] / name).read_bytes()
                span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
                begin, end = (
                    (int(span[1]), int(span[2] or len(content) - 1) + 1) if span else (0, len(content))
                )
                end = min(end, len(content))
                tag = f'"{hashlib.sha256(content).hexdigest()}"'
                number, hub.parts = hub.parts, hub.parts + 1
                fault = (hub.fault and hub.fault(number, begin, end)) or ""
                time.sleep(hub.pause)
                body = content[begin:end]
                whole = f"bytes {begin}-{end - 1}/{len(content)}"
                if fault == "refused":
                    self.close_connection = True
                elif fault.isdigit():
                    self.answer(int(fault), Retry_After="0")
                elif fault in ("broken", "halted"):
                    self.answer(206, body[: (len(body) + 1) // 2], len(body), Content_Range=whole, ETag=tag)
                    if fault == "halted":
                        hub.gate.wait()
                    self.close_connection = True
                elif fault == "short":
                    self.answer(206, body[: len(body) // 2], Content_Range=whole, ETag=tag)
                elif fault == "more":
                    self.answer(206, body + b"x", Content_Range=whole, ETag=tag)
                elif fault == "elsewhere":
                    self.answer(
                        206, body, Content_Range=f"bytes 0-{len(body) - 1}/{len(content) + 1}", ETag=tag
                    )
                elif fault == "changed":
                    self.answer(206, body, Content_Range=whole, ETag='"another"')
                elif not span or fault == "whole":
                    self.answer(200, content, ETag=tag)
                else:
                    self.answer(206, body, Content_Range=whole, ETag=tag)

        return Handler
