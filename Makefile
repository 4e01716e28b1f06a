# SPDX-License-Identifier: Apache-2.0
# One Makefile. VARIANT=release|debug|asan|tsan|cov|fuzz|fault picks flags and an object tree of its own.

VARIANT ?= release
PREFIX ?= /usr/local
DESTDIR ?=
PYTHON ?= /usr/bin/python3

.DEFAULT_GOAL := all
MAKEFLAGS += -rR --no-print-directory
.DELETE_ON_ERROR:
SHELL := /bin/bash

ifeq ($(VARIANT),fuzz)
CC := clang
else
CC := gcc
endif
B := build/$(VARIANT)-$(CC)
GEN := build/gen
Q := $(if $(V),,@)
say = $(if $(V),,@echo '  $(1)	$(2)';)

VERSION := $(shell cat VERSION)

# ---- flags ----
WARN := -Wall -Wextra -Wshadow -Wvla -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes \
	-Wpointer-arith -Wwrite-strings -Wundef -Wswitch-enum
# Not for clang: the fall-throughs in uthash's macros are marked by comments, which only gcc reads.
WARN_GCC := -Wimplicit-fallthrough -Wduplicated-cond -Wlogical-op -Wnull-dereference
PKGS := libevent libevent_openssl openssl libprotobuf-c libpq libcurl jansson
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
CPPFLAGS := -I. -Ibuild -D_GNU_SOURCE -DMEMHERD_VERSION='"$(VERSION)"' $(PKG_CFLAGS)
BASE_CFLAGS := -std=gnu11 -fno-common -fstack-protector-strong -fPIE $(WARN) $(if $(filter gcc,$(CC)),$(WARN_GCC)) \
	$(if $(WERROR),-Werror) -Werror=format-security -Werror=implicit-function-declaration
LDFLAGS_BASE := -pie -Wl,-z,relro,-z,now -Wl,--as-needed

CFLAGS_release := -O2 -g -fcf-protection -D_FORTIFY_SOURCE=2
CFLAGS_debug := -O0 -g3
CFLAGS_asan := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined -DMEMHERD_ASAN
LDFLAGS_asan := -fsanitize=address,undefined
CFLAGS_tsan := -O1 -g -fsanitize=thread
LDFLAGS_tsan := -fsanitize=thread
CFLAGS_cov := -O0 -g --coverage
LDFLAGS_cov := --coverage
# Named places where a fault test strikes, and what is broken on purpose: common/failpoint.h
CFLAGS_fault := $(CFLAGS_release) -DMEMHERD_FAILPOINTS
CFLAGS_fuzz := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -DMEMHERD_FUZZ
LDFLAGS_fuzz := -fsanitize=fuzzer,address,undefined
CFLAGS := $(BASE_CFLAGS) $(CFLAGS_$(VARIANT)) $(EXTRA_CFLAGS)
LDFLAGS := $(LDFLAGS_BASE) $(LDFLAGS_$(VARIANT))

# ---- components: one archive each; who may include whom is checked by tools/check-layers ----
src = $(sort $(filter-out %/main.c,$(foreach d,$(1),$(wildcard $(d)/*.c))))
SRC_common := $(call src,common)
SRC_proto := $(call src,proto) $(GEN)/memherd.pb-c.c
SRC_agent := $(call src,agent agent/sense agent/sense/oom agent/link agent/names)
SRC_python := $(call src,agent/python)
SRC_act := $(call src,agent/act agent/act/inject) $(GEN)/probes.c
SRC_collector := $(call src,collector collector/fleet collector/store collector/rule collector/notify \
	collector/command collector/cell collector/api collector/web) $(GEN)/queries.c $(GEN)/web.c
SRC_cli := $(call src,cli)
COMPONENTS := common proto python agent act collector cli
obj = $(patsubst %.c,$(B)/%.o,$(1))
lib = $(B)/lib$(1).a

LIBS_common := -lcrypto -linih -lcap
LIBS_proto := -lprotobuf-c -levent_openssl -levent_core -lssl -lcrypto -lxxhash
LIBS_collector := -lpq -lcurl -ljansson -levent_extra -lz -lzstd -lm
LIBS_all := $(LIBS_collector) $(LIBS_proto) -levent_extra $(LIBS_common) -lm

PROGRAMS := memherd-agent memherd-actd memherd-collector memherd
MAIN_memherd-agent := agent/main.c
MAIN_memherd-actd := agent/act/main.c
MAIN_memherd-collector := collector/main.c
MAIN_memherd := cli/main.c
USES_memherd-agent := agent act python proto common
USES_memherd-actd := act python proto common
USES_memherd-collector := collector proto common
USES_memherd := cli proto common
LINK_memherd-agent := $(LIBS_proto) -ljansson -levent_core $(LIBS_common) -lm
LINK_memherd-actd := -lprotobuf-c -lxxhash $(LIBS_common) -lm
LINK_memherd-collector := $(LIBS_all)
LINK_memherd := -lcurl -ljansson -lm $(LIBS_common)

##@ Building
# What is for users is build/memherd*; a sanitizer's programs stay in their tree.
.PHONY: all
all: $(addprefix $(if $(filter release debug,$(VARIANT)),build,$(B))/,$(PROGRAMS)) ## build the four programs

define program_rules
$(B)/$(1): $$(call obj,$$(MAIN_$(1))) $$(foreach c,$$(USES_$(1)),$$(call lib,$$(c)))
	$$(call say,LD,$$@)$$(CC) $$(LDFLAGS) -o $$@ $$< $$(foreach c,$$(USES_$(1)),$$(call lib,$$(c))) $$(LINK_$(1))
build/$(1): $(B)/$(1) FORCE
	$$(Q)ln -sfn $(VARIANT)-$(CC)/$(1) $$@
endef
.PHONY: FORCE
FORCE:
$(foreach p,$(PROGRAMS),$(eval $(call program_rules,$(p))))

define component_rules
$(call lib,$(1)): $$(call obj,$$(SRC_$(1)))
	$$(call say,AR,$$@)rm -f $$@; ar qcs $$@ $$^
endef
$(foreach c,$(COMPONENTS),$(eval $(call component_rules,$(c))))

GEN_HEADERS := $(GEN)/memherd.pb-c.h $(GEN)/queries.h
$(B)/%.o: %.c | $(GEN_HEADERS)
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<
# Loops over columns: vectorized, they take half the time.
$(patsubst %.c,$(B)/%.o,$(wildcard collector/store/chunk*.c) collector/store/open_chunk.c): CFLAGS += $(if $(filter release,$(VARIANT)),-O3)
# protobuf-c's code is not ours to warn about.
$(B)/$(GEN)/%.o: CFLAGS += -w

$(GEN)/memherd.pb-c.h $(GEN)/memherd.pb-c.c &: proto/memherd.proto
	@mkdir -p $(GEN)
	$(call say,PROTO,$<)protoc-c --c_out=$(GEN) --proto_path=proto $<
	$(Q)touch $(GEN)/memherd.pb-c.h $(GEN)/memherd.pb-c.c

SQL_FILES := $(sort $(wildcard sql/queries/*.sql) $(wildcard sql/migrations/*.sql))
$(GEN)/queries.h $(GEN)/queries.c &: $(SQL_FILES) tools/sql-table sql/queries sql/migrations
	@mkdir -p $(GEN)
	$(call say,SQL,$(GEN)/queries.c)tools/sql-table $(GEN)

WEB_FILES := $(sort $(wildcard collector/web/assets/*)) collector/api/openapi.json
UPLOT := build/npm/node_modules/uplot/dist
$(UPLOT)/uPlot.iife.min.js: collector/web/package.json collector/web/package-lock.json
	$(call say,NPM,$@)tools/npm-install collector/web build/npm
	$(Q)touch $@
$(GEN)/web.c: $(WEB_FILES) $(UPLOT)/uPlot.iife.min.js tools/embed
	@mkdir -p $(GEN)
	$(call say,EMBED,$@)tools/embed $(GEN) $(WEB_FILES) $(UPLOT)/uPlot.iife.min.js $(UPLOT)/uPlot.min.css

PROBE_FILES := $(sort $(wildcard agent/act/probe/*.py))
$(GEN)/probes.c: $(PROBE_FILES) tools/embed-text
	@mkdir -p $(GEN)
	$(call say,EMBED,$@)tools/embed-text $@ $(PROBE_FILES)

.PHONY: clean distclean
clean: ## remove what was built
	rm -rf build/*-gcc build/*-clang build/gen $(addprefix build/,$(PROGRAMS))
distclean: clean ## remove the npm packages too
	rm -rf build

.PHONY: compile_commands.json
compile_commands.json: ## for clangd and clang-tidy
	$(Q)tools/compile-commands '$(subst ','\'',$(CC) $(CPPFLAGS) $(CFLAGS))' $(foreach c,$(COMPONENTS),$(filter-out $(GEN)/%,$(SRC_$(c)))) \
		$(foreach p,$(PROGRAMS),$(MAIN_$(p))) > $@

##@ Running
.PHONY: deps demo
deps: ## install what building, running and testing need (root)
	$(Q)tools/deps
demo: ## the whole product on this machine, for DEMO_SECONDS or until Ctrl-C (root)
	$(Q)tools/deps
	$(Q)$(MAKE) -j2 all
	$(Q)DEMO_SECONDS='$(DEMO_SECONDS)' $(PYTHON) tools/demo/demo.py

##@ Checking
TESTS := $(sort $(shell find tests/unit -name 'test_*.c' 2>/dev/null))
TEST_BINS := $(patsubst tests/unit/%.c,$(B)/tests/%,$(TESTS))
# What a test links beside its own side of the house; a line '// link: ...' in a test adds flags.
test_uses = $(if $(filter common/%,$(1)),common,$(if $(filter proto/%,$(1)),proto common,$(if \
	$(filter agent/act/%,$(1)),act python proto common,$(if $(filter agent/%,$(1)),agent python proto common,$(if \
	$(filter cli/%,$(1)),cli common,collector proto common)))))
define test_rules
$(B)/tests/$(1): tests/unit/$(1).c $$(foreach c,$$(call test_uses,$(1)),$$(call lib,$$(c))) | $$(GEN_HEADERS)
	@mkdir -p $$(@D)
	$$(call say,TEST,$(1))$$(CC) $$(CPPFLAGS) $$(CFLAGS) -Wno-missing-prototypes -MMD -MP -MF $$@.d -o $$@ $$< $$(LDFLAGS) \
		$$(shell sed -n 's,^// link: ,,p' tests/unit/$(1).c) \
		$$(foreach c,$$(call test_uses,$(1)),$$(call lib,$$(c))) $$(LIBS_all) -lcmocka
endef
$(foreach t,$(patsubst tests/unit/%.c,%,$(TESTS)),$(eval $(call test_rules,$(t))))

# What an integration test needs to call in C: one file, one program, under $(B)/drivers.
DRIVERS := $(patsubst tests/integration/drivers/%.c,$(B)/drivers/%,$(wildcard tests/integration/drivers/*.c))
driver_uses := $(foreach c,collector agent act python proto common,$(call lib,$(c)))
$(B)/drivers/%: tests/integration/drivers/%.c $(driver_uses) | $(GEN_HEADERS)
	@mkdir -p $(@D)
	$(call say,DRIVER,$*)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -MF $@.d -o $@ $< $(LDFLAGS) $(driver_uses) $(LIBS_all)

.PHONY: check check-all check-unit check-integration check-browser check-fault check-asan check-tsan tests check-vm check-soak check-inject check-pg hooks
check: ## every test that gates a change; ends 'N passed, N failed'
	$(Q)tools/deps
	$(Q)$(MAKE) -j2 all tests
	$(Q)tools/run-tests unit fuzz-replay layers integration browser
check-all: check check-asan check-fault check-soak check-inject ## the long ones too
tests: $(TEST_BINS) $(DRIVERS) ## build the unit tests and the integration tests' drivers
check-unit: tests ## unit tests, one binary a module
	$(Q)B=$(B) tools/run-tests unit
check-integration: all $(DRIVERS) ## real PostgreSQL, TLS, CPython, SMTP (root)
	$(Q)B=$(B) tools/run-tests integration
check-browser: all ## the dashboard in a real Chromium
	$(Q)tools/run-tests browser
check-fault: ## kill -9 everything with failpoints, broken builds, a database away; count what is stored (root; KILLS= RECOVERIES= LEADER_KILLS= OUTAGE= SEED=)
	$(Q)tools/deps
	$(Q)$(MAKE) -j2 all tests
	$(Q)$(MAKE) -j2 VARIANT=fault fault-programs
	$(Q)tools/run-tests fault
.PHONY: fault-programs
fault-programs: $(addprefix $(B)/,$(PROGRAMS)) $(DRIVERS)
check-pg: all $(DRIVERS) ## the store's tests on the newest PostgreSQLs of Debian's suites (root; skipped by name where they cannot be had)
	$(Q)BIN=$(CURDIR)/build B=$(B) tools/check-pg
check-soak: all $(B)/drivers/soak ## a day of rounds and minutes of the whole agent: memory and descriptors stay (root; SOAK_SECONDS=300)
	$(Q)B=$(B) tools/run-tests soak
check-inject: all $(B)/drivers/inject ## thousands of calls into busy processes, and workers killed at any moment and edge: none is harmed (root; INJECTIONS=2000 KILLS=300)
	$(Q)$(MAKE) -j2 VARIANT=fault build/fault-gcc/drivers/inject
	$(Q)B=$(B) tools/run-tests inject
# An exit code of its own: a report is never the failure that a test expects of a program.
check-asan: export ASAN_OPTIONS := exitcode=86
check-asan: ## unit and integration tests under address and undefined sanitizers
	$(Q)$(MAKE) -j2 VARIANT=asan all tests
	$(Q)B=build/asan-gcc BIN=$(CURDIR)/build/asan-gcc tools/run-tests unit integration
check-tsan: ## unit tests under the thread sanitizer
	$(Q)$(MAKE) -j2 VARIANT=tsan tests
	$(Q)B=build/tsan-gcc tools/run-tests unit
check-vm: ## a Debian guest with systemd and cgroup v2 (root; QEMU without KVM, some minutes; VM_ARGS='-k NAME')
	$(Q)tools/deps vm
	$(Q)$(MAKE) -j2 all
	$(Q)tests/vm/run $(VM_ARGS)

FUZZERS := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
fuzz_uses := collector agent act python proto common
define fuzz_rules
$(B)/fuzz/$(1): tests/fuzz/fuzz_$(1).c $$(foreach c,$$(fuzz_uses),$$(call lib,$$(c)))
	@mkdir -p $$(@D)
	$$(call say,FUZZ,$(1))$$(CC) $$(CPPFLAGS) $$(CFLAGS) -Wno-missing-prototypes -o $$@ $$(if $$(filter fuzz,$$(VARIANT)),,tests/support/replay.c) $$< $$(LDFLAGS) \
		$$(foreach c,$$(fuzz_uses),$$(call lib,$$(c))) $$(LIBS_all)
endef
$(foreach f,$(FUZZERS),$(eval $(call fuzz_rules,$(f))))
.PHONY: fuzz fuzz-replay fuzzers
T ?=
S ?= 30
fuzz: ## fuzz one parser: make fuzz T=frame S=60
	$(Q)test -n '$(T)' || { echo 'make fuzz T=NAME S=SECONDS; names: $(FUZZERS)'; exit 2; }
	$(Q)tools/deps fuzz
	$(Q)$(MAKE) -j2 VARIANT=fuzz build/fuzz-clang/fuzz/$(T)
	$(Q)mkdir -p build/fuzz-corpus/$(T) tests/fuzz/corpus/$(T)
	ASAN_OPTIONS=quarantine_size_mb=64 build/fuzz-clang/fuzz/$(T) -max_total_time=$(S) -rss_limit_mb=512 -timeout=5 -max_len=65536 \
		-artifact_prefix=build/fuzz-corpus/ build/fuzz-corpus/$(T) tests/fuzz/corpus/$(T)
fuzzers: $(addprefix $(B)/fuzz/,$(FUZZERS)) ## build the fuzz targets as replay programs

##@ Measuring
BENCHES := agent ingest connections storage rules api python
.PHONY: bench $(addprefix bench-,$(BENCHES))
bench: ## all benchmarks that exist; the parts: bench-agent bench-ingest bench-storage bench-rules bench-python
	$(Q)for b in $(BENCHES); do test -x tests/bench/$$b && $(MAKE) bench-$$b || true; done
$(addprefix bench-,$(BENCHES)): bench-%: ## one: bench-agent, bench-ingest, ...
	$(Q)test -x tests/bench/$* || { echo 'bench-$*: does not exist yet'; exit 1; }
	$(Q)$(MAKE) -j2 all $(B)/bench/.built
	$(Q)mkdir -p build/bench
	$(Q)B=$(B) tests/bench/$*
BENCH_C := $(wildcard tests/bench/*.c)
BENCH_BINS := $(patsubst tests/bench/%.c,$(B)/bench/%,$(BENCH_C))
BENCH_LIB := $(wildcard tests/bench/lib/*.c)
define bench_rules
$(B)/bench/$(1): tests/bench/$(1).c $(BENCH_LIB) $(BENCH_LIB:.c=.h) $$(foreach c,collector agent python proto common,$$(call lib,$$(c)))
	@mkdir -p $$(@D)
	$$(call say,BENCH,$(1))$$(CC) $$(CPPFLAGS) $$(CFLAGS) -o $$@ $$< $(BENCH_LIB) $$(LDFLAGS) \
		$$(foreach c,collector agent python proto common,$$(call lib,$$(c))) $$(LIBS_all)
endef
$(foreach t,$(patsubst tests/bench/%.c,%,$(BENCH_C)),$(eval $(call bench_rules,$(t))))
$(B)/bench/.built: $(BENCH_BINS)
	@mkdir -p $(@D); touch $@

##@ Looking after it
.PHONY: lint fmt install help python-table
python-table: all $(DRIVERS) ## run every CPython there is and write docs/PYTHON.md's table (root)
	$(Q)B=$(B) PYTHON_TABLE=docs/PYTHON.md $(PYTHON) -m pytest -q tests/integration/test_python_matrix.py
LINT_C := $(foreach c,$(COMPONENTS),$(filter-out $(GEN)/%,$(SRC_$(c)))) $(foreach p,$(PROGRAMS),$(MAIN_$(p)))
ALL_C = $(shell git ls-files '*.c' '*.h')
lint: compile_commands.json ## layers, format, clang-tidy, cppcheck
	$(Q)tools/deps lint
	$(Q)$(MAKE) $(GEN_HEADERS) $(GEN)/web.c >/dev/null
	$(Q)tools/check-layers
	$(Q)clang-format --dry-run -Werror $(ALL_C)
	$(Q)tools/lint-c $(LINT_C)
fmt: ## clang-format everything
	$(Q)clang-format -i $(ALL_C)
hooks: ## install the pre-commit script
	$(Q)install -m 755 tools/pre-commit .git/hooks/pre-commit

install: all ## programs, units and example configuration under DESTDIR and PREFIX
	install -d '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(PREFIX)/sbin' '$(DESTDIR)/etc/memherd/conf.d' '$(DESTDIR)/etc/memherd/rules.d'
	install -m 755 $(B)/memherd '$(DESTDIR)$(PREFIX)/bin/'
	install -m 755 $(B)/memherd-agent $(B)/memherd-actd $(B)/memherd-collector '$(DESTDIR)$(PREFIX)/sbin/'
	install -d '$(DESTDIR)$(PREFIX)/share/doc/memherd/examples'
	install -m 644 README.md CHANGELOG.md LICENSE '$(DESTDIR)$(PREFIX)/share/doc/memherd/'
	install -m 644 deploy/examples/*.conf deploy/examples/policy '$(DESTDIR)$(PREFIX)/share/doc/memherd/examples/'
	install -d '$(DESTDIR)$(PREFIX)/share/doc/memherd/examples/memherd-actd.service.d'
	install -m 644 deploy/examples/memherd-actd.service.d/*.conf '$(DESTDIR)$(PREFIX)/share/doc/memherd/examples/memherd-actd.service.d/'
	install -m 644 deploy/examples/rules.d/*.rules '$(DESTDIR)/etc/memherd/rules.d/'
	install -d '$(DESTDIR)$(PREFIX)/lib/systemd/system'
	install -m 644 deploy/systemd/*.service deploy/systemd/*.socket '$(DESTDIR)$(PREFIX)/lib/systemd/system/'
	install -d '$(DESTDIR)/usr/lib/sysusers.d'
	install -m 644 deploy/systemd/memherd.sysusers '$(DESTDIR)/usr/lib/sysusers.d/memherd.conf'

help: ## this list
	@awk 'BEGIN{FS=":.*## "} /^##@/{printf "\n%s\n",substr($$0,5)} /^[a-z%][a-zA-Z0-9_%-]*:.*## /{printf "  make %-20s %s\n",$$1,$$2}' $(MAKEFILE_LIST)

-include $(shell find $(B) -name '*.d' 2>/dev/null)
