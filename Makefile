# dsmx: make [VARIANT=release|debug|asan|tsan] [CC=gcc|clang-19] [V=1] <target>; `make help` lists the targets.

# --- what is built -----------------------------------------------------------------------------------

VERSION := 0.1
VARIANT ?= release
OUT     := build/$(VARIANT)

LIB_SRC  := $(sort $(wildcard runtime/*/*.c))
TEST_SRC := $(sort $(wildcard selftests/*_test.c))

GEN      := $(OUT)/gen
PROTO    := $(sort $(wildcard runtime/*/*.proto))
PB_SRC   := $(PROTO:runtime/%.proto=$(GEN)/%.pb-c.c)

LIB_OBJ  := $(LIB_SRC:%.c=$(OUT)/%.o) $(PB_SRC:.c=.o)
TESTS    := $(TEST_SRC:%.c=$(OUT)/%)
STATIC   := $(OUT)/libdsmx.a
SHARED   := $(OUT)/libdsmx.so.$(VERSION)

# --- how ----------------------------------------------------------------------------------------------

FLAGS_release := -O2 -g
FLAGS_debug   := -Og -g3
FLAGS_asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
FLAGS_tsan    := -O1 -g -fsanitize=thread

WARN := -Wall -Wextra -Werror -Wshadow -Wundef -Wcast-qual -Wwrite-strings -Wstrict-prototypes \
        -Wmissing-prototypes -Wold-style-definition -Wredundant-decls -Wvla -Wformat=2 \
        -Wimplicit-fallthrough -Wconversion -Wsign-conversion -Wno-format-truncation

DX_CFLAGS := -std=gnu11 -D_GNU_SOURCE -fPIC -fvisibility=hidden -Iinclude -Iruntime -I$(GEN) \
             -DDSMX_VERSION='"$(VERSION)"' $(WARN) $(FLAGS_$(VARIANT)) -MMD -MP
LIBS := -luring -lnuma -lprotobuf-c -lpthread -ldl

Q   := $(if $(V),,@)
say  = @printf '  %-6s %s\n' '$(1)' '$(2)'

# --- rules --------------------------------------------------------------------------------------------

.PHONY: all clean help
.DELETE_ON_ERROR:
.SECONDARY:

all: $(STATIC) $(SHARED) $(TESTS)		## the library, the tools and the selftests

$(OUT)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(DX_CFLAGS) $(CFLAGS) -c -o $@ $<

# protoc-c's code is not ours to keep free of warnings.
$(GEN)/%.pb-c.c $(GEN)/%.pb-c.h &: runtime/%.proto
	@mkdir -p $(@D)
	$(call say,PROTO,$<)
	$(Q)protoc-c --proto_path=runtime --c_out=$(GEN) $<

$(GEN)/%.pb-c.o: $(GEN)/%.pb-c.c
	$(call say,CC,$<)
	$(Q)$(CC) -std=gnu11 -fPIC -fvisibility=hidden -I$(GEN) $(FLAGS_$(VARIANT)) $(CFLAGS) -w -c -o $@ $<

$(patsubst %.c,$(OUT)/%.o,$(wildcard runtime/plan/codec*.c)): | $(PB_SRC:.c=.h)

# One relocatable object with the internal names made local: dx_* cannot clash with the application's.
$(OUT)/libdsmx.o: $(LIB_OBJ)
	$(call say,LD,$@)
	$(Q)$(LD) -r -o $@ $^
	$(Q)objcopy --localize-hidden $@

$(STATIC): $(OUT)/libdsmx.o
	$(call say,AR,$@)
	$(Q)$(AR) rcs $@ $^

$(SHARED): $(LIB_OBJ) runtime/dsmx.map
	$(call say,LINK,$@)
	$(Q)$(CC) $(FLAGS_$(VARIANT)) -shared -Wl,-soname,libdsmx.so.0 -Wl,--version-script=runtime/dsmx.map \
		$(LDFLAGS) -o $@ $(LIB_OBJ) $(LIBS)

$(OUT)/selftests/%: $(OUT)/selftests/%.o $(LIB_OBJ)
	$(call say,LINK,$@)
	$(Q)$(CC) $(FLAGS_$(VARIANT)) $(LDFLAGS) -o $@ $^ $(LIBS)

clean:						## remove build/
	$(Q)rm -rf build

help:						## this list
	@sed -n 's/^\([a-z_-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

-include $(LIB_OBJ:.o=.d) $(TESTS:=.d)
