import json
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
NODE = ROOT / "tests" / "e2e" / "node"
ROW = re.compile(r"^\| `(?P<name>[^`]+)`(?P<which> \(\w+\))? \| (?P<version>[\d.]+) \|", re.M)


def locked(lock: str) -> dict[str, str]:
    text = (ROOT / "requirements" / lock).read_text()
    return dict(re.findall(r"^([a-z0-9-]+)==([\w.]+)", text, re.M))


def test_the_page_names_the_versions_that_are_locked() -> None:
    page = (ROOT / "docs" / "reference" / "clients.md").read_text()
    named = {
        match["name"] + (match["which"] or ""): match["version"] for match in ROW.finditer(page)
    }
    dev, clients = locked("dev.txt"), locked("clients.txt")
    node = json.loads((NODE / "package-lock.json").read_text())["packages"]
    agents = "@openai/agents-realtime"
    assert named == {
        "openai (Python)": dev["openai"],
        "openai-agents (Python)": dev["openai-agents"],
        "livekit-agents": clients["livekit-agents"],
        "livekit-plugins-openai": clients["livekit-plugins-openai"],
        "pipecat-ai": clients["pipecat-ai"],
        "openai (Node)": node["node_modules/openai"]["version"],
        f"{agents} (Node)": node[f"node_modules/{agents}"]["version"],
    }


def test_the_locks_of_clients_name_no_address_and_no_torch() -> None:
    lock = json.loads((NODE / "package-lock.json").read_text())
    packages = [package for name, package in lock["packages"].items() if name]
    assert packages and all("integrity" in package for package in packages)
    assert not [package for package in packages if "resolved" in package]
    assert "torch" not in locked("clients.txt")
