# Thin callers: what each target does is in scripts/ and benches/.

.DEFAULT_GOAL := help
.PHONY: help demo test bench stack stack-down setup-demo setup-test

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

demo: setup-demo ## build vf and extract one frame a second of a real clip
	@scripts/demo

test: setup-test ## format, lints, docs, feature builds and every test
	@scripts/test

stack: ## start an S3 store, an SQS and a Postgres on this machine, ready for vf-worker
	@scripts/stack up

stack-down: ## stop exactly those
	@scripts/stack down

bench: setup-demo ## criterion benches, then vf against ffmpeg, OpenCV, PyAV, decord
	@scripts/bench

setup-demo: ## install what demo and bench need (ffmpeg), if missing
	@scripts/setup-demo

setup-test: ## install what test needs, if missing
	@scripts/setup-test
