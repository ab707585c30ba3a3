"""The page's fold, tested where it runs: in a JavaScript engine."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def test_the_fold_of_the_page_keeps_what_its_own_tests_say() -> None:
    node = shutil.which("node")
    if node is None:
        if os.environ.get("CI"):
            pytest.fail("CI has no node: the page's fold was not tested")
        pytest.skip("NODE IS NOT ON THIS MACHINE: the page's fold was not tested")
    tests = Path(__file__).with_name("fold.test.mjs")
    run = subprocess.run(
        [node, "--test", "--test-reporter=tap", str(tests)], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "\n# pass 0" not in run.stdout and "\n# fail 0" in run.stdout
