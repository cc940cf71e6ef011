# relume. `make help` lists the targets.
PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
JOBS   ?= 2
SHARD  ?= 1/1
MINUTES ?= 10
RISCV  := riscv64-unknown-elf-gcc:gcc-riscv64-unknown-elf

.DEFAULT_GOAL := help
.PHONY: help setup tools qemu host firmware unix natmod wheel bundle stock size test test-all proof fuzz coverage lint static docs demo board-test clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: $(VENV)/.stamp ## .venv with relume and all that the tests and the demo need
$(VENV)/.stamp: pyproject.toml
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@echo "relume: installing the Python packages (TensorFlow is the large one)"
	@$(VENV)/bin/pip install -q -e '.[convert,emulate,plot,dev,demo,docs]'
	@touch $@

tools: setup ## cross compiler, cmake and ninja (apt)
	@$(MAKE) --no-print-directory -C firmware tools

qemu: tools ## MicroPython for QEMU's Cortex-M and RISC-V, and QEMU if apt can (else tests/qemu skip)
	@firmware/tools/install.sh qemu-system-arm:qemu-system-arm || true
	@firmware/tools/install.sh $(RISCV) qemu-system-riscv32:qemu-system-misc || true
	@! command -v qemu-system-arm >/dev/null || $(MAKE) --no-print-directory -C firmware qemu

host: setup ## the C engine as a host library and its sanitised test programs
	@$(MAKE) --no-print-directory -C native_modules/relume

firmware: tools ## UF2 of BOARD (RPI_PICO): build/firmware/RPI_PICO/firmware.uf2
	@$(MAKE) --no-print-directory -C firmware rp2

unix: tools ## MicroPython unix port with the relume module
	@$(MAKE) --no-print-directory -C firmware unix

natmod: tools ## native modules for stock MicroPython: build/natmod/<arch>_6.3/
	@firmware/tools/install.sh $(RISCV) || true
	@$(MAKE) --no-print-directory -C firmware natmod

wheel: natmod firmware ## build/dist/relume-*.whl and .tar.gz, with firmware and native modules
	@firmware/tools/wheel.sh $(PY)

bundle: ## build/dist/relume-circuitpython-bundle-*.zip, as circup takes it
	@$(PYTHON) firmware/tools/bundle.py build/dist

stock: tools ## MicroPython's own RPI_PICO, for the tests of the native module
	@$(MAKE) --no-print-directory -C firmware stock

size: ## native bytes of engine, kernels and checker, for each core
	@$(MAKE) --no-print-directory -C native_modules/relume size

test: host unix firmware natmod stock qemu ## the tests of every commit
	@$(PY) -m pytest

test-all: host unix firmware natmod stock qemu ## the heavy tests too; SHARD=i/n runs a part
	@$(PY) -m pytest --heavy --shard $(SHARD)

proof: ## what the power cut suites have counted, and for which sources
	@$(PY) -m tests.powercut.report

fuzz: setup ## hostile bytes for MINUTES=n, guided if there is clang; goes on where it was
	@$(PY) -m tests.fuzz.campaign $(MINUTES)

coverage: host ## lines and branches that tests take: of the kernels, then of checker, frames and stores (gcov)
	@$(PY) -m tests.kernels.coverage
	@$(PY) -m tests.fuzz.coverage

lint: setup ## ruff and mypy --strict
	@$(VENV)/bin/ruff check host boards tests docs
	@mkdir -p build/types && ln -sfn ../../boards build/types/relume_boards
	@MYPYPATH=host:build/types $(VENV)/bin/mypy -p relume -p relume_boards
	@MYPYPATH=host:build/types:docs/site $(VENV)/bin/mypy docs/site/*.py
	@cd firmware/typings && $(CURDIR)/$(VENV)/bin/mypy --strict --config-file= -p relume -p relume_pure -p _relume_native
	@for main in firmware/examples/*/main.py; do MYPYPATH=firmware/typings $(VENV)/bin/mypy \
	    --config-file= --check-untyped-defs --ignore-missing-imports $$main || exit 1; done

docs: setup ## the documentation as a site, in build/site; a warning is an error
	@$(PY) -m mkdocs build --strict

static: setup ## gcc -fanalyzer and cppcheck over the shipping C
	@$(PY) -m tests.static

demo: firmware ## train, plan, deploy to the emulated Pico, cut its power, compare every byte
	@$(VENV)/bin/relume demo --out build/demo

board-test: setup ## the same checks on a real board: make board-test PORT=a0
	@$(VENV)/bin/relume run build/demo/digits.rlm -p $(or $(PORT),auto) --input build/demo/held_back.npy

clean: ## remove what was built (the downloaded sources stay)
	@rm -rf build/host build/firmware build/powercut build/fuzz/guided build/fuzz/alone build/coverage build/demo build/natmod
