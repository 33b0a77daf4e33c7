"""What all tests share."""

import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest

ROOT = Path(__file__).resolve().parent.parent

matplotlib.use("Agg")


@pytest.fixture(scope="session")
def pages() -> Path:
    """The folder of the built book."""
    build = [sys.executable, str(ROOT / "scripts" / "book.py"), "--stored"]
    result = subprocess.run(build, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if result.returncode:
        complaints = [
            line for line in result.stdout.splitlines() if re.search("WARNING|ERROR|CRITICAL", line)
        ]
        shown = "\n".join(complaints) or result.stdout[-6000:]
        pytest.fail(f"the book does not build without warnings:\n{shown}", pytrace=False)
    return ROOT / "_build" / "stored" / "_build" / "html"


def pytest_collection_modifyitems(items):
    """The built book comes last: it shows the outputs that the chapters' own tests have just compared."""
    items.sort(key=lambda item: "test_built_book" in item.nodeid)
