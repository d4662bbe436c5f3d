# make demo        teach, warm up, train, evaluate and report on the default task
# make test        everything that a change must pass
# make bench-demo  repeat the published numbers of the demo
# make bench-ablate  the whole table: the method against what is left without its parts
# make bench-taxi  the taxi, with a warm-up of equal time beside it
# make bench-alfworld  generated games of ALFWorld beside their teacher and the warm-up
# make docs        build the site from docs/; make reference writes the pages that follow from code
# make lint        the quick part of make test

PYTHON ?= python3
VENV ?= .venv
PLUGINS ?= $(sort $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml)))
DEMO_PLUGINS = plugins/env-filesys plugins/reflector-local plugins/trainer-ppo
# its engine is built from source: where that fails, the tests that need it are skipped
BUILT_PLUGINS = $(filter plugins/env-alfworld,$(PLUGINS))
RUN ?= reflect run --env filesys --trainer ppo
PYTEST_ARGS ?= -n 2 --dist worksteal

bin = $(VENV)/bin
pip = $(bin)/python -m pip install --quiet --constraint constraints.txt
manifests = pyproject.toml constraints.txt $(wildcard plugins/*/pyproject.toml)

.PHONY: demo test lint format types docs reference bench-demo bench-ablate bench-taxi bench-alfworld bench-endpoint bench-startup clean
.DELETE_ON_ERROR:

demo: $(VENV)/.installed
	$(bin)/$(RUN)

# one thread per process: two busy processes on two cores, not four
test: export OMP_NUM_THREADS = 1
test: lint types docs
	$(bin)/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/.installed-test
	$(bin)/ruff check .
	$(bin)/ruff format --check .

format: $(VENV)/.installed-test
	$(bin)/ruff check --fix .
	$(bin)/ruff format .

types: $(VENV)/.installed-test
	$(bin)/mypy reflect_core $(patsubst %/__init__.py,%,$(wildcard $(addsuffix /reflect_*/__init__.py,$(PLUGINS))))

docs: export NO_MKDOCS_2_WARNING = 1
docs: $(VENV)/.installed-test
	$(bin)/mkdocs build --strict

reference: $(VENV)/.installed-test
	$(bin)/python tools/reference.py

bench-demo: $(VENV)/.installed-test
	$(bin)/reflect ablate --env filesys --seeds 0,1,2 --out runs/bench-demo \
		--arms random,filesys-unseen-name,filesys-shared-characters,impatient,explorer,warmup,warmup-equal \
		--arm "impatient=policy=expert reflector=none teach.episodes=0" \
		--arm "explorer=policy=expert env.expert=explorer reflector=none teach.episodes=0"
	for kind in md json svg; do cp runs/bench-demo/ablation.$$kind benchmarks/demo.$$kind; done
	cp benchmarks/demo.svg docs/demo.svg

bench-ablate: $(VENV)/.installed-test
	$(bin)/reflect ablate --env filesys --out runs/bench-ablate
	for kind in md json svg; do cp runs/bench-ablate/ablation.$$kind benchmarks/ablation.$$kind; done

bench-taxi: $(VENV)/.installed-test
	$(bin)/reflect ablate --env taxi --out runs/bench-taxi \
		--arms random,no-reflection,follow,warmup,warmup-equal eval.episodes=225
	for kind in md json svg; do cp runs/bench-taxi/ablation.$$kind benchmarks/taxi.$$kind; done

bench-alfworld: $(VENV)/.installed-test
	$(bin)/reflect ablate --env alfworld --out runs/bench-alfworld \
		--arms random,visitor,explorer,warmup,warmup-equal \
		--arm "visitor=policy=expert reflector=none teach.episodes=0" \
		--arm "explorer=policy=expert env.expert=explorer reflector=none teach.episodes=0" \
		eval.episodes=200
	for kind in md json svg; do cp runs/bench-alfworld/ablation.$$kind benchmarks/alfworld.$$kind; done

bench-endpoint: $(VENV)/.installed-test
	$(bin)/python benchmarks/endpoint.py

bench-startup: $(VENV)/.installed-test
	$(bin)/python benchmarks/startup.py

# Stamps, so that a second call installs nothing.
$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.installed: $(VENV)/.created $(manifests)
	$(pip) $(foreach path,. $(DEMO_PLUGINS),--editable ./$(path))
	touch $@

$(VENV)/.installed-test: $(VENV)/.created $(manifests)
	$(pip) --editable '.[test]' $(foreach path,$(filter-out $(BUILT_PLUGINS),$(PLUGINS)),--editable ./$(path))
	for path in $(BUILT_PLUGINS); do \
		$(pip) --editable ./$$path || { \
			echo "the engine of $$path cannot be installed here: tests that need it are skipped"; \
			$(pip) --no-deps --editable ./$$path; } || exit 1; \
	done
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis
