# A thin front: meson and ninja do the work. `make demo` and `make check` are the two commands of the README.
BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
export BUILD

all: $(BUILD)/build.ninja
	ninja -C $(BUILD)

$(BUILD)/build.ninja:
	meson setup --prefix=$(PREFIX) $(BUILD)

# Installs what is missing, builds, brings up examples/quickstart and prints its status and a URL for psql.
demo:
	tools/install-deps build run
	$(MAKE) all
	tools/demo $(BUILD)

# Installs what the tests need and runs them all; ends with "N passed, N failed, N skipped".
check:
	tools/install-deps build run test
	tools/check

# The unit tests alone.
test: all
	meson test -C $(BUILD) --print-errorlogs

asan:
	[ -f build-asan/build.ninja ] || meson setup -Db_sanitize=address,undefined -Db_lundef=false build-asan
	ninja -C build-asan

# PREFIX and DESTDIR as usual. The unit that brings projects back after a reboot is left out by "make install BOOT=false",
# or "make install -- --no-boot".
BOOT ?= $(if $(filter --no-boot,$(MAKECMDGOALS)),false,true)
--no-boot:
	@:

install: $(BUILD)/build.ninja
	meson configure --prefix=$(PREFIX) -Dboot=$(BOOT) $(BUILD)
	ninja -C $(BUILD)
	DESTDIR="$(DESTDIR)" meson install -C $(BUILD) --no-rebuild

# Side by side with docker compose and Docker; writes docs/benchmarks.md.
bench: all
	tools/install-deps run test bench
	bench/run --build $(BUILD)

# The answers of docker compose that the corpus of compose files is held against, taken again (tests/data/compose). Its package is
# unpacked, not installed. Another version than the one we promise is refused.
ORACLE_VERSION = 2.40.3
ORACLE = $(BUILD)/oracle/usr/libexec/docker/cli-plugins/docker-compose
golden: all
	[ -x $(ORACLE) ] || tools/fetch-package sid $(BUILD)/oracle docker-compose
	$(ORACLE) version --short | grep -F $(ORACLE_VERSION)
	tools/compose-compare --refresh --oracle $(abspath $(ORACLE))
	git diff --stat -- tests/data/compose

# The fault tests with many more rounds.
soak: all
	tools/install-deps run test
	BERTH_SOAK_ROUNDS=$${BERTH_SOAK_ROUNDS:-200} tools/check --soak

# Fuzz targets, each for FUZZ_SECONDS (60).
fuzz:
	tools/fuzz

# First use, reboot, power cut and limits in virtual machines (software emulation: takes long).
check-vm:
	tools/install-deps vm
	tests/vm/run

# Built for arm64 in a root of its own; unit tests and static programs by emulation.
check-arm64:
	tools/install-deps arm64
	tools/check-arm64

fmt:
	git ls-files '*.c' '*.h' | xargs clang-format -i

# Who includes whom, and a build in which every warning is an error.
lint:
	tools/check-rooms
	[ -f build-lint/build.ninja ] || meson setup -Dwerror=true build-lint >/dev/null
	ninja -C build-lint

clean:
	rm -rf $(BUILD) build-asan build-lint build-fuzz

.PHONY: --no-boot all demo check test asan install bench golden soak fuzz check-vm check-arm64 fmt lint clean
