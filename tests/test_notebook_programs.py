"""The runnable edition in programs for notebooks, in Chromium: JupyterLab as `make lab` starts it, and the classic
Notebook with ipywidgets 7.7.1, which stands for Colab: a program of that generation, with the widgets that Colab has.

Each lives in an environment of its own beside .venv, .lab and .classic, made by the first run; without a package index
the tests are skipped.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import chromium
import handout
import lab
import nbformat
import pytest
from chromium import wait
from PIL import Image
from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys

from fixlip_helpers.datasets import published_clip
from fixlip_helpers.widgets import explorer, stack_view

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
OPENED = ["01_coalitions", "05_sampling", "10_fixlip"]
RUN = "01_coalitions"
EXPLORER = """
from fixlip_helpers.datasets import published_clip
from fixlip_helpers.widgets import explorer

image, explanations = published_clip()
explorer(explanations["FIxLIP"], image)
"""
VIEW = stack_view(["red", "blue"], [Image.new("RGB", (200, 100), colour) for colour in ("red", "blue")])
LONGEST = 1800  # seconds that a chapter may take on a slow machine

pytestmark = pytest.mark.skipif(chromium.BROWSER is None or chromium.DRIVER is None, reason=chromium.ABSENT)


class JupyterLab:
    folder, requirements = ROOT / ".lab", lab.REQUIREMENTS
    start = ("jupyterlab", "--LabApp.expose_app_in_browser=True")
    address = "lab/tree/{}?reset"
    kernel = sys.executable

    @staticmethod
    def open(driver) -> None:
        ready = "const shell = window.jupyterapp?.shell.currentWidget; return Boolean(shell?.sessionContext?.isReady)"
        wait(lambda: driver.execute_script(ready), "JupyterLab")
        wait(
            lambda: driver.execute_script("return document.querySelector('.jp-Cell') !== null"), "the chapter"
        )

    @staticmethod
    def run(driver) -> None:
        driver.set_script_timeout(LONGEST)
        ran = driver.execute_async_script(
            "window.jupyterapp.commands.execute('notebook:run-all-cells').then(arguments[0], arguments[0])"
        )
        assert ran is True, f"a cell failed: {ran}"


class Classic:
    folder, requirements = ROOT / ".classic", ROOT / "tests" / "requirements-classic.txt"
    start = ("nbclassic",)
    address = "nbclassic/notebooks/{}"
    kernel = str(ROOT / ".classic" / "bin" / "python")

    @staticmethod
    def open(driver) -> None:
        """Until widgets are restored: at the end of that, cells are drawn anew, and those that ran before lose theirs.

        Restoring is asking the kernel. What is asked once more is answered after it.
        """
        ready = "const k = window.Jupyter?.notebook?.kernel; return Boolean(k?.is_connected() && k.widget_manager)"
        wait(lambda: driver.execute_script(ready), "the classic Notebook")
        restored = "Jupyter.notebook.kernel.widget_manager._loadFromKernel().then(arguments[0], arguments[0])"
        driver.execute_async_script(restored)

    @staticmethod
    def run(driver) -> None:
        driver.execute_script("Jupyter.notebook.clear_all_output(); Jupyter.notebook.execute_all_cells()")
        left = """return Jupyter.notebook.get_cells().filter(
            cell => cell.cell_type === 'code' && !/^\\d+$/.test(cell.input_prompt_number)).length;"""
        failed = "return document.querySelectorAll('.output_error').length"
        wait(
            lambda: not driver.execute_script(left) or driver.execute_script(failed), "the last cell", LONGEST
        )
        assert not driver.execute_script(failed), "a cell failed"


def set_up(program) -> Path:
    try:
        python = lab.set_up(program.folder, program.requirements)
    except SystemExit as error:
        pytest.skip(f"{program.folder.name}: {error}")
    lab.register(program.folder, program.kernel)
    if program is Classic:  # its kernel has its own ipywidgets, and of the course's environment all else
        course = sysconfig.get_path("purelib")
        ask = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
        own = Path(subprocess.check_output(ask, text=True).strip())
        (own / "course.pth").write_text(f"import site; site.addsitedir({course!r})\n", encoding="utf-8")
    return python


def stranger(spec: dict) -> nbformat.NotebookNode:
    """A saved notebook that nobody trusts: trust is by content, and this one's is new in each run."""
    image, explanations = published_clip()
    shown = [explorer(explanations["FIxLIP"], image).data, VIEW._repr_html_()]
    outputs = [nbformat.v4.new_output("display_data", {"text/html": html}) for html in shown]
    cell = nbformat.v4.new_code_cell(f"# {time.time_ns()}", outputs=outputs)
    return nbformat.v4.new_notebook(cells=[cell], metadata={"kernelspec": spec})


@pytest.fixture(scope="module", params=[JupyterLab, Classic], ids=["jupyterlab", "classic"])
def program(request, tmp_path_factory):
    """A program, and the address at which it serves a folder with the edition, which it trusts as `make lab` does."""
    kind, folder = request.param, tmp_path_factory.mktemp("work")
    python = set_up(kind)
    for chapter in handout.built().glob("*.ipynb"):
        shutil.copy(chapter, folder)
    page = (ROOT / "book" / "setup.md").read_text(encoding="utf-8")
    recipe = re.search(r"```python\n(from ipywidgets.*?)```", page, flags=re.S)[1]
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    for name, code in (("slider", recipe), ("explorer", EXPLORER)):
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(code)], metadata={"kernelspec": spec}
        )
        nbformat.write(notebook, folder / f"{name}.ipynb")
    trusted = list(folder.glob("*.ipynb"))
    nbformat.write(stranger(spec), folder / "stranger.ipynb")
    runtime = tmp_path_factory.mktemp("runtime")
    variables = lab.variables(kind.folder) | {
        "JUPYTER_RUNTIME_DIR": str(runtime),
        "JUPYTER_CONFIG_DIR": str(runtime),
    }
    trust = [python, "-m", "jupyter", "trust", *trusted]
    subprocess.run(trust, env=variables, stdout=subprocess.DEVNULL, check=True)
    settings = ["--no-browser", "--allow-root", "--port=0", "--IdentityProvider.token="]
    server = subprocess.Popen(
        [python, "-m", *kind.start, *settings, f"--ServerApp.root_dir={folder}"],
        env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        (info,) = wait(lambda: list(runtime.glob("jpserver-*.json")), "the server")
        wait(lambda: info.read_text().strip().endswith("}"), "its address", 10)
        yield kind, f"http://127.0.0.1:{json.loads(info.read_text())['port']}/"
    finally:
        server.terminate()
        server.wait(60)


@pytest.fixture
def driver():
    driver = chromium.start()
    yield driver
    driver.quit()


def opened(program, driver, name: str) -> None:
    kind, address = program
    driver.get(address + kind.address.format(f"{name}.ipynb"))
    kind.open(driver)


# Scrolls on by half a window, from the top after the bottom: JupyterLab makes an output when it comes near.
SCROLL = """
const panel = document.querySelector('.jp-WindowedPanel-outer, #site');
const before = panel.scrollTop;
panel.scrollBy(0, panel.clientHeight / 2);
if (panel.scrollTop === before) panel.scrollTo(0, 0);
"""


# Brings a form into the middle of the window, and waits until it rests there: programs move things when scrolled.
REST = """
const [row, done] = arguments;
let last = "", frames = 0;
row.scrollIntoView({block: "center"});
const look = () => {
    const {x, y, width, height} = row.getBoundingClientRect(), now = [x, y, width, height].join();
    frames = now === last ? frames + 1 : 0;
    last = now;
    frames < 10 && row.isConnected ? requestAnimationFrame(look) : done();
};
look();
"""

# Notes a click on a label, before anything reacts to it.
MET = """
window.met = false;
arguments[0].addEventListener("click", () => { window.met = true; }, {capture: true, once: true});
"""

# Which button is chosen (-1: none), and which panels are seen.
STATE = """
const all = selector => [...arguments[0].querySelectorAll(selector)];
const panels = all(".fx-panel").map(panel => panel.checkVisibility());
return [all("input").findIndex(button => button.checked), panels.flatMap((seen, place) => seen ? [place] : []),
        panels.length];
"""


class Form:
    """A view, guess or reply, found as a reader finds it."""

    def __init__(self, driver, selector: str) -> None:
        self.driver, self.selector = driver, selector

    def row(self):
        """The form, scrolled to."""

        def found():
            if not (rows := self.driver.find_elements("css selector", self.selector)):
                self.driver.execute_script(SCROLL)
                time.sleep(0.3)  # as a hand that turns a wheel
            return rows

        row = wait(found, self.selector)[0]
        self.driver.execute_async_script(REST, row)
        return row

    def choose(self, number: int):
        """By a click on its label, which a cell's own reaction to a click must not undo; the form.

        While a notebook is being laid out, a label may move away under the pointer: then one clicks again. A click
        that met the label is the last.
        """

        def met():
            label = self.row().find_elements("css selector", "label")[number]
            self.driver.execute_script(MET, label)
            ActionChains(self.driver).move_to_element(label).click().perform()
            return self.driver.execute_script("return window.met")

        wait(met, f"a click on label {number}")
        return self.expect(number)

    def expect(self, number: int):
        """This is the one that is chosen, and the panel that is seen, if there are panels; the form."""
        row = self.row()
        wait(lambda: self.driver.execute_script(STATE, row)[0] == number, f"choice {number}")
        _, seen, panels = self.driver.execute_script(STATE, row)
        assert seen == ([number] if panels else [])
        return row


def use(driver) -> None:
    """Guess, by mouse and by arrow key, and find the reply; change one's mind; choose in a view."""
    guess, replies = Form(driver, "form[data-guess]"), Form(driver, "form[data-replies-to]")
    view = Form(driver, "form.fx-choices:not(.fx-list)")
    guess.choose(0)
    driver.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    guess.expect(1)
    replies.expect(1)
    guess.choose(2)
    replies.expect(2)
    for place in (1, 0):
        picture = view.choose(place).find_elements("css selector", ".fx-panel img")[place]
        wait(lambda picture=picture: picture.get_property("naturalWidth") > 100, "the view's picture")


@pytest.mark.rotating(len(OPENED), by="name")
@pytest.mark.parametrize("name", OPENED)
def test_a_saved_chapter_shows_its_views_and_they_react(name, program, driver):
    """Opened, not run: guess, reply and view are there and linked."""
    opened(program, driver, name)
    use(driver)


def test_a_chapter_runs_from_its_first_cell_to_its_last(program, driver):
    opened(program, driver, RUN)
    program[0].run(driver)
    use(driver)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CHAPTERS if name != RUN])
def test_every_chapter_runs(name, program, driver):
    opened(program, driver, name)
    program[0].run(driver)
    use(driver)


def test_the_slider_of_the_set_up_page_computes_anew(program, driver):
    """A control that both generations of ipywidgets have."""
    opened(program, driver, "slider")
    program[0].run(driver)

    def printed() -> str:
        return driver.execute_script("return document.querySelector('.widget-interact')?.innerText ?? ''")

    first = wait(lambda: "bus" in printed() and printed(), "the values")

    def dragged() -> bool:  # again, where the slider was not ready yet: it does not say so
        handle = driver.find_element("css selector", ".noUi-handle, .ui-slider-handle")
        ActionChains(driver).drag_and_drop_by_offset(handle, 40, 0).perform()
        try:
            return wait(lambda: "bus" in printed() and printed() != first, "other values", 5)
        except TimeoutError:
            return False

    wait(dragged, "other values")


def test_the_explorer_is_the_page_s(program, driver):
    """In its own frame: a patch for each of the picture's, a word that is clicked, and the program's theme."""
    kind, _ = program
    opened(program, driver, "explorer")
    kind.run(driver)
    frame = wait(lambda: driver.find_elements("css selector", "iframe[title^=Explorer]"), "the explorer")[0]
    driver.switch_to.frame(frame)
    wait(lambda: len(driver.find_elements("css selector", ".fx-patch")) == 49, "the picture's patches")
    driver.switch_to.default_content()
    assert not driver.find_element("css selector", ".fx-explorer table").is_displayed()
    driver.switch_to.frame(frame)
    word = driver.find_element("xpath", "//button[contains(., 'yellow')]")
    before = driver.find_element("css selector", "body").text
    word.click()
    wait(lambda: driver.find_element("css selector", "body").text != before, "what the word says")
    theme = "return document.documentElement.dataset.theme"
    assert driver.execute_script(theme) == "light"
    if kind is JupyterLab:
        driver.switch_to.default_content()
        driver.set_script_timeout(60)
        driver.execute_async_script(
            "window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})"
            ".then(arguments[0], arguments[0])"
        )
        driver.switch_to.frame(frame)
        wait(lambda: driver.execute_script(theme) == "dark", "the dark theme")


def test_what_a_notebook_that_is_not_trusted_shows(program, driver):
    """No frames, styles or scripts: of the explorer the table, the map and how to get it, of a view all pictures."""
    opened(program, driver, "stranger")

    def seen() -> int:
        pictures = driver.find_elements("css selector", "img[src^=data]")
        return sum(one.is_displayed() and one.get_property("naturalWidth") > 100 for one in pictures)

    wait(lambda: seen() == 3, "three pictures")
    assert not driver.find_elements("css selector", "iframe[title^=Explorer]")
    strongest = published_clip()[1]["FIxLIP"].top(1, "cross")[0]
    row = " ".join(driver.find_element("css selector", "tbody tr").text.split())
    assert row.startswith(f"{strongest.value:+.2f} ") and row.endswith(" ".join(strongest.names))
    assert "Run this cell, or trust the notebook" in driver.find_element("css selector", "body").text
