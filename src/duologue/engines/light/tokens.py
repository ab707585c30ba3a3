"""The tokenizer of the loaded model: text in, the number of its tokens out, in worker threads.

llama.cpp's server, in this process, is asked over its loopback port: its Python binding has no
door to the tokenizer, and it is the only one that is certain to be the model's own. Estimates
from the length of a text go wrong where it matters: digits are a token each.
"""

import hashlib
import http.client
import json
import logging
import threading
from collections import OrderedDict
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

log = logging.getLogger(__name__)

KEPT_COUNTS = 4096
"""Texts whose count is remembered: a history is measured again at every turn."""

TIMEOUT_S = 10.0


class Tokenizer:
    """Counts by llama.cpp's server at `address`, which lets in who has `key`."""

    def __init__(self, address: str, key: str) -> None:
        self._host = urlsplit(address).netloc
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._known: OrderedDict[bytes, int] = OrderedDict()
        self._lock = threading.Lock()

    def count(self, text: str) -> int:
        """The tokens of `text`; its bytes, which are never fewer, if the server cannot say."""
        if not text:
            return 0
        key = hashlib.blake2b(text.encode(), digest_size=16).digest()
        with self._lock:
            if (known := self._known.get(key)) is not None:
                self._known.move_to_end(key)
                return known
        try:
            answer = self._ask("POST", "/tokenize", {"content": text, "parse_special": True})
            tokens = len(answer["tokens"])
        except (OSError, http.client.HTTPException, ValueError, LookupError) as fault:
            log.warning("the tokenizer did not answer: %s", fault)
            return len(text.encode())
        with self._lock:
            self._known[key] = tokens
            if len(self._known) > KEPT_COUNTS:
                self._known.popitem(last=False)
        return tokens

    def size(self) -> tuple[int | None, int]:
        """The longest context that the model was trained for and its parameters, by its file.

        None and 0 where it does not say.
        """
        try:
            meta = self._ask("GET", "/v1/models")["data"][0]["meta"]
            return int(meta["n_ctx_train"]), int(meta.get("n_params", 0))
        except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError) as fault:
            log.warning("the model does not say how large it and its context are: %s", fault)
            return None, 0

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        with closing(http.client.HTTPConnection(self._host, timeout=TIMEOUT_S)) as connection:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, self._headers)
            answer = connection.getresponse()
            data = answer.read()
            if answer.status != 200:
                raise OSError(f"status {answer.status}")
            return json.loads(data)
