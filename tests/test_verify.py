"""`make verify` prints what came of each part, goes on after one that fails, and then fails itself."""

from __future__ import annotations

from tests import verify


def test_all_parts_run_and_one_that_fails_is_told(monkeypatch, capfd):
    monkeypatch.setattr(verify, "PARTS", {"first": ["json.tool", "nowhere"], "second": ["platform", "terse"]})
    assert verify.main() == 1
    lines = capfd.readouterr().out.splitlines()
    assert lines[-3].startswith("first: ")
    assert lines[-3].endswith("min, FAILED)")
    assert lines[-2].startswith("second: Linux")
    assert lines[-1] == "altogether: 0 min"
    monkeypatch.setattr(verify, "PARTS", {"second": ["platform", "terse"]})
    assert verify.main() == 0
