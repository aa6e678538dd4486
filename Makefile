# `make demo` and `make test` are all you need. Both install the software that they need and do not find.
SHELL := /bin/sh
export PATH := $(CURDIR)/.venv/bin:$(PATH):/usr/sbin:/sbin
# Tests start our modules and Ansible thousands of times. Where this variable is set, all of them compile the collection.
unexport PYTHONDONTWRITEBYTECODE
PYTEST := .venv/bin/python -m pytest
RELEASES := bookworm trixie
# Tests that build network namespaces need root.
AS_ROOT := $(shell [ "$$(id -u)" = 0 ] || echo sudo -E env "PATH=$$PATH")

# Tests of hosts wait for a part of their time, so that one process more than there are processors uses these well. With
# more of them the hosts get slow, and the time limits in the tests are met. There are eight networks for test hosts.
WORKERS := $(shell n=$$(nproc); echo $$((n < 6 ? n + 1 : 7)))

.PHONY: demo check test setup-test lint unit rehearsal host-pythons sanity integration molecule test-hosts bench build clean

demo: ## Rehearse inventories/demo on network namespaces and show the result
	@scripts/setup demo
	@.venv/bin/ansible-playbook playbooks/rehearse.yml -i inventories/demo -e determined_verify_report_dir=$(CURDIR)/build/demo

check: setup-test ## What to run before every commit: linters, unit tests and a short rehearsal
	@python3 scripts/stages.py lint unit rehearsal

# Stages that wait for hosts run beside stages that compute. See scripts/stages.py.
test: setup-test ## Everything that CI runs
	@python3 scripts/with_docker.py python3 scripts/stages.py "test-hosts integration" "+unit +lint +sanity +host-pythons"

setup-test:
	@scripts/setup test

lint: setup-test ## Format, style, types, who imports whom, the oldest Python, Ansible's own rules
	scripts/lint

unit: setup-test
	$(PYTEST) tests/unit --numprocesses 2 --dist worksteal

rehearsal: setup-test
	.venv/bin/ansible-playbook playbooks/rehearse.yml -i inventories/demo -e determined_rehearse_name=check \
	    -e determined_rehearse_sweep=sample -e determined_verify_report_dir=$(CURDIR)/build/rehearsal

host-pythons: setup-test ## What runs on managed hosts, on every Python they may have
	scripts/host-pythons

# One Python: the host side's others are covered by host-pythons.
sanity: setup-test
	scripts/in-collection ansible-test sanity --venv --requirements --python "$$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')"

# Which tests run in one process, and which begin first: tests/integration/_schedule.py. A test ends after 20 minutes at
# most: the longest, a scenario of Molecule, takes six on two processors.
integration: test-hosts
	python3 scripts/with_docker.py $(AS_ROOT) $(PYTEST) tests/integration --numprocesses $(WORKERS) --timeout 1200

# Real hosts: systemd, SSH, firewalld, Docker. See docs/testing.md. `make integration` runs these, too.
molecule: test-hosts
	python3 scripts/with_docker.py $(AS_ROOT) $(PYTEST) tests/integration/test_molecule.py --verbose

# The images of the test hosts are built when something in their recipe changed.
test-hosts: setup-test
	python3 scripts/with_docker.py $(AS_ROOT) scripts/test-hosts $(RELEASES)

bench: setup-test
	$(AS_ROOT) .venv/bin/python -m bench

build: setup-test
	.venv/bin/ansible-galaxy collection build --force --output-path build

clean:
	rm -rf build .venv
