# A thin front: meson and ninja do the work. `make demo` and `make check` are the two commands of the README.
BUILD ?= build
PREFIX ?= /usr/local

all: $(BUILD)/build.ninja
	ninja -C $(BUILD)

$(BUILD)/build.ninja:
	meson setup --prefix=$(PREFIX) $(BUILD)

test: all
	meson test -C $(BUILD) --print-errorlogs

asan:
	[ -f build-asan/build.ninja ] || meson setup -Db_sanitize=address,undefined -Db_lundef=false build-asan
	ninja -C build-asan

fmt:
	git ls-files '*.c' '*.h' | xargs clang-format -i

clean:
	rm -rf $(BUILD) build-asan

.PHONY: all test asan fmt clean
