"""The commands of docs/service.md do what it says, against the real service."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest

from tests.documents import blocks
from tests.paths import ROOT
from tests.test_docs import OF_THE_SERVICE

DOCUMENT = "docs/service.md"
LINES = [line for block in blocks(DOCUMENT, "bash") for line in block.splitlines()]
COMMANDS = [
    pytest.param(line, marks=pytest.mark.needs("curl") if line.startswith("curl") else ())
    for line in LINES
    if line.startswith(OF_THE_SERVICE)
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_document_is_answered(command, service, tmp_path):
    here = f"127.0.0.1:{service.port}"
    shown = command.replace("127.0.0.1:9007", here)
    if "lvm_core.service.client" in shown:
        shown += f" --url http://{here}"
    done = subprocess.run(
        shown,
        shell=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    if shown.startswith("curl"):
        assert "error" not in json.loads(done.stdout)
    else:
        assert "confidence" in done.stdout


def test_the_document_shows_what_an_answer_has(service):
    (shown,) = [json.loads(block) for block in blocks(DOCUMENT, "json") if "chunks_used" in block]
    answer = service.post("/chat", {"paragraph": shown["input_chunks"][0], "candidates": 2}).json
    assert set(shown) == set(answer)
    assert set(shown["steps"][0]) == set(answer["steps"][0])
    assert set(shown["latency_breakdown"]) == set(answer["latency_breakdown"])


def test_the_python_of_the_document_is_answered(service):
    (code,) = blocks(DOCUMENT, "py")
    names: dict[str, Any] = {}
    exec(code.replace("http://127.0.0.1:9007", service.address), names)
    assert [step.step for step in names["answer"].steps] == [1, 2]
