# What a newcomer needs: `make demo` to see it work, `make test` to know that it does. Both share one profile and its objects.
.PHONY: help native demo test lint fuzz audit bench chaos simulate-faults
TARGET := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
DEALERFLOW := $(TARGET)/debug/dealerflow
DEMO := $(TARGET)/demo
FUZZ_SECONDS ?= 20
CHAOS_KILLS ?= 200
CHAOS_KAFKA_KILLS ?= 30
CHAOS_CLUSTER_KILLS ?= 20
CHAOS_SEED ?= $(shell date +%s)
SIMULATION_SEEDS ?= 5000

help:
	@echo "make demo    simulate dealers, replay their events, ask the tables"
	@echo "make test    everything that CI runs: lints, every test, a short fuzz run"
	@echo "make lint    format and clippy, warnings as errors"
	@echo "make fuzz    the parser against FUZZ_SECONDS=$(FUZZ_SECONDS) of libFuzzer"
	@echo "make chaos   the running pipeline killed $(CHAOS_KILLS) times on the embedded log and $(CHAOS_KAFKA_KILLS) times on Kafka, and $(CHAOS_CLUSTER_KILLS) times one of several processes; CHAOS_SEED repeats a run"
	@echo "make simulate-faults   SIMULATION_SEEDS=$(SIMULATION_SEEDS) runs of the core on a simulated log, with crashes and faults"
	@echo "make audit   licences, advisories and sources of all dependencies (installs cargo-deny if it is missing)"
	@echo "make bench   the pipeline beside a hand-written loop, as whole processes (builds for release, which takes a while)"

native:
	@deploy/native-libraries

demo: native
	cargo build --workspace --bins
	rm -rf $(DEMO)
	$(DEALERFLOW) simulate --output $(DEMO)/input --dealers 20 --events 100000 --seed 7 --disorder
	$(DEALERFLOW) replay --input $(DEMO)/input --output $(DEMO)/output
	$(DEALERFLOW) sql --output $(DEMO)/output "select stage, count(*) as deals, sum(front_gross_cents) / 100 as front_gross from deals group by stage order by deals desc"
	$(DEALERFLOW) sql --output $(DEMO)/output "select dealer_id, day, leads, responded, response_seconds_p50, deals_closed from daily_kpis order by leads desc limit 5"
	$(DEALERFLOW) sql --output $(DEMO)/output "select reason_code, count(*) as records, min(reason) as example from dead_letters group by reason_code order by records desc"
	$(DEALERFLOW) demo --events 50000 --exit
	@echo "Try: $(DEALERFLOW) sql --output $(DEMO)/output \"select * from leads limit 5\""

lint: native
	cargo fmt --all --check
	@if cargo clippy --version >/dev/null 2>&1; then cargo clippy --workspace --all-targets -- -D warnings; \
	else echo "clippy is not installed: its lints are not checked"; fi

# The end-to-end tests run the binary, so it is built first.
test: lint
	cargo build --workspace --bins
	cargo test --workspace
	tests/fuzz/run $(FUZZ_SECONDS)

fuzz:
	tests/fuzz/run $(FUZZ_SECONDS)

chaos: native
	cargo build --workspace --bins
	CHAOS_KILLS=$(CHAOS_KILLS) CHAOS_KAFKA_KILLS=$(CHAOS_KAFKA_KILLS) CHAOS_CLUSTER_KILLS=$(CHAOS_CLUSTER_KILLS) CHAOS_SEED=$(CHAOS_SEED) cargo test -p tests --test chaos -- --nocapture

# Every seed runs the core with its own crashes, faults and clocks; SIMULATION_FIRST says where to begin. A seed that fails is told with the
# command that runs it again, step by step.
simulate-faults: native
	SIMULATION_SEEDS=$(SIMULATION_SEEDS) SIMULATION_THREADS=$$(nproc) \
	cargo test -p pipeline --lib run::simulation::seeds -- --nocapture

audit:
	@command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
	cargo deny --workspace check

bench: native
	cargo build --release -p pipeline -p benches
	$(TARGET)/release/benches
