"""What all tests share."""

import importlib
import os
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import matplotlib
import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

matplotlib.use("Agg")

# A loaded machine may be ten times slower than a quiet one: no clock makes a sound test fail.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def pages(tmp_path_factory) -> Path:
    """The folder of the built book; one process of a run builds it, the others wait for it."""
    of_run = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        of_run = of_run.parent
    with FileLock(of_run / "book.lock"):
        built = of_run / "book.built"
        if not built.exists():
            build_pages()
            built.touch()
    return ROOT / "_build" / "stored" / "_build" / "html"


def build_pages() -> None:
    build = [sys.executable, str(ROOT / "scripts" / "book.py"), "--stored"]
    result = subprocess.run(build, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if result.returncode:
        complaints = [
            line for line in result.stdout.splitlines() if re.search("WARNING|ERROR|CRITICAL", line)
        ]
        shown = "\n".join(complaints) or result.stdout[-6000:]
        pytest.fail(f"the book does not build without warnings:\n{shown}", pytrace=False)


def pytest_configure():
    """One day for all processes of a run that begins before midnight: workers inherit the variable."""
    os.environ.setdefault("FIXLIP_TEST_DAY", str(date.today().toordinal()))


@pytest.fixture(scope="module", params=["chromium", "firefox"])
def engine(request):
    """The module ``chromium`` or ``firefox``: what takes it runs in both; skipped where one is absent."""
    pytest.importorskip("selenium", reason="pip install selenium")
    found = importlib.import_module(request.param)
    if not (found.BROWSER and found.DRIVER):
        pytest.skip(found.ABSENT)
    return found


@pytest.fixture(scope="module")
def browser(engine):
    """A driver of selenium's; ``engine.look`` sets its size and theme, ``engine.complaints`` reads its console."""
    driver = engine.start()
    yield driver
    driver.quit()


# Files that take minutes begin first, so that two processes end together. What needs the built book is between files
# that do not, since one process builds it and the others wait.
LONGEST = (
    "test_built_book.py", "07_masking.ipynb", "test_try_it.py", "14_faithfulness.ipynb", "test_try_it_states.py",
    "test_notebook_programs.py", "09_gradient_interactions.ipynb", "test_front_page.py", "test_opened_model.py",
    "18_debugging.ipynb", "test_edition.py", "12_at_scale.ipynb", "test_hub.py", "11_cross_modal.ipynb",
    "15_insertion_deletion.ipynb", "test_scores.py", "test_experiments.py", "19_your_own.ipynb", "08_first_order.ipynb",
    "test_explorer.py",
)  # fmt: skip


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """The longest files come first, and of rotating tests those whose day it is not are slow ones."""
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))
    today, places = int(os.environ["FIXLIP_TEST_DAY"]), {}
    for item in items:
        marker = item.get_closest_marker("rotating")
        if marker and hasattr(item, "callspec"):
            by = marker.kwargs.get("by")
            if by is not None and by not in item.callspec.params:
                continue
            seen = places.setdefault(item.nodeid.partition("[")[0], {})
            place = seen.setdefault(item.callspec.params[by] if by else item.nodeid, len(seen))
            if (place - today) % marker.args[0]:
                item.add_marker(pytest.mark.slow)
