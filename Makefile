# Everything starts from python3 (3.11-3.14, with venv), git and make; each target sets up what it needs.
PYTHON ?= python3
VENV := .venv/bin

.PHONY: help demo test test-fast test-all chaos bench campaign nights replay durations mutants lint hooks measure lock docs screenshots gallery wheel image image-test droplet-test install-test redis-test trust sbom clean
.DEFAULT_GOAL := help

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' Makefile | awk -F'|' '{printf "  %-14s %s\n", $$1, $$2}'

demo: ## The bot and a pretend world: a page that looks like a Slack channel, on this machine only (KIND=fixed, autoscaler, elastic or single)
	@$(PYTHON) scripts/env.py demo
	@$(VENV)/openvidu-bot demo $(if $(KIND),--kind $(KIND)) $(ARGS)

test: ## All checks: ruff, mypy, import contracts, tests (four minutes on two quiet cores)
	@$(PYTHON) scripts/env.py dev
	@$(VENV)/python scripts/check.py

test-fast: ## The tests of what changed, nearest first, for half a minute (BASE=main: since that commit)
	@$(PYTHON) scripts/env.py dev
	@$(VENV)/python scripts/check.py --fast $(BASE)

test-all: ## Everything: each point a bot can die at, 10,000 faulted stories, ten minutes of chaos, broken guards (an hour and a half)
	@$(PYTHON) scripts/env.py dev
	@$(VENV)/python scripts/check.py --all

chaos: ## Three bots and a real Redis, and everything goes wrong for ten minutes (SECONDS=60 SEED=7)
	@$(PYTHON) scripts/env.py dev
	@$(VENV)/python -m tests.e2e.chaos --seconds $(or $(SECONDS),600) $(if $(SEED),--seed $(SEED))

bench: ## Measure: answers, procedures, requests, scale, weight; writes docs/performance.md (20 minutes; ARGS=procedures for one part, ARGS=compare to find what became worse)
	@$(PYTHON) scripts/env.py dev
	@$(VENV)/python -m bench $(ARGS)

replay: ## Every recording of a real account against the pretend world (FILE=x.jsonl for another; docs: CONTRIBUTING.md)
	@$(PYTHON) scripts/env.py dev
	@$(VENV)/openvidu-bot replay $(or $(FILE),tests/recordings/*.jsonl)

durations: ## Take over what the recordings show: delays of the pretend world, estimates on cards
	@$(PYTHON) scripts/env.py dev
	@$(VENV)/python -m scripts.durations

nights: ## Play a year of nights under seeded misfortunes and write docs/reliability.md (25 minutes; NIGHTS=30 of them)
	@$(PYTHON) scripts/env.py dev
	@$(VENV)/python -m scripts.nights $(or $(NIGHTS),365) --write

campaign: ## Whole procedures under seeded bad luck: SEEDS=10000 of them, or SEED=123 again as it was
	@$(PYTHON) scripts/env.py dev
	@$(VENV)/python -m scripts.campaign $(if $(SEED),--seed $(SEED),$(or $(SEEDS),10000)) $(ARGS)

mutants: ## Small changes to the guard code that a test has to notice: at least 95 % (ARGS=locks for one file)
	@$(PYTHON) scripts/env.py dev
	@$(VENV)/python -m scripts.mutants $(ARGS)

lint: ## Only what executes nothing: ruff, mypy, import contracts
	@$(PYTHON) scripts/env.py dev
	@$(VENV)/ruff check . && $(VENV)/mypy && $(VENV)/lint-imports --no-logo && $(VENV)/python -m scripts.english && $(VENV)/python -m scripts.words

hooks: ## Install the pre-commit hooks: formatter, ruff, mypy, import contracts, the word list
	@$(PYTHON) scripts/env.py dev
	@$(VENV)/pre-commit install --hook-type pre-commit --hook-type commit-msg

measure: ## Size, layers, density and suppressions: this tree beside the one before the rooms
	@$(PYTHON) scripts/env.py dev
	@$(VENV)/python -m scripts.measure

lock: ## Resolve pyproject.toml anew into requirements*.txt (ARGS=--upgrade for newer versions)
	@$(PYTHON) scripts/env.py dev
	@sh scripts/lock.sh $(ARGS)

docs: ## Write docs/reference anew from the code, and build the site into dist/site (ARGS=--serve shows it)
	@$(PYTHON) scripts/env.py dev
	@$(VENV)/python -m scripts.docs
	@$(VENV)/python -m scripts.badges
	@$(VENV)/python -m scripts.site $(ARGS)

trust: ## Play the page on trust in the simulated account, and write its outputs anew (half a minute; ARGS=--check only compares)
	@$(PYTHON) scripts/env.py dev
	@$(VENV)/python -m scripts.trust_it $(ARGS)

screenshots: ## Draw everything that the bot says, on a desk and a phone, light and dark; and take the pictures in docs/ anew (needs chromium)
	@$(PYTHON) scripts/env.py dev
	@$(VENV)/python -m scripts.screenshots $(ARGS)

gallery: ## Everything that the bot says, drawn on a page of this machine
	@$(PYTHON) scripts/env.py dev
	@$(VENV)/python -m scripts.gallery $(ARGS)

wheel: ## dist/openvidu_bot-*.whl, for pip and pipx
	@$(PYTHON) scripts/env.py dev
	@$(VENV)/python -m hatchling build -t wheel -d dist

image: ## Build the image, on a base that is pinned by its digest (ENGINE=docker, buildah or podman; BASE=... TAG=... ARGS=...)
	@$(PYTHON) scripts/env.py run
	@$(VENV)/python scripts/image.py $(if $(ENGINE),--engine $(ENGINE)) $(if $(BASE),--base $(BASE)) $(if $(TAG),--tag $(TAG)) $(ARGS)

image-test: ## Build the image on Debian's packages and run it, read-only and without rights, in the pretend world (root, docker.io, mmdebstrap)
	@$(PYTHON) scripts/env.py dev
	@$(VENV)/python -m tests.install.image

droplet-test: ## Install on a booted Debian with systemd, and run it there in the pretend world (root, systemd-container, mmdebstrap; SUITE=trixie)
	@$(PYTHON) scripts/env.py dev
	@$(VENV)/python -m tests.install.droplet

install-test: ## Install the wheel with all it needs, with each Python that is here, and run it
	@$(PYTHON) scripts/env.py dev
	@$(VENV)/python -m tests.install.pythons

redis-test: ## The state store on Redis 8 and Valkey too, out of the packages of Debian 13 (root, mmdebstrap)
	@$(PYTHON) scripts/env.py dev
	@$(VENV)/python -m tests.install.servers

sbom: ## What is in it: dist/sbom.cdx.json (CycloneDX) and dist/licences.txt
	@$(PYTHON) scripts/env.py run
	@$(VENV)/python scripts/sbom.py

clean: ## Forget everything that was installed or cached
	rm -rf .venv .cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist
