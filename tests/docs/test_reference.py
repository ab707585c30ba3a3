import runpy
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def script(name: str) -> dict[str, Callable[..., object]]:
    """The functions of a script in scripts/, without running it."""
    return runpy.run_path(str(ROOT / "scripts" / name))


def test_pages_made_from_code_are_what_the_code_would_make() -> None:
    made = script("generate_reference.py")
    pages = ROOT / "docs" / "reference"
    assert (pages / "events.md").read_text() == made["events_page"]()
    assert (pages / "errors.md").read_text() == made["errors_page"]()


def test_every_page_has_one_title_and_no_dead_link() -> None:
    assert script("check_docs.py")["main"]() == 0


def test_locked_requirements_belong_to_the_project_file() -> None:
    lock = script("lock.py")
    groups = lock["GROUPS"]
    assert isinstance(groups, dict)
    assert not [name for name, of in groups.items() if lock["stale"](name, of)]


def test_locks_tell_nothing_about_where_they_were_made() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        text = path.read_text()
        assert not [word for word in ("://", "file:", "--find-links", "--index") if word in text]
