PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
RUN := runs/quickstart

.PHONY: quickstart test check format environment schema docs notebooks

# Set up, train a small network on the digits that ship here, and predict one image.
quickstart: environment
	$(BIN)/hf-imgcls train recipes/digits_resnet.json training.output_dir=$(RUN) --start-over
	$(BIN)/python -c "from transformers import pipeline; \
		best = pipeline('image-classification', '$(RUN)')('recipes/digits/seven.png')[0]; \
		print('recipes/digits/seven.png is a', best['label'], 'with a score of', round(best['score'], 4))"

test: environment
	$(BIN)/python -m pytest -n 3 --dist worksteal

check: environment
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: environment
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Run the walkthroughs again and save their outputs.
notebooks: environment
	cd notebooks && for file in *.ipynb; do ../$(BIN)/jupyter-execute --inplace $$file || exit 1; done

# The JSON schema that editors complete and check recipes with.
schema: environment
	$(BIN)/python -c "import json; from hf_imgcls.recipe import json_schema; print(json.dumps(json_schema(), indent=1))" \
		> recipes/recipe.schema.json

# Renew the tables of recipe keys, and build the site into site/.
docs: environment
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

environment: $(VENV)/installed

# uv installs in half a minute what takes pip several.
$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -e ".[dev]"
	touch $@
