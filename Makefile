# The targets only call scripts in scripts/ and benches/.

.DEFAULT_GOAL := help
.PHONY: help demo lint test-fast test test-features deploy-check chaos bench docs fuzz simulate image image-test install uninstall stack stack-down setup-demo setup-test

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

demo: setup-demo ## build vf and extract one frame a second of a real clip
	@scripts/demo

lint: setup-test ## check formatting, language, modules, links, lints, documentation, packages, licences, scripts and alerts
	@scripts/test lint

test-fast: setup-test ## run unit tests and quick integration tests
	@scripts/test fast

test: setup-test ## run every test and every check except test-features
	@scripts/test

test-features: setup-test ## build with each feature alone, and build the fuzz targets
	@scripts/test features

deploy-check: setup-test ## check the templates, images, units and workflows of a deployment, with the slow checks
	@scripts/test deploy

chaos: setup-test ## inject faults under load for three minutes, and check from outside the outcome of every job
	@scripts/chaos

stack: ## start an S3 store, an SQS and a Postgres on this machine for vf-worker
	@scripts/stack up

stack-down: ## stop the servers of make stack
	@scripts/stack down

bench: setup-demo ## run the criterion benches, then vf against ffmpeg, OpenCV, PyAV, decord
	@scripts/bench

docs: ## build the documentation as a web site into target/docs-site
	@scripts/install-docs-tools
	@rm -rf target/docs-site
	@scripts/docs-site target/docs-site

fuzz: ## run each fuzz target for 30 seconds
	@scripts/fuzz

simulate: ## simulate the job protocol with random faults for a minute
	@scripts/simulate --minutes 1

image: ## build the container image of vf-worker, without a registry
	@scripts/image

image-test: ## build the container image, run a worker in it, and check both
	@scripts/check-image

install: ## install vf, vf-worker and its systemd units; prefix, DESTDIR and PROGRAMS are honoured
	@prefix="$(prefix)" DESTDIR="$(DESTDIR)" scripts/install

uninstall: ## remove what make install installed, except configuration and data
	@prefix="$(prefix)" DESTDIR="$(DESTDIR)" scripts/install uninstall

setup-demo: ## install what demo and bench need (ffmpeg), if missing
	@scripts/setup-demo

setup-test: ## install what test needs, if missing
	@scripts/setup-test
