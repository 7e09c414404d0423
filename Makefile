# `make help` lists what there is to make.
#
# Cargo builds the libraries and the target program, this file the C programs against them. Both go into Cargo's target
# folder; what is ready to use is in its `dist`: bin/ and lib/, which can be moved together.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules
# Tests and demos must not run beside each other; cargo makes its own use of the cores.
.NOTPARALLEL:

CARGO ?= cargo
CARGO_FLAGS ?= --locked
CC := $(if $(filter default,$(origin CC)),gcc,$(CC))
CXX := $(if $(filter default,$(origin CXX)),g++,$(CXX))
CFLAGS ?= -O2 -g
PREFIX ?= /usr/local
DESTDIR ?=
# How often make test-vm and make t43 run their regression test, and how many queues end and begin in make test-vm.
RUNS ?=
QUEUES ?=
# make sanitize: which of address and thread; both if empty.
SANITIZERS ?=
# make bench: whether results above the limits fail.
LIMITS ?=
# make mutants: arguments of cargo mutants, as --re or --shard.
MUTANTS ?=
# make replay: which world of which storm.
SEED ?=
STORM ?= fault_storm

TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))
RELEASE := $(TARGET_DIR)/release
DIST := $(TARGET_DIR)/dist
OBJECTS := $(TARGET_DIR)/c-objects
export DIST

LIBRARIES := spdk_nvme_rdma spdk_env_rdma softverbs nvme_rdma_target
ARCHIVES := spdk_nvme_rdma spdk_nvme_rdma_wrap spdk_env_rdma
RUST_PROGRAMS := nvme-rdma-target softverbs-run nvme-rdma-preload

WARNINGS := -Wall -Wextra -Wpedantic -Werror
C_FLAGS := -std=c11 $(WARNINGS) -D_GNU_SOURCE $(CFLAGS) -MMD -MP -Iinclude -Ic-tests -Ic-tests/lib \
	-Icrates/target/include -Icrates/softverbs/include
RPATH := -Wl,-rpath,'$$ORIGIN/../lib'
HOST_LIBS := -lspdk_nvme_rdma -lspdk_env_rdma

# C programs: every c-tests/NAME.c is a program NAME.
C_SHARED := $(addprefix $(OBJECTS)/lib/,common.o ledger.o)
C_TEST_SHARED := $(addprefix $(OBJECTS)/lib/,caught.o in_process.o load.o peer.o session.o ticks.o traffic.o)
C_NAMES := $(patsubst c-tests/%.c,%,$(wildcard c-tests/*.c))
C_PROGRAMS := $(patsubst %,$(DIST)/bin/%,$(subst _,-,$(C_NAMES)))
# Tools in C: every tools/NAME is a program NAME of all that is in there, over the public headers alone.
C_TOOLS := $(notdir $(wildcard tools/*))
TOOL_PROGRAMS := $(addprefix $(DIST)/bin/,$(C_TOOLS))
# Programs to read: every examples/NAME.c is a program example-NAME, as a user would build it.
EXAMPLE_NAMES := $(patsubst examples/%.c,%,$(wildcard examples/*.c))
EXAMPLES := $(addprefix $(DIST)/bin/example-,$(subst _,-,$(EXAMPLE_NAMES)))
VERSION := $(shell sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
# Programs that know verbs alone, and so run on any provider.
VERBS_PROGRAMS := $(DIST)/bin/verbs-bench

.PHONY: all
all: $(C_PROGRAMS) $(TOOL_PROGRAMS) $(EXAMPLES) $(VERBS_PROGRAMS)

.PHONY: help
help:
	@echo 'make            libraries, target program and C programs (release), in $(DIST)'
	@echo 'make demo       a target and a host on this machine, with no RDMA device; the target is killed under load'
	@echo 'make test       Rust tests, C tests, C tests under valgrind memcheck'
	@echo 'make test-vm    the same C programs on the real RDMA stack of a Linux kernel, in a virtual machine; RUNS=n, QUEUES=n'
	@echo 'make replay     one world of a storm again, with all that it logs; SEED=n, STORM=name of the test binary'
	@echo 'make fuzz       any bytes for whatever reads bytes of others, with cargo fuzz; SECONDS_EACH=n KINDS="a b"'
	@echo 'make sanitize   the tests of crates/verbs under AddressSanitizer and ThreadSanitizer, if there is a nightly toolchain; SANITIZERS=address'
	@echo 'make mutants    whether the tests notice changes of the I/O path, with cargo mutants; takes hours; MUTANTS="--re FILE"'
	@echo 'make bench      what an I/O, a poll and a qpair cost the host, by callgrind; LIMITS=1 fails above scripts/bench/limits.txt'
	@echo 'make check      format, lints, documentation, headers'
	@echo 'make t43        the regression test of the seed bug alone; RUNS=n'
	@echo 'make install    what make has built, into DESTDIR/PREFIX (/usr/local)'
	@echo 'make deb        Debian packages of the same, in target/deb: library, development files, tools'
	@echo 'make clean      removes what was built'
	@echo
	@echo 'Missing Debian packages are installed, or only named with NO_INSTALL=1.'

# What has to be on the machine ----------------------------------------------------------------------------------------

.PHONY: packages-build packages-test packages-vm packages-deb toolchain
packages-build packages-test packages-vm packages-deb: packages-%:
	@scripts/install-packages.sh $*

toolchain:
	@command -v $(CARGO) >/dev/null || { echo 'There is no cargo. A Rust toolchain is needed: https://rustup.rs' >&2; exit 1; }

# Libraries and programs -----------------------------------------------------------------------------------------------

# Cargo knows by itself what is to be done, so it is asked each time; stage.sh touches only what changed.
.PHONY: libraries
libraries: packages-build toolchain
	$(CARGO) build $(CARGO_FLAGS) --release --workspace
	@scripts/stage.sh $(RELEASE) $(DIST) '$(LIBRARIES)' '$(ARCHIVES)' '$(RUST_PROGRAMS)'

STAGED := $(patsubst %,$(DIST)/lib/lib%.so,$(LIBRARIES))
$(STAGED): libraries ;

# The headers are among cargo's products (cbindgen), so the objects come after it; -MMD knows which they are.
$(OBJECTS)/lib/%.o: c-tests/lib/%.c Makefile | libraries
	@mkdir -p $(@D)
	@echo "CC    $<"
	@$(CC) $(C_FLAGS) -c $< -o $@

$(OBJECTS)/%.o: c-tests/%.c Makefile | libraries
	@mkdir -p $(@D)
	@echo "CC    $<"
	@$(CC) $(C_FLAGS) -c $< -o $@

define c_program
$(DIST)/bin/$(subst _,-,$(1)): $(OBJECTS)/$(1).o $(C_SHARED) $(STAGED)
	@mkdir -p $$(@D)
	@echo "LINK  $$(@F)"
	@$(CC) $(CFLAGS) $(OBJECTS)/$(1).o $(C_SHARED) -L$(DIST)/lib $$(RPATH) $$(MORE_$(1)) $$(HOST_LIBS) -o $$@
endef
# The tests can hold a target in their own process; the others go where there is none.
define c_test
MORE_$(1) := $(C_TEST_SHARED) -lnvme_rdma_target
$(DIST)/bin/$(subst _,-,$(1)): $(C_TEST_SHARED)
endef
$(foreach name,$(filter-out json_value t43_seed send_command,$(C_NAMES)),$(eval $(call c_test,$(name))))
$(foreach name,$(C_NAMES),$(eval $(call c_program,$(name))))

TOOL_FLAGS := -std=c11 $(WARNINGS) -D_GNU_SOURCE $(CFLAGS) -MMD -MP -Iinclude -DNVME_RDMA_VERSION='"$(VERSION)"'
$(OBJECTS)/tools/%.o: tools/%.c Makefile Cargo.toml | libraries
	@mkdir -p $(@D)
	@echo "CC    $<"
	@$(CC) $(TOOL_FLAGS) -c $< -o $@

define c_tool
$(DIST)/bin/$(1): $(patsubst tools/%.c,$(OBJECTS)/tools/%.o,$(wildcard tools/$(1)/*.c)) $(STAGED)
	@mkdir -p $$(@D)
	@echo "LINK  $$(@F)"
	@$(CC) $(CFLAGS) $$(filter %.o,$$^) -L$(DIST)/lib $$(RPATH) $$(HOST_LIBS) -pthread -lm -o $$@
endef
$(foreach name,$(C_TOOLS),$(eval $(call c_tool,$(name))))

# No more flags than a user needs.
define c_example
$(DIST)/bin/example-$(subst _,-,$(1)): examples/$(1).c Makefile $(STAGED)
	@mkdir -p $$(@D)
	@echo "CC    $$<"
	@$(CC) -std=c11 $(WARNINGS) $(CFLAGS) -Iinclude $$< -L$(DIST)/lib $$(RPATH) $$(HOST_LIBS) -o $$@
endef
$(foreach name,$(EXAMPLE_NAMES),$(eval $(call c_example,$(name))))

$(DIST)/bin/verbs-bench: crates/softverbs/benches/verbs_bench.c Makefile | libraries
	@mkdir -p $(@D)
	@echo "CC    $<"
	@$(CC) -std=c11 $(WARNINGS) -D_GNU_SOURCE $(CFLAGS) $< -o $@ -lrdmacm -libverbs
.SECONDARY:

# What softverbs is compared with a kernel's device by; plain libibverbs, so that it runs on either.
.PHONY: verbs-compare
verbs-compare: $(DIST)/bin/verbs-compare
COMPARE := crates/softverbs/tests/c/compare
$(DIST)/bin/verbs-compare: $(wildcard $(COMPARE)/*.[ch]) Makefile | packages-build
	@mkdir -p $(@D)
	@echo "CC    $(@F)"
	@$(CC) -std=c11 $(WARNINGS) $(CFLAGS) $(filter %.c,$^) -libverbs -lrdmacm -o $@

-include $(wildcard $(OBJECTS)/*.d $(OBJECTS)/lib/*.d $(OBJECTS)/tools/*/*.d)

# To see it and to try it ----------------------------------------------------------------------------------------------

.PHONY: demo
demo: all
	@scripts/demo.sh

.PHONY: t43
t43: all packages-test
	scripts/t43.sh $(RUNS)

.PHONY: test test-rust test-c test-valgrind
test: test-rust test-c test-valgrind

test-rust: packages-build packages-test toolchain
	$(CARGO) test $(CARGO_FLAGS) --workspace

test-c: all packages-test
	scripts/c-tests.sh
	scripts/perf-test.sh
	scripts/t43.sh $(RUNS)
	scripts/demo.sh

# Beside the C tests each entry point with handles and arguments that are none, over a stand-in of SPDK's library and without, and over it
# with live handles.
test-valgrind: all packages-test
	scripts/c-tests.sh --valgrind
	NVME_RDMA_MEMCHECK=1 $(CARGO) test $(CARGO_FLAGS) --package nvme-rdma --test bad_input --test live_handles

# A storm that fails prints this with its seed, and the commit that it was seen at.
.PHONY: replay
replay: packages-build toolchain
	@[[ '$(SEED)' =~ ^[0-9]+$$ ]] || { echo 'make replay SEED=number [STORM=test binary]' >&2; exit 1; }
	STORM_SEEDS=$(SEED)..$$(($(SEED) + 1)) $(CARGO) test $(CARGO_FLAGS) --package nvme-rdma --test '$(STORM)' -- --nocapture

.PHONY: test-vm
test-vm: all verbs-compare packages-vm
	RUNS='$(RUNS)' QUEUES='$(QUEUES)' vm/test.sh

# The stable half of it, over the committed corpus, is one of the Rust tests.
.PHONY: fuzz
fuzz: packages-build toolchain
	TARGET_DIR='$(TARGET_DIR)' scripts/fuzz.sh

.PHONY: sanitize
sanitize: packages-build toolchain
	TARGET_DIR='$(TARGET_DIR)' SANITIZERS='$(SANITIZERS)' scripts/sanitize.sh

# Hours for all of it; not in CI.
.PHONY: mutants
mutants: packages-build packages-test toolchain
	TARGET_DIR='$(TARGET_DIR)' scripts/mutants.sh $(MUTANTS)

.PHONY: bench
bench: all packages-test
	LIMITS='$(LIMITS)' scripts/bench.sh
	LIMITS='$(LIMITS)' scripts/bench-softverbs.sh

# What a reviewer would look at first ----------------------------------------------------------------------------------

.PHONY: check check-format check-lints check-docs check-headers check-generated check-bench check-install check-abi check-packages
check: check-format check-lints check-docs check-headers check-generated check-bench check-install check-abi check-packages
	@echo 'check: all good'

check-format: toolchain
	@$(CARGO) fmt --version >/dev/null || { echo 'needs rustfmt: rustup component add rustfmt' >&2; exit 1; }
	$(CARGO) fmt --all --check

check-lints: packages-build toolchain
	@$(CARGO) clippy --version >/dev/null || { echo 'needs clippy: rustup component add clippy' >&2; exit 1; }
	$(CARGO) clippy $(CARGO_FLAGS) --workspace --all-targets -- -D warnings

check-docs: packages-build toolchain
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc $(CARGO_FLAGS) --workspace --no-deps --document-private-items

check-headers: packages-build packages-test
	CC='$(CC)' CXX='$(CXX)' WARNINGS='$(WARNINGS)' scripts/check-headers.sh

# Committed headers and lists against what they are generated from.
check-generated: packages-build packages-test toolchain
	$(CARGO) test $(CARGO_FLAGS) --package nvme-rdma --test abi --test entry_points

# The sums and limits of make bench, over made-up numbers.
check-bench:
	scripts/check-bench.sh

check-install: all packages-test
	CC='$(CC)' CXX='$(CXX)' scripts/check-install.sh

# What the libraries export, against abi/; UPDATE_ABI=1 writes that anew.
check-abi: all packages-test
	scripts/check-abi.sh '$(DIST)'

check-packages: deb
	CLEAN_ROOT='$(TARGET_DIR)/clean-root' scripts/check-packages.sh '$(TARGET_DIR)/deb'

# ----------------------------------------------------------------------------------------------------------------------

# What was built before, so that root, who may have no cargo, can do it; where nothing was, it is built.
.PHONY: install
install:
	@[ -x '$(DIST)/bin/nvme-rdma-perf' ] || $(MAKE) all
	scripts/install.sh '$(DIST)' '$(DESTDIR)' '$(PREFIX)'

.PHONY: deb
deb: all packages-deb
	rm -rf '$(TARGET_DIR)/deb'
	scripts/deb.sh '$(DIST)' '$(TARGET_DIR)/deb'

.PHONY: clean
clean:
	$(CARGO) clean
	rm -rf '$(DIST)' '$(OBJECTS)'
