//! The command line of dealerflow.

use std::sync::Arc;

fn main() {
    pipeline::allocator::keep_freed_memory();
    let args: Vec<String> = std::env::args().collect();
    let options = pipeline::replay::ReplayOptions {
        input: args[1].clone().into(),
        output: args.get(3).map(|a| a.into()),
        overwrite: true,
        workers: args[2].parse().unwrap(),
        epoch_width_ms: None,
        epoch_records: 3000,
        replay_buffer_bytes: 256 << 20,
        dedup_horizon_ms: 7 * 86_400_000,
        dedup_keys_max: 50_000_000,
        retention_ms: 400 * 86_400_000,
    };
    let progress: Arc<pipeline::replay::Progress> = Arc::new(|_, _| {});
    match pipeline::replay::replay(&options, &progress) {
        Ok(report) => println!("{report:?}"),
        Err(error) => println!("{error}"),
    }
}
