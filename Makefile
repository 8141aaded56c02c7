# What a newcomer needs: `make demo` to see it work, `make test` to know that it does. Both share one profile and its objects.
.PHONY: help demo test format clippy bench
TARGET := $(or $(CARGO_TARGET_DIR),target)
DEALERFLOW := $(TARGET)/debug/dealerflow
DEMO := $(TARGET)/demo

help:
	@echo "make demo    simulate dealers, replay their events, ask the tables"
	@echo "make test    everything that CI runs"
	@echo "make clippy  lints, as errors"

demo:
	cargo build --workspace --bins
	rm -rf $(DEMO)
	$(DEALERFLOW) simulate --output $(DEMO)/input --dealers 20 --events 100000 --seed 7 --disorder
	$(DEALERFLOW) replay --input $(DEMO)/input --output $(DEMO)/output
	$(DEALERFLOW) sql --output $(DEMO)/output "select stage, count(*) as deals, sum(front_gross_cents) / 100 as front_gross from deals group by stage order by deals desc"
	$(DEALERFLOW) sql --output $(DEMO)/output "select dealer_id, day, leads, responded, response_seconds_p50, deals_closed from daily_kpis order by leads desc limit 5"
	@echo "Try: $(DEALERFLOW) sql --output $(DEMO)/output \"select * from dead_letters limit 5\""

format:
	cargo fmt --all --check

clippy:
	cargo clippy --workspace --all-targets -- -D warnings

test:
	cargo test --workspace
