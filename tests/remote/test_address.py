import pytest

from duologue.errors import ConfigFault
from duologue.remote.address import Address, is_remote, parse


def test_a_url_names_where_a_part_is_and_its_model() -> None:
    assert is_remote("http://host/v1#m") and not is_remote("hf:owner/repo")
    assert parse("https://host:1/v1/#org/m-7b", "llm") == Address("https://host:1/v1", "org/m-7b")


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("http://host/v1", "names no model"),
        ("http:///v1#m", "no URL"),
        ("http://host:x/v1#m", "no URL"),
        ("http://host/v1?key=1#m", "a query"),
        ("http://ho st/v1#m", "no URL"),
        ("http://me:sk-secret@host/v1#m", "set llm_key"),
        ("http://me:sk-secret@host:x/v1#m", "no URL"),
    ],
)
def test_another_url_is_refused_without_a_word_of_its_password(spec: str, reason: str) -> None:
    with pytest.raises(ConfigFault, match=reason) as fault:
        parse(spec, "llm")
    assert str(fault.value).startswith("llm: ") and "sk-secret" not in str(fault.value)
