# Everything from a bare clone: `make book`, `make test`. `make help` lists the rest.

VENV ?= .venv
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3 python; do \
	"$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& echo "$$python" && break; done)
IN := $(VENV)/bin

# Chapters run in this environment's kernel, on no network, with the embedded model unless told otherwise.
export JUPYTER_PREFER_ENV_PATH := 1
export HF_HUB_OFFLINE ?= 1
export TRANSFORMERS_VERBOSITY ?= error
export PATH := $(abspath $(IN)):$(PATH)

# A reader's settings must not decide whether the stored outputs hold.
PYTEST := env -u FIXLIP_MODEL -u FIXLIP_DEVICE $(IN)/python -m pytest --nbval --nbval-sanitize-with tests/nbval.cfg

# Files of tests, and chapters, run beside each other, a core for each, in the order of tests/conftest.py.
JOBS ?= 2
BESIDE := OMP_NUM_THREADS=1 $(PYTEST) -n $(JOBS) --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help environment book notebooks lab serve publish bundle slides pdf chapters lint test test-all test-full-size bench browser picture set-repository clean

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{ printf "make %-16s %s\n", $$1, $$2 }'
	@echo
	@echo "variables: VENV=.venv  PYTHON=python3.11  TORCH_INDEX=ADDRESS (CPU wheels of torch)  REUSE_TORCH=1  JOBS=2"

environment: ## set up .venv (both commands above do it themselves)
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer with venv was found (Debian: apt-get install python3-venv); set PYTHON=..."; exit 2; }
	@$(PYTHON) scripts/environment.py $(VENV)

book: environment ## run every chapter and build the book into _build/html
	@echo "== Book: running the chapters that changed, building the pages"
	@$(IN)/python scripts/book.py

notebooks: environment ## write the chapters as notebooks that read well in any editor, into _build/notebooks
	@$(IN)/python scripts/handout.py

lab: environment ## open the chapters in JupyterLab (LAB="--no-browser" and the like); your changes in my_chapters stay
	@$(IN)/python scripts/lab.py $(LAB)

serve: ## serve the built book on http://localhost:8000
	@$(IN)/python -m http.server --bind 127.0.0.1 --directory _build/html 8000

publish: environment ## write the site for any static host, from the stored outputs, into _build/site
	@echo "== Site: building the pages from the stored outputs"
	@$(IN)/python scripts/publish.py $(REPORTS)

slides: environment ## write slides for each part, with speaker notes, into _build/slides
	@echo "== Slides: building the pages from the stored outputs"
	@$(IN)/python scripts/slides.py

pdf: environment browser ## print the whole book, solutions opened, into _build/book.pdf
	@echo "== PDF: building the pages from the stored outputs, printing them"
	@$(IN)/python scripts/pdf.py

bundle: environment ## write one archive for a classroom without network: site, notebooks, models, wheels for this system
	@echo "== Bundle: building the pages, fetching the wheels"
	@$(IN)/python scripts/bundle.py

chapters: environment ## run every chapter and store its outputs in the notebook (for authors)
	@$(IN)/python scripts/chapters.py

lint: environment ## ruff: rules and format, notebooks too; which module may import which
	@echo "== Lint: rules, format, imports"
	@$(IN)/ruff check .
	@$(IN)/ruff format --check .
	@$(IN)/lint-imports --no-cache --no-logo

test: lint browser ## lint, unit tests, every chapter against its stored outputs, the built book in a browser
	@echo "== Tests: the package, the chapters (nbval), the book built from their outputs"
	@$(BESIDE) -m "not slow" tests notebooks

test-all: lint browser ## the same with the slow tests, every chapter with one thread and with two, then test-full-size
	@echo "== Tests: everything, the slow ones too"
	@$(PYTEST) tests
	@for threads in 1 2; do echo "== Chapters with $$threads thread(s)"; \
		OMP_NUM_THREADS=$$threads $(PYTEST) notebooks || exit 1; done
	@$(MAKE) --no-print-directory test-full-size

test-full-size: environment ## chapters with CLIP ViT-B/32 and SigLIP 2 at full size, where their code changed since: up to hours
	@echo "== Chapters at full size: those that results/full_size.txt does not list with their present code"
	@FIXLIP_FULL_SIZE=1 $(PYTEST) -rs tests/test_other_models.py

browser: environment
	@sh scripts/browser.sh

bench: environment ## time and memory of the solvers and of whole explanations, with pass or fail
	@$(IN)/python -m benchmarks

picture: environment ## draw the picture of README.md anew
	@$(IN)/python scripts/readme_picture.py

set-repository: ## URL=https://github.com/OWNER/NAME: make this the public address everywhere
	@$(PYTHON) scripts/set_repository.py "$(URL)"

clean: ## remove what was built, the environment excepted
	rm -rf _build
