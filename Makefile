# dsmx: make [VARIANT=release|debug|asan|tsan] [CC=gcc|clang-19] [V=1] <target>; `make help` lists the targets.
#
# Sources are found by their place: runtime/LAYER/*.c is the library, tools/NAME/*.c a program, selftests/x_test.c
# a test program, selftests/x_plugin.c a shared object that a test loads, docs/examples/x.c an example, x_plugin.c
# one that workers load. What is made lies in build/VARIANT; a change of compiler or flags rebuilds what it touches,
# without `make clean`.

# --- what is built ------------------------------------------------------------------------------------

VERSION := 0.1
SONAME  := libdsmx.so.0
VARIANT ?= release
OUT     ?= build/$(VARIANT)
GEN     := $(OUT)/gen

# Fault points (runtime/base/point.h): in every variant but those that are measured, or fuzzed for speed.
POINTS := $(if $(filter debug asan tsan,$(VARIANT)),-DDX_POINTS)

LIB_SRC     := $(sort $(wildcard runtime/*/*.c))
PROTO       := $(sort $(wildcard runtime/*/*.proto))
TEST_SRC    := $(filter-out $(if $(POINTS),,%sweep_test.c),$(sort $(wildcard selftests/*_test.c)))
TEST_SH     := $(sort $(wildcard selftests/*_test.sh))
# The last one: it asks who saw all the others.
LAST        := selftests/trace_causal_test.sh
TEST_SH     := $(filter-out $(LAST),$(TEST_SH)) $(LAST)
PLUGIN_SRC  := $(sort $(wildcard selftests/*_plugin.c))
FUZZ_SRC    := $(sort $(wildcard selftests/fuzz/*_fuzz.c))
EXAMPLE_SRC := $(sort $(filter-out %_plugin.c,$(wildcard docs/examples/*.c)))
PUBLIC_H    := $(sort $(wildcard include/dsmx/*.h))

# A program is built once its folder has sources; what programs share is in tools/lib.
TOOLS     := $(foreach t,dsmx dsmx-worker dsmx-bench dsmx-trace,$(if $(wildcard tools/$t/*.c),$t))
TOOLS_LIB := $(patsubst %.c,$(OUT)/%.o,$(sort $(wildcard tools/lib/*.c)))
tool_obj   = $(patsubst %.c,$(OUT)/%.o,$(sort $(wildcard tools/$1/*.c)))

GEN_C    := $(PROTO:runtime/%.proto=$(GEN)/%.pb-c.c)
GEN_H    := $(GEN_C:.c=.h)
GEN_OBJ  := $(GEN_C:.c=.o)
OWN_OBJ  := $(LIB_SRC:%.c=$(OUT)/%.o)
LIB_OBJ  := $(OWN_OBJ) $(GEN_OBJ)
TEST_BIN := $(TEST_SRC:%.c=$(OUT)/%)
SOAK     := $(OUT)/selftests/soak/soak
STRESS   := $(OUT)/selftests/stress/stress
FUZZ_BIN := $(FUZZ_SRC:%.c=$(OUT)/%)
PLUGINS  := $(PLUGIN_SRC:%.c=$(OUT)/%.so)
EXAMPLES := $(EXAMPLE_SRC:docs/%.c=$(OUT)/%) $(EXAMPLE_SRC:docs/%.c=$(OUT)/%-cxx) \
            $(patsubst docs/%.c,$(OUT)/%.so,$(sort $(wildcard docs/examples/*_plugin.c)))
RUNNER   := $(OUT)/selftests/run
RUN_OBJ  := $(patsubst %.c,$(OUT)/%.o,$(sort $(wildcard selftests/runner/*.c)))
STATIC   := $(OUT)/libdsmx.a
SHARED   := $(OUT)/libdsmx.so.$(VERSION)
LINKS    := $(OUT)/$(SONAME) $(OUT)/libdsmx.so
LIBRARY  := $(STATIC) $(SHARED) $(LINKS)
TOOL_BIN := $(TOOLS:%=$(OUT)/%)

# --- how ----------------------------------------------------------------------------------------------

comma   := ,
percent := %

# What the compiler is, whatever its name. What a sanitizer puts in makes gcc see variables without a value. It also
# warns that TSan does not model fences: an order that only a fence gives is between atomic words, which TSan does not
# look at.
COMPILER := $(if $(findstring clang,$(shell $(CC) --version 2>/dev/null)),clang,gcc)

FLAGS_release := -O2 -g
FLAGS_debug   := -Og -g3
FLAGS_asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer $(if $(filter gcc,$(COMPILER)),-Wno-maybe-uninitialized)
FLAGS_tsan    := -O1 -g -fsanitize=thread $(if $(filter gcc,$(COMPILER)),-Wno-maybe-uninitialized -Wno-tsan)
FLAGS_fuzz    := $(FLAGS_asan) -fsanitize=fuzzer-no-link
FLAGS         := $(or $(FLAGS_$(VARIANT)),$(error VARIANT is release, debug, asan, tsan or fuzz, not "$(VARIANT)"))

# Where the loops over vectors are, the compiler is to unroll and vectorise them.
FAST       := batch exec exchange
FAST_FLAGS := $(if $(filter release,$(VARIANT)),-O3 -fno-math-errno)
$(FAST:%=$(OUT)/runtime/%/%.o): SPEED := $(FAST_FLAGS)

# A tracer's probe may push onto the stack of the functions in this file.
$(OUT)/runtime/base/probe.o: SPEED := $(if $(findstring x86_64,$(shell $(CC) -dumpmachine)),-mno-red-zone) -fno-lto

# Sentences are cut to size by snprintf() on purpose, and rows of tables leave out what is zero: hence two that are
# off. WERROR=no helps where a compiler knows warnings that ours did not.
WARN := -Wall -Wextra $(if $(filter no,$(WERROR)),,-Werror) -Wshadow -Wundef -Wcast-qual -Wwrite-strings -Wstrict-prototypes \
        -Wmissing-prototypes -Wold-style-definition -Wredundant-decls -Wvla -Wformat=2 \
        -Wimplicit-fallthrough -Wconversion -Wsign-conversion -Wno-format-truncation \
        -Wno-missing-field-initializers

PREFIX     ?= /usr/local
LIBDIR     ?= $(PREFIX)/lib
LIBEXECDIR ?= $(PREFIX)/libexec/dsmx

COMMON    := -D_GNU_SOURCE -fPIC -fvisibility=hidden -Iinclude -DDSMX_VERSION='"$(VERSION)"' $(POINTS) $(FLAGS)
DX_CFLAGS := -std=gnu11 $(COMMON) $(WARN)
DEPGEN     = -MMD -MP -MF $(@:.o=.d)
LIBS      := -Wl,--as-needed -luring -lnuma -lprotobuf-c -lseccomp -lcap -lzstd -llz4 -lpthread -ldl
RPATH     := -Wl,-rpath,'$$ORIGIN:$$ORIGIN/..:$$ORIGIN/../lib:$$ORIGIN/../../lib'

# libpg_query carries its own protobuf-c and parts of PostgreSQL: they stay inside `dsmx`.
PG_QUERY_A := $(filter /%,$(shell $(CC) -print-file-name=libpg_query.a 2>/dev/null))
PG_QUERY   := $(if $(PG_QUERY_A),$(PG_QUERY_A) -Wl$(comma)--exclude-libs$(comma)ALL,-lpg_query)

Q   := $(if $(V),,@)
say  = @printf '  %-6s %s\n' '$(1)' '$(2)'

# --- rules --------------------------------------------------------------------------------------------

.PHONY: all library tools tests examples FORCE
.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL := all

all: library tools tests examples		## the library, the tools, the selftests and the examples
library: $(LIBRARY)
tools: $(TOOL_BIN)
tests: $(TEST_BIN) $(FUZZ_BIN) $(SOAK) $(STRESS) $(PLUGINS) $(RUNNER) $(TOOL_BIN) $(OUT)/selftests/trace_cost_bare
examples: $(EXAMPLES)

# Stamps hold what a build was made with, and change only when that does: flags, and lists of files, as one that
# is gone must leave the library too.
$(OUT)/.flags: export STAMP = $(CC) $(CXX) $(CFLAGS) $(CXXFLAGS) $(LDFLAGS) $(DX_CFLAGS) $(FAST_FLAGS) $(LIBS)
$(OUT)/.files: export STAMP = $(LIB_SRC) $(PROTO) $(wildcard tools/*/*.c)
$(OUT)/.prefix: export STAMP = $(LIBEXECDIR)
$(OUT)/.flags $(OUT)/.files $(OUT)/.prefix: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' "$$STAMP" | cmp -s - $@ || printf '%s\n' "$$STAMP" >$@

$(OUT)/runtime/%.o: INCLUDE := -Iruntime -I$(GEN) $(if $(POINTS),-include base/point_calls.h)
$(OUT)/selftests/%.o: INCLUDE := -Iruntime -I$(GEN) -Itools
$(OUT)/tools/%.o: INCLUDE := -Itools
$(OUT)/tools/dsmx-bench/%.o: INCLUDE := -Itools -Iruntime
$(OUT)/tools/dsmx-bench/%.o: SPEED := $(FAST_FLAGS)
$(OUT)/selftests/%.o: DEFINE := -DDSMX_TOP='"$(CURDIR)"'
# What these two have inside.
$(OUT)/selftests/distribute_test.o: $(wildcard selftests/golden/*.txt)
$(OUT)/selftests/plan_codec_test.o: $(wildcard selftests/data/*.plan)
$(OUT)/runtime/worker/%.o: DEFINE := -DDSMX_LIBEXECDIR='"$(LIBEXECDIR)"'
$(patsubst %.c,$(OUT)/%.o,$(filter runtime/worker/%,$(LIB_SRC))): $(OUT)/.prefix

$(OUT)/%.o: %.c $(OUT)/.flags | $(GEN_H)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(DX_CFLAGS) $(SPEED) $(INCLUDE) $(DEFINE) $(DEPGEN) $(CFLAGS) -c -o $@ $<

$(GEN)/%.pb-c.c $(GEN)/%.pb-c.h &: runtime/%.proto
	@mkdir -p $(GEN)
	$(call say,PROTOC,$<)
	$(Q)protoc-c --proto_path=runtime --c_out=$(GEN) $<

# Generated code: not ours to keep free of warnings.
$(GEN)/%.pb-c.o: $(GEN)/%.pb-c.c $(OUT)/.flags
	$(call say,CC,$<)
	$(Q)$(CC) -std=gnu11 $(COMMON) -w -I$(GEN) $(DEPGEN) $(CFLAGS) -c -o $@ $<

# One relocatable object with the internal names made local: dx_* cannot clash with the application's. One name is
# everybody's by convention: whoever has probes brings it, and the linker keeps one.
PROBE_BASE := _.stapsdt.base
$(OUT)/libdsmx.o: $(LIB_OBJ) $(OUT)/.files
	$(call say,LD,$@)
	$(Q)$(LD) -r -o $@ $(LIB_OBJ)
	$(Q)objcopy --localize-hidden $@
	$(Q)objcopy --globalize-symbol=$(PROBE_BASE) --weaken-symbol=$(PROBE_BASE) $@

$(STATIC): $(OUT)/libdsmx.o
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $<

$(SHARED): $(LIB_OBJ) $(OUT)/.files runtime/dsmx.map
	$(call say,LINK,$@)
	$(Q)$(CC) $(FLAGS) -shared -Wl,-soname,$(SONAME) -Wl,--version-script=runtime/dsmx.map -Wl,-z,now \
		$(if $(filter release debug,$(VARIANT)),-Wl$(comma)-z$(comma)defs) \
		$(LDFLAGS) -o $@ $(LIB_OBJ) $(LIBS)

$(LINKS): $(SHARED)
	$(Q)ln -sf $(notdir $(SHARED)) $@

# A program sees the library as an application does: its public headers, its shared object.
define tool
$(OUT)/$1: $(call tool_obj,$1) $(TOOLS_LIB) $(OUT)/.files $(LINKS)
	$$(call say,LINK,$$@)
	$$(Q)$$(CC) $(FLAGS) $$(LDFLAGS) -o $$@ $(call tool_obj,$1) $(TOOLS_LIB) -L$(OUT) -ldsmx $$(RPATH) $2 -lpthread -lm
endef
$(eval $(call tool,dsmx,$(PG_QUERY) -lzstd))
$(eval $(call tool,dsmx-worker))

# The benchmark measures what is behind them, so it is linked with the objects themselves. What it is compared with is
# built in where it is installed: `make deps-bench`.
PEER      := $(OUT)/tools/dsmx-bench/peer_
PEERS     := kernel
PEER_LIBS :=
define peer
ifneq ($(wildcard $2),)
PEERS     += $1
PEER_LIBS += $4
$(OUT)/tools/dsmx-bench/peers.o: DEFINE += -DDSMX_PEER_$3
endif
endef
DPDK_H := /usr/include/dpdk/rte_ring.h
$(eval $(call peer,zmq,/usr/include/zmq.h,ZMQ,-lzmq))
$(eval $(call peer,rte,$(DPDK_H),RTE,-lrte_ring -lrte_eal))
$(eval $(call peer,boost,/usr/include/boost/lockfree/spsc_queue.hpp,BOOST))
$(PEER)rte.o: DEFINE := -include rte_config.h $(if $(findstring x86_64,$(shell $(CC) -dumpmachine)),-mssse3) $(patsubst %/rte_config.h,-isystem %,$(wildcard /usr/include/*/dpdk/rte_config.h)) -isystem /usr/include/dpdk

BENCH_OBJ := $(if $(filter dsmx-bench,$(TOOLS)),$(filter-out $(PEER)%,$(call tool_obj,dsmx-bench)) $(PEERS:%=$(PEER)%.o))
$(OUT)/dsmx-bench: $(BENCH_OBJ) $(TOOLS_LIB) $(LIB_OBJ) $(OUT)/.files
	$(call say,LINK,$@)
	$(Q)$(CC) $(FLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LIBS) $(PEER_LIBS) -lm

$(PEER)%.o: tools/dsmx-bench/peer_%.cc $(OUT)/.flags
	@mkdir -p $(@D)
	$(call say,CXX,$<)
	$(Q)$(CXX) -std=c++17 $(COMMON) -Wall -Wextra -Werror -O3 -fno-exceptions -MMD -MP -MF $(@:.o=.d) $(CXXFLAGS) -c -o $@ $<

# Where BPF can be built: its programs as a header that has their code in it. The kernel's types are our own, so the
# machine that builds need not be like the one that traces.
BPF_CLANG := $(firstword $(foreach c,clang clang-19 clang-14,$(shell command -v $c)))
BPFTOOL   := $(firstword $(shell command -v bpftool) $(wildcard /usr/sbin/bpftool))
BPF       := $(and $(BPF_CLANG),$(BPFTOOL),$(wildcard /usr/include/bpf/libbpf.h),$(filter x86_64%,$(shell $(CC) -dumpmachine)))
$(eval $(call tool,dsmx-trace,-lncursesw -ltinfo $(if $(BPF),-lbpf)))

ifneq ($(BPF),)
$(OUT)/tools/dsmx-trace/kernel.o $(OUT)/tools/dsmx-trace/kernel_sum.o: DEFINE := -DDSMX_HAVE_BPF -isystem $(GEN)
$(OUT)/tools/dsmx-trace/kernel.o: $(GEN)/startstream.skel.h
endif

$(GEN)/%.skel.h: bpf/%.bpf.c $(wildcard bpf/*.h) tools/dsmx-trace/%.h include/dsmx/trace.h
	@mkdir -p $(GEN)
	$(call say,BPF,$<)
	$(Q)$(BPF_CLANG) -g -O2 -mcpu=v3 -Wall -Werror -target bpf -D__TARGET_ARCH_x86 -Iinclude -Itools \
		-idirafter /usr/include/$(shell gcc -print-multiarch) -c $< -o $(GEN)/$*.compiled
	$(Q)$(BPFTOOL) gen object $(GEN)/$*.bpf $(GEN)/$*.compiled
	$(Q)$(BPFTOOL) gen skeleton $(GEN)/$*.bpf name $*_bpf >$@

# A test looks behind the public headers, so it is linked with the objects themselves; one of the name
# dsmx_x_test.c, a test of what is inside the command, with the command's objects but its main.o as well.
TEST_TOOL := $(filter-out $(OUT)/tools/dsmx/main.o,$(call tool_obj,dsmx)) $(TOOLS_LIB)

$(OUT)/selftests/dsmx_%_test: $(OUT)/selftests/dsmx_%_test.o $(LIB_OBJ) $(TEST_TOOL) $(OUT)/.files
	$(call say,LINK,$@)
	$(Q)$(CC) $(FLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(PG_QUERY) $(LIBS) -lm

# One of the name trace_x_test, with what reads pages and notes in dsmx-trace.
TEST_TRACE := $(patsubst %,$(OUT)/tools/dsmx-trace/%.o,page note)
$(OUT)/selftests/trace_%_test: $(OUT)/selftests/trace_%_test.o $(LIB_OBJ) $(TEST_TRACE) $(OUT)/.files
	$(call say,LINK,$@)
	$(Q)$(CC) $(FLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LIBS) -lm

# The same test with streams that have no probes: what is between the two is what probes cost.
BARE := chan/tx chan/rx
$(OUT)/selftests/bare/%.o: DEFINE := -DDX_NO_PROBES
$(OUT)/selftests/bare/%.o: runtime/%.c $(OUT)/.flags | $(GEN_H)
	@mkdir -p $(@D)
	$(call say,CC,$< (bare))
	$(Q)$(CC) $(DX_CFLAGS) -Iruntime -I$(GEN) $(DEFINE) $(DEPGEN) $(CFLAGS) -c -o $@ $<

$(OUT)/selftests/trace_cost_bare: $(OUT)/selftests/trace_cost_test.o $(BARE:%=$(OUT)/selftests/bare/%.o) \
		$(filter-out $(BARE:%=$(OUT)/runtime/%.o),$(LIB_OBJ)) $(OUT)/.files
	$(call say,LINK,$@)
	$(Q)$(CC) $(FLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LIBS) -lm

$(OUT)/selftests/%_test: $(OUT)/selftests/%_test.o $(LIB_OBJ) $(OUT)/.files
	$(call say,LINK,$@)
	$(Q)$(CC) $(FLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LIBS) -lm

# A fuzz target brings its own words and bytes: linked with driver.c, or (VARIANT=fuzz) with libFuzzer. Where it
# reads what a tool reads, with that tool's objects.
FUZZ_DRIVER := $(patsubst %,$(OUT)/selftests/fuzz/%.o,fuzz hostile $(if $(filter fuzz,$(VARIANT)),,driver))
FUZZ_ENGINE := $(if $(filter fuzz,$(VARIANT)),-fsanitize=fuzzer)
FUZZ_TOOL_dsmx_import := $(TEST_TOOL)
FUZZ_TOOL_dsmx_sql    := $(TEST_TOOL)
FUZZ_TOOL_trace_why   := $(patsubst %,$(OUT)/tools/dsmx-trace/%.o,page why) $(TOOLS_LIB)

.SECONDEXPANSION:
$(FUZZ_BIN): %: %.o $(FUZZ_DRIVER) $(LIB_OBJ) $$(FUZZ_TOOL_$$(patsubst $$(percent)_fuzz,$$(percent),$$(@F))) $(OUT)/.files
	$(call say,LINK,$@)
	$(Q)$(CC) $(FLAGS) $(FUZZ_ENGINE) $(LDFLAGS) -o $@ $(filter %.o,$^) $(if $(findstring /dsmx_,$@),$(PG_QUERY)) $(LIBS) -lm


$(SOAK): $(SOAK).o $(LIB_OBJ) $(OUT)/.files
	$(call say,LINK,$@)
	$(Q)$(CC) $(FLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LIBS) -lm

# Streams and all below them with fault points, also where the library has none: what has points goes to points/. A wake
# that is lost stays so; one that is a second late is of a process that got no processor.
STRESS_LAYERS := base shm wait task chan
STRESS_SRC := $(wildcard selftests/stress/*.c) $(wildcard $(STRESS_LAYERS:%=runtime/%/*.c))
STRESS_OBJ := $(STRESS_SRC:%.c=$(OUT)/points/%.o)
$(OUT)/points/%.o: %.c $(OUT)/.flags
	@mkdir -p $(@D)
	$(call say,CC,$< (points))
	$(Q)$(CC) $(DX_CFLAGS) -DDX_POINTS -DDX_PARK_BOUND_NS=1000000000ULL -Iruntime $(if $(filter runtime/%,$<),-include base/point_calls.h) $(DEPGEN) $(CFLAGS) -c -o $@ $<

$(STRESS): $(STRESS_OBJ) $(OUT)/.files
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(FLAGS) $(LDFLAGS) -o $@ $(STRESS_OBJ) $(LIBS)

# Plug-ins take the library's names from the process that loads them.
$(OUT)/selftests/%_plugin.so: $(OUT)/selftests/%_plugin.o
	$(call say,LINK,$@)
	$(Q)$(CC) $(FLAGS) -shared $(LDFLAGS) -o $@ $<

$(RUNNER): $(RUN_OBJ)
	$(call say,LINK,$@)
	$(Q)$(CC) $(FLAGS) $(LDFLAGS) -o $@ $(RUN_OBJ)

# An example is what a stranger would compile: once as C11, once as C++17.
STRICT := -Wall -Wextra -Werror -pedantic -Iinclude $(FLAGS)
$(OUT)/examples/%: docs/examples/%.c $(PUBLIC_H) $(LINKS) $(OUT)/.flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) -std=c11 $(STRICT) $(CFLAGS) $(LDFLAGS) -o $@ $< -L$(OUT) -ldsmx $(RPATH)

$(OUT)/examples/%_plugin.so: docs/examples/%_plugin.c $(PUBLIC_H) $(OUT)/.flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) -std=c11 -fPIC -shared $(STRICT) $(CFLAGS) $(LDFLAGS) -o $@ $<

$(OUT)/examples/%-cxx: docs/examples/%.c $(PUBLIC_H) $(LINKS) $(OUT)/.flags
	@mkdir -p $(@D)
	$(call say,CXX,$<)
	$(Q)$(CXX) -std=c++17 $(STRICT) $(CXXFLAGS) $(LDFLAGS) -o $@ -x c++ $< -L$(OUT) -ldsmx $(RPATH)

-include $(BARE:%=$(OUT)/selftests/bare/%.d) $(LIB_OBJ:.o=.d) $(TEST_BIN:=.d) $(FUZZ_BIN:=.d) $(FUZZ_DRIVER:.o=.d) $(SOAK).d $(STRESS_OBJ:.o=.d) $(PLUGINS:.so=.d) $(RUN_OBJ:.o=.d) \
         $(patsubst %.c,$(OUT)/%.d,$(wildcard tools/*/*.c)) $(PEERS:%=$(PEER)%.d)

# --- run and check ------------------------------------------------------------------------------------

CLANG_FORMAT ?= clang-format-19
CHECKS       := $(filter-out checks,$(patsubst .ci/check-%,%,$(sort $(wildcard .ci/check-*))))

.PHONY: demo selftests sim model soak stress hostile fuzz unittests run-selftests run-unittests run-demo run-vmtest vmtest deps \
        deps-check deps-vm deps-bench \
        check check-checks $(CHECKS:%=check-%) format

# What is installed decides how to build, so `make` looks at it anew after `deps`; on all processors, unless told.
AGAIN = +@$(MAKE) --no-print-directory $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))

demo: deps					## install what is missing, build, run a join on two workers
	$(AGAIN) run-demo

selftests: deps					## install what is missing, build, run the tests: TESTS='pattern' some of them
	$(AGAIN) run-selftests

sim: $(OUT)/selftests/sim_test			## the simulation with SEEDS=n random schedules
	$(Q)DSMX_TEST_TIMEOUT=86400 DSMX_SIM_SEEDS=$(or $(SEEDS),10000) $<

model:						## the protocols in Promela, and mutants that must fail: TESTS='pattern'
	@selftests/model/run '$(or $(TESTS),*)'

vmtest: deps					## the selftests on other kernels, emulated: KERNEL=6.1|6.12|7|all
	-@.ci/deps vm
	$(AGAIN) run-vmtest

soak: $(SOAK)					## 10^9 records and 10^7 parks through two processes: RECORDS=n PARKS=n less
	$(Q)$< $(if $(RECORDS),-r $(RECORDS)) $(if $(PARKS),-p $(PARKS))

stress: $(STRESS)				## processes that linger at every step: TIME=seconds (300) SEED=n
	$(Q)$< -t $(or $(TIME),300) $(if $(SEED),-s $(SEED))

hostile:					## 10^7 mutated words per reader under sanitizers: WORDS=n TESTS='pattern' less of it
	$(AGAIN) VARIANT=asan OUT=build/asan DEPS=no $(FUZZ_SRC:%.c=build/asan/%)
	@selftests/fuzz/run hostile build/asan '$(or $(TESTS),*)'

fuzz:						## the readers under libFuzzer: RUNS=n or EACH=seconds, TESTS='pattern'
	$(AGAIN) VARIANT=fuzz OUT=build/fuzz CC=clang-19 CXX=clang++-19 DEPS=no $(FUZZ_SRC:%.c=build/fuzz/%)
	@RUNS='$(RUNS)' EACH='$(EACH)' selftests/fuzz/run fuzz build/fuzz '$(or $(TESTS),*)'

unittests: deps					## the same without the scripts
	$(AGAIN) run-unittests

RUN_ENV = DSMX_TOP='$(CURDIR)' DSMX_BUILD='$(abspath $(OUT))' DSMX_VARIANT=$(VARIANT)
RUN     = $(RUNNER) -s selftests/skips -p '$(TESTS)'
# But one, which looks at probes that nobody has set.
WITNESS = DSMX_WITNESS_FILES='$(LINKS) $(TOOL_BIN) $(filter-out %/trace_probe_test,$(TEST_BIN))' \
	selftests/trace_witness

run-demo: library tools
	@tools/dsmx/demo $(abspath $(OUT))

run-selftests: all
	@$(RUN_ENV) $(WITNESS) $(RUN) $(TEST_BIN) $(TEST_SH)

run-unittests: tests
	@$(RUN_ENV) $(RUN) $(TEST_BIN)

run-vmtest: all
	@DSMX_BUILD='$(abspath $(OUT))' selftests/vm/run $(or $(KERNEL),all); code=$$?; [ $$code = 4 ] || exit $$code

deps:						## what building and the selftests need: DEPS=no only lists it
	@.ci/deps build

deps-check:					## what the checks and the gate need beside it
	@.ci/deps build check vm

deps-vm:					## what `make vmtest` needs beside it
	@.ci/deps build vm

deps-bench:					## what only benchmarks and peers need
	@.ci/deps build bench

check: $(CHECKS:%=check-%)			## every check: layers, order, doors, symbols, globals, headers, ...

check-symbols check-globals: library
$(CHECKS:%=check-%): check-%:
	@.ci/check-$* $(OUT); code=$$?; case $$code in \
		0) printf '  %-6s %s\n' ok $* ;; \
		4) printf '  %-6s %s\n' skip $* ;; \
		*) printf '  %-6s %s\n' FAIL $*; exit $$code ;; esac

check-checks:					## each check refuses a tree that is broken for it
	@.ci/check-checks

format:						## the sources in the project's format
	$(Q)$(CLANG_FORMAT) --style=file:.ci/clang-format -i $$(git ls-files -co --exclude-standard '*.[ch]')

# --- install ------------------------------------------------------------------------------------------

.PHONY: install clean help

install: library tools $(OUT)/dsmx.pc		## library, headers, tools, pkg-config file: DESTDIR= PREFIX=
	$(Q)install -d $(DESTDIR)$(PREFIX)/include/dsmx $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(PREFIX)/bin \
		$(DESTDIR)$(LIBEXECDIR)
	$(Q)install -m 644 $(PUBLIC_H) $(DESTDIR)$(PREFIX)/include/dsmx
	$(Q)install -m 644 $(STATIC) $(DESTDIR)$(LIBDIR)
	$(Q)install -m 755 $(SHARED) $(DESTDIR)$(LIBDIR)
	$(Q)ln -sf $(notdir $(SHARED)) $(DESTDIR)$(LIBDIR)/$(SONAME)
	$(Q)ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libdsmx.so
	$(Q)install -m 644 $(OUT)/dsmx.pc $(DESTDIR)$(LIBDIR)/pkgconfig
	$(Q)$(if $(TOOL_BIN),install -m 755 $(TOOL_BIN) $(DESTDIR)$(PREFIX)/bin)
	$(Q)install -d $(DESTDIR)$(PREFIX)/share/man/man1 && install -m 644 docs/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1
	$(Q)install -d $(DESTDIR)$(PREFIX)/share/man/man5 && install -m 644 docs/man/*.5 $(DESTDIR)$(PREFIX)/share/man/man5
	$(Q)cd $(DESTDIR)$(PREFIX)/share && \
		install -d bash-completion/completions zsh/site-functions fish/vendor_completions.d && \
		for tool in dsmx dsmx-trace; do files=$(CURDIR)/tools/$$tool/completion; \
			install -m 644 $$files/$$tool.bash bash-completion/completions/$$tool && \
			install -m 644 $$files/_$$tool zsh/site-functions && \
			install -m 644 $$files/$$tool.fish fish/vendor_completions.d || exit; done
	$(Q)$(if $(filter dsmx-worker,$(TOOLS)),install -m 755 $(OUT)/dsmx-worker $(DESTDIR)$(LIBEXECDIR))

$(OUT)/dsmx.pc: runtime/dsmx.pc.in Makefile $(OUT)/.prefix
	@mkdir -p $(@D)
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@VERSION@|$(VERSION)|' \
		-e 's|@LIBS@|$(LIBS)|' $< >$@

clean:						## remove build/
	$(Q)rm -rf build

help:						## this list
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16
