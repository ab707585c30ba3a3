"""The hub as a source, against a stand-in for the routes that huggingface-hub's own client asks."""

import hashlib
import http.server
import threading
from collections.abc import Iterator

import pytest

from duologue.errors import ModelFault
from duologue.models import Progress, hub

WEIGHTS = b"weights " * 1000
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        if self.path != "/toys/toy/resolve/main/toy.gguf":
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha256(WEIGHTS).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(WEIGHTS)))
        self.end_headers()
        if body:
            self.wfile.write(WEIGHTS)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def endpoint() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_file_is_pulled_once_and_then_found_without_the_network(endpoint, tmp_path):
    seen: list[Progress] = []
    spec = "hf:toys/toy/toy.gguf"
    path = hub.pull(spec, seen.append, cache=tmp_path, endpoint=endpoint)
    assert path.read_bytes() == WEIGHTS
    assert seen == [
        Progress(spec, 0, len(WEIGHTS), "fetching"),
        Progress(spec, len(WEIGHTS), len(WEIGHTS), "done"),
    ]
    assert hub.find(spec, cache=tmp_path) == path
    assert COMMIT in str(path)


def test_a_file_that_the_hub_has_not_is_refused_with_what_to_do(endpoint, tmp_path):
    with pytest.raises(ModelFault, match="hf:toys/toy/none.gguf cannot be fetched") as refused:
        hub.pull("hf:toys/toy/none.gguf", print, cache=tmp_path, endpoint=endpoint)
    assert "give their path" in str(refused.value)


@pytest.mark.slow  # the client tries six times
def test_a_hub_that_cannot_be_reached_says_what_to_do(tmp_path):
    with pytest.raises(ModelFault, match="Check the connection, .*`duologue models list`"):
        hub.pull("hf:toys/toy/toy.gguf", print, cache=tmp_path, endpoint="http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("spec", "repo", "file", "revision"),
    [
        ("hf:toys/toy", "toys/toy", None, None),
        ("hf:toys/toy@v1", "toys/toy", None, "v1"),
        ("hf:toys/toy-1.5B/sub/a.gguf@abc", "toys/toy-1.5B", "sub/a.gguf", "abc"),
    ],
)
def test_a_hub_id_names_a_repository_a_file_and_a_revision(spec, repo, file, revision):
    assert hub.parse(spec) == hub.HubSpec(repo, file, revision)


@pytest.mark.parametrize("spec", ["hf:", "hf:toy", "hf:/toy", "hf:toys/", "hf:a b/c"])
def test_what_is_no_hub_id_is_refused(spec):
    with pytest.raises(ModelFault, match="is not a hub id"):
        hub.parse(spec)
