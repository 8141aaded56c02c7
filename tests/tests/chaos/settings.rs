//! How much chaos, and from which seed.

use tests::random::Random;

/// A number that a variable chooses.
fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| {
        text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?} and must be a whole number"))
    })
}

/// Kills on the embedded log.
pub(crate) fn kills() -> u64 {
    number("CHAOS_KILLS", 10)
}

/// Kills on Kafka.
pub(crate) fn kafka_kills() -> u64 {
    number("CHAOS_KAFKA_KILLS", 5)
}

/// Kills of one of several processes.
pub(crate) fn cluster_kills() -> u64 {
    number("CHAOS_CLUSTER_KILLS", 5)
}

/// The seed of this run, and randomness that differs from test to test.
pub(crate) fn seed(test: u64) -> (Seed, Random) {
    let seed = number("CHAOS_SEED", 1);
    (Seed(seed), Random(seed.wrapping_mul(1_000_003).wrapping_add(test)))
}

/// Says the seed when its test fails.
pub(crate) struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let (kills, kafka_kills, cluster_kills) = (kills(), kafka_kills(), cluster_kills());
            eprintln!(
                "this happened with CHAOS_SEED={} CHAOS_KILLS={kills} CHAOS_KAFKA_KILLS={kafka_kills} CHAOS_CLUSTER_KILLS={cluster_kills}",
                self.0
            );
        }
    }
}
