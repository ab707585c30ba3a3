"""The page at `/`: static files that talk to the server as any browser could.

`page/` holds them as the browser loads them, with no build step: `fold.js` (what happened, as one
pure fold over events), `view.js` (state to page), `call.js` (WebRTC), `meter.js` (levels) and
`main.js`, which ties them. The page knows the server only over the wire.
"""

from importlib.resources import files

INDEX = "index.html"

TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml", "html": "text/html"}
"""Media types by the ending of the name: the only ones that are served."""


def load() -> dict[str, tuple[bytes, str]]:
    """Every file of the page by name, with its media type."""
    return {
        entry.name: (entry.read_bytes(), TYPES[entry.name.rpartition(".")[2]])
        for entry in files(__name__).joinpath("page").iterdir()
        if entry.name.rpartition(".")[2] in TYPES
    }
