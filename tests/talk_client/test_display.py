from duologue.talk_client.display import waterfall


def test_the_waterfall_shows_both_clocks() -> None:
    shown = waterfall({"decision": 500, "first_audio": 900}, {"decision": 490, "first_token": 700})
    rows = [line.split() for line in shown.splitlines()]
    assert rows[1][:5] == ["decision", "500", "ms", "490", "ms"]
    assert rows[2][:5] == ["first", "token", "–", "700", "ms"]
    assert rows[3][:5] == ["first", "audio", "900", "ms", "–"]


def test_nothing_measured_is_nothing_shown() -> None:
    assert waterfall({}, {}) == ""
