# make demo     the main job: data, training, index, evaluation, export, answered queries, a shelf that changes
# make test     all checks: lint, types, tests
# make quality  models by published protocols; fails where one is worse than expected
# make serve    the demo's model on TensorFlow Serving's ports, and the service with its page, until stopped
# make lock     constraints.txt anew from setup.py, keeping what still fits

CONFIG ?= configs/complete_journey.yaml
BIN := .venv/bin
READY := .venv/ready

# Python keeps what it compiles, though images often forbid it: processes start twice as fast.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test quality serve lock clean

demo: $(READY)
	$(BIN)/tfrec run $(CONFIG)
	$(BIN)/python examples/demo.py $(CONFIG)

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

quality: $(READY)
	$(BIN)/python benchmarks/quality.py

serve: $(READY)
	$(BIN)/tfrec features push $(CONFIG)
	@$(BIN)/tfrec serve serving/complete_journey & server=$$!; trap 'kill $$server' EXIT; \
	$(BIN)/tfrec gateway $(CONFIG) --service.server grpc://127.0.0.1:8500

lock: $(READY)
	$(BIN)/uv pip compile --quiet --all-extras --python-version 3.10 --no-header --no-annotate \
	  --output-file constraints.txt setup.py

# Python 3.10: $PYTHON, or from the path, or pyenv's, or one that uv fetches.
$(READY): setup.py constraints.txt
	@set -e; \
	is_it() { "$$1" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 10))' 2>/dev/null; }; \
	found=; \
	for python in "$${PYTHON:-python3.10}" "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.10*/bin/python; do \
	  if [ -z "$$found" ] && is_it "$$python"; then found=$$python; fi; \
	done; \
	if [ -z "$$found" ] && uv python install --quiet 3.10 2>/dev/null; then found=$$(uv python find 3.10); fi; \
	if [ -z "$$found" ]; then \
	  echo "Python 3.10 is needed and was not found: install it (pyenv install 3.10, or uv) or set PYTHON to its path" >&2; \
	  exit 2; \
	fi; \
	echo "making .venv with $$found"; \
	"$$found" -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt --editable '.[dev]'
	@touch $@

clean:
	rm -rf .venv build dist *.egg-info runs serving
