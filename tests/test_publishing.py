"""What the workflows run beside the tests: badges out of reports, links that are asked, the set-up cell."""

import http.server
import itertools
import subprocess
import sys
import threading
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import links
import nbformat
import pytest
import setup_cell
import status
import yaml

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = ROOT / ".github" / "workflows"


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    """A folder with the report of a real run of two small notebooks, of which one fails."""
    folder = tmp_path_factory.mktemp("rot")
    (folder / "notebooks").mkdir()
    for name, code in (("01_coalitions", "print(1)"), ("02_shapley_and_banzhaf", "print(1 / 0)")):
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell("1 + 1"), nbformat.v4.new_code_cell(code)],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        )
        nbformat.write(notebook, folder / "notebooks" / f"{name}.ipynb")
    (folder / "reports").mkdir()
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval-lax"]
    run += ["--junitxml=reports/linux.xml", "notebooks"]
    subprocess.run(run, cwd=folder, capture_output=True)
    return folder / "reports"


def test_badges_say_which_chapters_run(report, tmp_path):
    status.write(report, tmp_path)
    said = {path.stem: ElementTree.parse(path).getroot().get("aria-label") for path in tmp_path.glob("*.svg")}
    assert set(said) == {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert said["01_coalitions"].startswith("chapter 01: runs, 20")
    assert said["02_shapley_and_banzhaf"].startswith("chapter 02: fails, 20")
    assert said["03_interactions"] == "chapter 03: not run"
    table = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert table.count("<td>fails, ") == 1 and table.count("<td>runs, ") == 1


def test_a_report_of_something_else_is_refused(tmp_path):
    (tmp_path / "linux.xml").write_text(
        '<testsuites><testsuite timestamp="2026-01-01"></testsuite></testsuites>'
    )
    with pytest.raises(SystemExit, match="names no chapter"):
        status.write(tmp_path, tmp_path / "status")


def test_links_that_lead_nowhere_are_found(tmp_path):
    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            self.send_response({"/there": 200, "/refused": 403}.get(self.path, 404))
            self.end_headers()

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    here = f"http://127.0.0.1:{server.server_port}"
    nobody = "http://127.0.0.1:9/"
    addresses = [f"{here}/there#part", f"{here}/refused", f"{here}/gone", nobody, "other.html"]
    (tmp_path / "page.html").write_text("".join(f'<a href="{address}">x</a>' for address in addresses))
    found = links.outside(tmp_path)
    assert set(found) == {f"{here}/there", f"{here}/refused", f"{here}/gone", nobody}
    assert {address for address in found if links.broken(links.answer(address))} == {f"{here}/gone", nobody}
    server.shutdown()


def test_set_up_cell_is_one_that_runs_and_is_printed():
    command = [sys.executable, str(ROOT / "scripts" / "setup_cell.py"), "--print"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed == setup_cell.source() + "\n"
    compile(printed.replace("%pip install", "pip_install  #"), "cell", "exec")


def test_workflows_run_only_what_is_there():
    """Every `make` target, script and test folder that a workflow names exists."""
    targets = {
        line.split(":")[0] for line in (ROOT / "Makefile").read_text().splitlines() if ": environment" in line
    }
    targets |= {"test"}
    for path in WORKFLOWS.glob("*.yml"):
        workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
        for job in workflow["jobs"].values():
            if "uses" in job:
                assert (ROOT / job["uses"]).is_file()
            for step in job.get("steps", []):
                words = step.get("run", "").split()
                for word, following in itertools.pairwise(words):
                    if word == "make":
                        assert following in targets, f"{path.name}: make {following}"
                    if word.endswith("python") and following.startswith("scripts/"):
                        assert (ROOT / following).is_file(), f"{path.name}: {following}"


def test_the_site_s_workflow_writes_the_branch_that_the_buttons_open(tmp_path):
    """Its own command, between two clones here: all of the commit, the chapters replaced, whatever was there before."""
    workflow = yaml.safe_load((WORKFLOWS / "site.yml").read_text(encoding="utf-8"))
    (step,) = (
        step for step in workflow["jobs"]["deploy"]["steps"] if "on its branch" in step.get("name", "")
    )
    assert workflow["jobs"]["deploy"]["permissions"]["contents"] == "write"
    for name in ("book", "rot", "real"):  # a called workflow has no more rights than its caller gives
        caller = yaml.safe_load((WORKFLOWS / f"{name}.yml").read_text(encoding="utf-8"))
        (job,) = (job for job in caller["jobs"].values() if job.get("uses", "").endswith("site.yml"))
        assert job["permissions"]["contents"] == "write"
    branch = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["sphinx"]["config"][
        "html_theme_options"
    ]["repository_branch"]

    def git(*arguments: str, at: Path) -> str:
        ours = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
        command = ["git", *ours, *arguments]
        return subprocess.run(command, cwd=at, check=True, capture_output=True, text=True).stdout

    clone, origin = tmp_path / "clone", tmp_path / "origin.git"
    git("init", "--bare", str(origin), at=tmp_path)
    git("clone", str(origin), str(clone), at=tmp_path)
    for name, text in (
        ("notebooks/01_x.ipynb", "source"),
        (".binder/postBuild", "b"),
        (".gitignore", "_build/"),
    ):
        (clone / name).parent.mkdir(exist_ok=True)
        (clone / name).write_text(text)
    built = clone / "_build" / "site" / "notebooks"
    built.mkdir(parents=True)
    for number in ("one", "two"):  # the second time over the branch of the first
        (clone / "README.md").write_text(number)
        git("add", "--all", at=clone)
        git("commit", "-m", number, at=clone)
        git("push", "origin", "HEAD:main", at=clone)
        (built / "01_x.ipynb").write_text(f"edition {number}")
        subprocess.run(["bash", "-e", "-c", step["run"]], cwd=clone, check=True)
        assert git("show", f"{branch}:notebooks/01_x.ipynb", at=origin) == f"edition {number}"
        assert git("show", "main:notebooks/01_x.ipynb", at=origin) == "source"
        assert git("ls-tree", "-r", "--name-only", branch, at=origin) == git(
            "ls-tree", "-r", "--name-only", "main", at=origin
        )
        assert git("rev-parse", f"{branch}^", at=origin) == git("rev-parse", "main", at=origin)
        git("switch", "main", at=clone)
