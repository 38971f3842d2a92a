# Lacuna. `make` alone lists what there is to do.

TARGET := aarch64-unknown-none-softfloat
BUILD := $(or $(CARGO_TARGET_DIR),target)
TEST_LOG := target/tests/all.log

# What an image is built for: a CPU with an MMU or only an MPU, and every board that describes itself or, with BOARD, one.
BACKEND := mmu
BOARD :=
VARIANT = $(BACKEND)$(BOARD:%=-%)
ifeq ($(BACKEND) $(filter demo,$(MAKECMDGOALS)),mpu demo)
$(error make demo needs BACKEND=mmu: guests have no MPU backend yet)
endif
IMAGE = target/image/lacuna-$(VARIANT)

# The features of each.
FEATURES_mmu := mmu gzip selftest semihosting
FEATURES_mpu := mpu pmsa-emulation selftest semihosting
FEATURES_mpu-fvp-baser := mpu selftest semihosting board-fvp-baser

# Boards whose early UART an image can have.
UART_BOARDS := virt versal zcu102 imx8mp-evk imx93-evk ls1028a-rdb jetson-tx2 odroid-n2 raspi3b raspi4b rock-5b
$(foreach board,$(UART_BOARDS),$(eval FEATURES_mmu-$(board) := mmu gzip selftest board-$(board)))

# Where a board loads an ELF file, and the device tree to hold that against; elsewhere the image goes wherever it is put.
PLACE_mpu-fvp-baser := --base 0x200000 --dtb target/image/fvp-baser.dtb

# Handed on to scripts/qemu, which has the other defaults. An image for one board boots on that, if QEMU has it.
MACHINE := $(or $(BOARD),virt)
export MACHINE MEM CPU SMP APPEND QEMU

# Where QEMU puts the image: 2 MiB into the first bank.
LOAD_virt := 0x40200000
LOAD_versal := 0x200000

# Machines for which QEMU makes no device tree, and theirs.
BOARD_TREES := $(patsubst %,target/image/%.dtb,zcu102 imx8mp-evk raspi3b raspi4b)
LOAD_zcu102 := 0x200000
LOAD_imx8mp-evk := 0x40200000
LOAD_raspi3b := 0x200000
LOAD_raspi4b := 0x200000

# What `make demo` boots beside the image.
DEMO := target/guest/demo

# Copies standard input, by the shell itself: a child would outlive it for as long as the input is open.
lines = while IFS= read -r line || [ -n "$$line" ]; do printf '%s\n' "$$line"; done

# For boots of the image alone: beside a guest it stays off (scripts/qemu). Images for one board have none.
run debug: export SEMIHOSTING := $(if $(BOARD),off,on)

# Guests of `make demo`, and vCPUs of each: as many as the CPUs that SMP gives the machine are enough for.
GUESTS := 1
VCPUS = $(shell echo $$(( $(or $(SMP),1) > $(GUESTS) ? $(or $(SMP),1) / $(GUESTS) : 1 )))

# Seconds after which `make run` gives up on a machine that does not end, and `make demo` if nobody is at a keyboard.
TIMEOUT := 120

# Seconds for each target of `make fuzz`; and which, all if none is named.
TIME := 60
TARGETS :=

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run demo test docs-figures bench bench-xen plan debug check fresh fuzz miri image guest fvp clean always

FOR_IMAGE = $(IMAGE_FLAGS) --target $(TARGET) --package lacuna
FOR_GUEST = $(IMAGE_FLAGS) --target $(TARGET) --package lacuna-guest

# $(call build_image,NAME,FEATURES,PLACE): builds and checks an image with these features, as target/image/NAME.elf and
# .img, the former for PLACE if that is given.
define build_image
$(IMAGE_CARGO) build $(FOR_IMAGE) --release --bin lacuna --no-default-features --features 'image $(2)' && \
$(CARGO) run --quiet --package lacuna-image -- $(3) $(BUILD)/$(TARGET)/release/lacuna target/image $(1)
endef

# What the tests and the benchmarks boot as a guest: ours, and to compare with, another hypervisor.
GUEST := target/image/guest.img
XEN := target/guest/xen

# What each boot with a tree of ours is held against.
PLAN := $(BUILD)/debug/lacuna-plan
build_plan = $(CARGO) build --quiet --package lacuna-plan

# $(call build_variant,VARIANT): builds the image of one of the variants above.
build_variant = $(call build_image,lacuna-$(1),$(or $(FEATURES_$(1)),$(error there is no image for $(1); \
    there are BACKEND=mmu, the same with BOARD= one of $(UART_BOARDS), BACKEND=mpu, BACKEND=mpu BOARD=fvp-baser)),$(PLACE_$(1)))

# Everything but help, clean and fresh needs the tools. Make makes the file that names the compiler before any target, which
# runs scripts/setup; that takes no time when nothing is missing.
ifneq ($(filter-out help clean fresh,$(MAKECMDGOALS)),)
include target/toolchain.mk
endif
target/toolchain.mk: always
	@scripts/setup
always:

help: ## List the targets
	@echo 'Lacuna, a mini hypervisor for aarch64. Targets:'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile
	@echo 'On image, run, demo, debug and bench: BACKEND=mmu|mpu'
	@echo 'On run, demo and debug: MACHINE=virt|versal|zcu102|...  MEM=2G  CPU=cortex-a57  SMP=4  APPEND="loglevel=debug selftest=vmap"'
	@echo 'On demo: GUESTS=2 SMP=4 for two guests with two vCPUs each'
	@echo 'On fvp: FVP=path of FVP_BaseR_AEMv8R, if it is not in PATH'

run: image ## Boot the image under QEMU and run its self-tests
	@timeout --foreground $(TIMEOUT) scripts/qemu $(IMAGE).img || { \
	    status=$$?; [ $$status -ne 124 ] || echo 'make run: no end after $(TIMEOUT) s, stopped' >&2; exit $$status; }

demo: target/guest/Image target/guest/shell.cpio.gz ## Boot Debian's Linux as a guest, with a shell on this terminal
	@$(call build_image,$(notdir $(IMAGE))-plain,$(filter-out selftest,$(FEATURES_$(VARIANT))))
	@[ -t 0 ] && term=linux || term=dumb; guests=(); \
	for ((guest = 0; guest < $(GUESTS); guest++)); do \
	    guests+=(--kernel target/guest/Image --ramdisk target/guest/shell.cpio.gz --guest-memory 256M \
	        --cpus $(VCPUS) --bootargs "console=ttyAMA0 TERM=$$term"); \
	done; \
	scripts/dom0less $(DEMO).dtb "$${guests[@]}" >$(DEMO).options
	@echo 'To leave: poweroff in each guest; or, should one not answer, Ctrl-A three times until the hypervisor has the'; \
	echo 'keyboard, and then quit. Ctrl-A three times moves the keyboard from guest to guest.'
	@mapfile -t modules <$(DEMO).options; demo=(scripts/qemu $(IMAGE)-plain.img -dtb $(DEMO).dtb "$${modules[@]}"); \
	if [ -t 0 ]; then CONSOLE=raw "$${demo[@]}"; else \
	    exec 3< <($(lines); printf '\nexit\n'; \
	        for ((guest = 1; guest < $(GUESTS); guest++)); do printf '\001\001\001\nexit\n'; done); feeder=$$!; \
	    status=0; timeout --foreground $(TIMEOUT) "$${demo[@]}" <&3 3<&- || status=$$?; \
	    kill $$feeder 2>/dev/null || :; \
	    [ $$status -ne 124 ] || echo 'make demo: no end after $(TIMEOUT) s, stopped' >&2; exit $$status; fi

test: guest target/image/fvp-baser.dtb $(BOARD_TREES) target/guest/Image target/guest/init.cpio.gz ## Run the host tests, then boot every image on every machine and judge it
	@$(call build_variant,mmu)
	@$(call build_variant,mmu-virt)
	@$(call build_variant,mmu-zcu102)
	@$(call build_variant,mpu)
	@$(call build_variant,mpu-fvp-baser)
	@$(build_plan)
	@mkdir -p $(dir $(TEST_LOG))
	@{ $(CARGO) test --package lacuna --package lacuna-image --package lacuna-plan && \
	   $(CARGO) test --package lacuna --no-default-features --features mmu --lib without_gzip && \
	   $(CARGO) test --package lacuna-board --features pmsa-emulation && \
	   LACUNA_MPU_IMAGE=$(abspath target/image/lacuna-mpu.img) \
	   LACUNA_IMAGE=$(abspath target/image/lacuna-mmu.img) LACUNA_BOARD_IMAGE=$(abspath target/image/lacuna-mmu-virt.img) \
	   LACUNA_ZCU102_IMAGE=$(abspath target/image/lacuna-mmu-zcu102.img) \
	   LACUNA_GUEST=$(abspath $(GUEST)) LACUNA_LINUX=$(abspath target/guest/Image) LACUNA_INITRD=$(abspath target/guest/init.cpio.gz) \
	   LACUNA_FVP_IMAGE=$(abspath target/image/lacuna-mpu-fvp-baser.img) \
	   LACUNA_FVP_TREE=$(abspath target/image/fvp-baser.dtb) LACUNA_PLAN=$(abspath $(PLAN)) \
	   $(CARGO) test --package lacuna-tests && \
	   $(call run_fuzz_targets,10); } 2>&1 | tee $(TEST_LOG)
	@awk '/^test result:/ { last = $$4; passed += $$4; failed += $$6 } \
	    /^skipped: / { skipped++ } \
	    END { printf "total: %d passed, %d failed, %d of those passed were skipped\n", passed, failed, skipped; \
	    exit last == 0 }' $(TEST_LOG)

bench: image guest ## Count what boot and operations cost, and hold the figures against their limits
	@$(call build_image,$(notdir $(IMAGE))-plain,$(filter-out selftest,$(FEATURES_$(BACKEND))))
	@$(call build_image,$(notdir $(IMAGE))-bench,$(filter-out selftest,$(FEATURES_$(BACKEND))) bench)
	@$(build_plan)
	@LACUNA_PLAN=$(abspath $(PLAN)) LACUNA_IMAGE=$(abspath $(IMAGE).img) LACUNA_PLAIN_IMAGE=$(abspath $(IMAGE)-plain.img) \
	 LACUNA_BENCH_IMAGE=$(abspath $(IMAGE)-bench.img) LACUNA_GUEST=$(abspath $(GUEST)) \
	 $(CARGO) run --quiet --package lacuna-tests --bin lacuna-bench $(BACKEND)
	@$(CARGO) run --quiet --package lacuna-tests --bin lacuna-docs-figures -- --check

bench-xen: guest $(XEN) ## Count what a guest pays under Lacuna and under Debian's Xen
	@$(call build_image,$(notdir $(IMAGE))-plain,$(filter-out selftest,$(FEATURES_$(BACKEND))))
	@$(build_plan)
	@LACUNA_PLAN=$(abspath $(PLAN)) LACUNA_PLAIN_IMAGE=$(abspath $(IMAGE)-plain.img) LACUNA_XEN=$(abspath $(XEN)) LACUNA_GUEST=$(abspath $(GUEST)) \
	 $(CARGO) run --quiet --package lacuna-tests --bin lacuna-bench xen

plan: ## Print the memory plan for a device tree: make plan DTB=file ARGS=--json
	@$(if $(DTB),$(CARGO) run --quiet --package lacuna-plan -- $(ARGS) $(DTB),echo 'usage: make plan DTB=file' >&2; exit 2)

debug: image ## Boot the image, waiting for gdb before its first instruction
	@scripts/setup gdb
	@echo "In another terminal: gdb-multiarch -ex 'symbol-file -o $(LOAD_$(MACHINE)) $(IMAGE).elf' -ex 'target remote :1234'"
	@scripts/qemu $(IMAGE).img -S -gdb tcp::1234

# What cargo-fuzz would pass for coverage without a sanitizer, which stable compilers take too. With --target, build scripts
# and procedural macros are left as they are. libFuzzer itself is C++, which comes with libfuzzer-sys.
HOST = $(shell $(or $(RUSTC),rustc) --version --verbose | sed -n 's/^host: //p')
FUZZ_COVERAGE := -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares
run_fuzz_targets = RUSTFLAGS='--cfg fuzzing $(FUZZ_COVERAGE) -Cdebug-assertions -Coverflow-checks' \
    CARGO_TARGET_DIR=target/fuzz $(CARGO) build --quiet --release --package lacuna-fuzz --target $(HOST) && \
    scripts/fuzz target/fuzz/$(HOST)/release $(1)

fuzz: ## Run the fuzz targets: make fuzz TIME=60 TARGETS='memory_map vgic'
	@$(call run_fuzz_targets,$(TIME) $(TARGETS))

# The interpreter is in nightly toolchains only. One case of each property test: an interpreted one takes a hundred times as
# long. Tests leak what the image never gives back, and turn addresses into pointers as an identity map does.
miri: ## Run the library's host tests in Miri, which finds undefined behaviour
	@scripts/setup miri
	@PROPTEST_CASES=1 MIRIFLAGS='-Zmiri-disable-isolation -Zmiri-ignore-leaks -Zmiri-permissive-provenance' \
	    rustup run nightly cargo miri test --package lacuna --lib

docs-figures: ## Write the figures that tests and `make bench` gave into README and docs
	@$(CARGO) run --quiet --package lacuna-tests --bin lacuna-docs-figures

check: ## Check formatting, lints and documentation, with the figures in it
	$(CARGO) run --quiet --package lacuna-tests --bin lacuna-docs-figures -- --check
	$(CARGO) fmt --all --check
	$(CARGO) clippy --all-targets -- -D warnings
	RUSTFLAGS='--cfg fuzzing' CARGO_TARGET_DIR=target/fuzz $(CARGO) clippy --package lacuna-fuzz -- -D warnings
	$(IMAGE_CARGO) clippy $(FOR_IMAGE) --features image,bench,board-virt -- -D warnings
	$(IMAGE_CARGO) clippy $(FOR_IMAGE) --no-default-features --features image,mmu -- -D warnings
	$(IMAGE_CARGO) clippy $(FOR_IMAGE) --no-default-features --features 'image $(FEATURES_mpu)' -- -D warnings
	$(IMAGE_CARGO) clippy $(FOR_IMAGE) --no-default-features --features 'image $(FEATURES_mpu-fvp-baser)' -- -D warnings
	$(IMAGE_CARGO) clippy $(FOR_GUEST) -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --no-deps
	RUSTDOCFLAGS='-D warnings' $(IMAGE_CARGO) doc $(FOR_IMAGE) --no-deps --package lacuna-boot --package lacuna-board

fresh: ## Run check and test in a new, minimal Debian (a chroot: needs root)
	@scripts/fresh

image: target/image/fvp-baser.dtb $(filter %/$(MACHINE).dtb,$(BOARD_TREES)) ## Build target/image/lacuna-BACKEND.elf and .img
	@$(call build_variant,$(VARIANT))

guest: ## Build target/image/guest.img, the guest of the tests and benchmarks
	@$(IMAGE_CARGO) build $(FOR_GUEST) --release
	@$(CARGO) run --quiet --package lacuna-image -- --guest $(BUILD)/$(TARGET)/release/lacuna-guest target/image guest

fvp: target/image/fvp-baser.dtb ## Run the image for Arm's FVP Base-R in that model, where it is installed
	@scripts/fvp
	@$(call build_variant,mpu-fvp-baser)
	@scripts/fvp target/image/lacuna-mpu-fvp-baser.elf

target/image/%.dtb: board/dts/%.dts
	@mkdir -p $(@D)
	@dtc -I dts -O dtb -o $@ $<

# Debian's kernel and busybox for arm64; they stay until make clean.
target/guest/Image target/guest/busybox &:
	@scripts/fetch-guest

$(XEN):
	@scripts/fetch-guest xen

# What a Linux guest starts: a shell, or checks.
target/guest/%.cpio.gz: tests/linux-guest/% scripts/initramfs target/guest/busybox
	@scripts/initramfs $@ $<

clean: ## Remove everything that was built
	rm -rf target
