"""Settings: four layers, one winner, and faults that name what to mend.

Run as a program, it writes the table of docs/reference/settings.md anew.
"""

import sys
from pathlib import Path

import msgspec
import pytest

from duologue.config import SETTINGS, ServerConfig, load
from duologue.errors import ConfigFault

SETTINGS_PAGE = Path(__file__).parents[1] / "docs" / "reference" / "settings.md"
BEGIN, END = "<!-- settings -->\n", "<!-- /settings -->\n"

SAMPLES = {
    "llm_hears": "true",
    "upstream_end_to_end": "true",
    "host": "0.0.0.0",
    "port": "9000",
    "auth_failure": "401",
    "engine": "scripted",
    "upstream_dialect": "openai",
    "upstream_sees": "no",
    "upstream_tools": "false",
    "device": "cpu",
    "profile": "small",
    "silence_duration_ms": "350",
    "context_tokens": "8192",
    "turn_during_response": "answer",
    "playground": "key",
    "unknown_keys": "strict",
    "missing_model": "strict",
    "unknown_model": "lenient",
    "beta": "refuse",
    "log_level": "debug",
}
"""An allowed value of each setting that does not take any number or any text."""


def sample(key: str) -> str:
    return SAMPLES.get(key, "7")


def toml_literal(key: str) -> str:
    value = getattr(load(environ={f"DUOLOGUE_{key.upper()}": sample(key)}), key)
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


@pytest.fixture(autouse=True)
def _empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_defaults_bind_the_loopback_and_use_the_light_engine() -> None:
    config = load(environ={})
    assert (config.host, config.port, config.engine, config.profile) == (
        "127.0.0.1",
        8800,
        "light",
        "default",
    )
    assert config.max_message_bytes >= 21 * 1024 * 1024
    assert config.record_dir is None


def test_every_setting_can_be_given_in_all_three_forms(tmp_path: Path) -> None:
    for setting in SETTINGS:
        by_variable = load(environ={setting.variable: sample(setting.key)})
        Path("one.toml").write_text(f"{setting.key} = {toml_literal(setting.key)}\n")
        assert load(file="one.toml", environ={}) == by_variable
        assert getattr(by_variable, setting.key) != setting.default
        if setting.flag:
            assert load(environ={}, flags={setting.key: sample(setting.key)}) == by_variable


def test_later_layers_win() -> None:
    Path("duologue.toml").write_text("port = 1\nmax_sessions = 1\nthreads = 1\n")
    environ = {"DUOLOGUE_PORT": "2", "DUOLOGUE_MAX_SESSIONS": "2"}
    config = load(environ=environ, flags={"port": "3"})
    assert (config.port, config.max_sessions, config.threads) == (3, 2, 1)


def test_the_file_is_the_named_one_else_the_variables_else_the_one_in_place() -> None:
    for port, name in enumerate(("duologue.toml", "variable.toml", "named.toml"), start=1):
        Path(name).write_text(f"port = {port}\n")
    environ = {"DUOLOGUE_CONFIG": "variable.toml"}
    assert load(environ={}).port == 1
    assert load(environ=environ).port == 2
    assert load(file="named.toml", environ=environ).port == 3


def test_an_empty_variable_counts_as_unset() -> None:
    assert load(environ={"DUOLOGUE_PORT": "", "DUOLOGUE_VOICE": ""}) == ServerConfig()


KEYS = [
    "api_key",
    "upstream_key",
    "llm_key",
    "delegate_key",
    "stt_key",
    "tts_key",
    "ice_credential",
]


def test_only_the_keys_are_secrets() -> None:
    assert {s.key for s in SETTINGS if s.secret} == set(KEYS)


@pytest.mark.parametrize("key", KEYS)
def test_a_key_is_never_shown_and_one_alone_has_an_option(key: str) -> None:
    (setting,) = [setting for setting in SETTINGS if setting.key == key]
    assert setting.secret
    assert setting.flag == ("--upstream-key" if key == "upstream_key" else None)
    assert "hush" not in repr(load(environ={setting.variable: "hush"}))
    Path("duologue.toml").write_text(f"{key} = 12345\n")
    with pytest.raises(ConfigFault) as fault:
        load(environ={})
    assert "12345" not in str(fault.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("port = 70000", "duologue.toml: port: 70000 is not allowed; allowed: a whole number "
         "from 0 to 65535"),
        ('port = "80"', "duologue.toml: port: '80' is not allowed"),
        ('profile = "big"', '\'big\' is not allowed; allowed: "default" or "small"'),
        ('engine = ""', "allowed: text, not empty"),
        ('llm_hears = "true"', "'true' is not allowed; allowed: true or false"),
        ("send_timeout_s = 0", "allowed: a number above 0"),
        ('host = ""', "allowed: text, not empty"),
        ("prot = 1", "duologue.toml: unknown key prot; did you mean port?"),
        ("zzzz = 1", "duologue.toml: unknown key zzzz"),
        ("[server]\nport = 1", "unknown key server"),
        ("port = ", "duologue.toml: is not TOML"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_with_the_place_and_what_is_allowed(text: str, said: str) -> None:
    Path("duologue.toml").write_text(text)
    with pytest.raises(ConfigFault) as fault:
        load(environ={})
    assert said in str(fault.value)


def test_a_file_that_was_named_must_be_there() -> None:
    with pytest.raises(ConfigFault, match=r"nowhere.toml: cannot be read: No such file"):
        load(file="nowhere.toml", environ={})


def test_bad_values_of_variables_and_options_name_them() -> None:
    with pytest.raises(ConfigFault, match="DUOLOGUE_PORT: 'x' is not allowed"):
        load(environ={"DUOLOGUE_PORT": "x"})
    with pytest.raises(ConfigFault, match="command line: --max-sessions: '0' is not allowed"):
        load(environ={}, flags={"max_sessions": "0"})


def test_a_variable_with_a_slip_in_its_name_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    load(environ={"DUOLOGUE_PROT": "1", "DUOLOGUE_BASE_URL": "http://elsewhere/v1"})
    (record,) = caplog.records
    assert record.getMessage() == "DUOLOGUE_PROT is not a setting; did you mean port?"


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(AttributeError):
        load(environ={}).port = 1  # type: ignore[misc]


def test_the_settings_page_is_what_the_code_says() -> None:
    page = SETTINGS_PAGE.read_text("utf-8")
    table = page.partition(BEGIN)[2].partition(END)[0]
    assert table == settings_table(), f"to mend it, run {sys.executable} {__file__}"


def settings_table() -> str:
    lines = [
        "| Key | Variable, option | Default | Allowed | What it does |",
        "|---|---|---|---|---|",
    ]
    for setting in SETTINGS:
        shown = (
            "" if setting.default is None else f"`{msgspec.json.encode(setting.default).decode()}`"
        )
        names = f"`{setting.variable}`" + (f"<br>`{setting.flag}`" if setting.flag else "")
        lines.append(
            f"| `{setting.key}` | {names} | {shown} | {setting.allowed} | {setting.description} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    before, _, rest = SETTINGS_PAGE.read_text("utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    SETTINGS_PAGE.write_text(before + BEGIN + settings_table() + END + after, "utf-8")
