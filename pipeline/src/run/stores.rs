//! Where a run keeps what is not the log's: history, the input archive in it, and checkpoints.

use std::time::Duration;

use connectors::objects::{Objects, ObjectsError, S3Place};
use connectors::{checkpoints, parquet};

use crate::config::{ClientSettings, Config, StoreSection, StoreUrl};

/// The stores of a run.
#[derive(Clone, Debug)]
pub struct Stores {
    /// History.
    pub history: Objects,
    /// How often it is written.
    pub history_interval: Duration,
    /// What decided results, for its manifests.
    pub history_settings: serde_json::Value,
    /// What waits to be written into it, in bytes, at most.
    pub history_bytes_max: u64,
    /// How long input records are kept in its archive, in milliseconds; none are without.
    pub archive_retention_ms: Option<i64>,
    /// Checkpoints.
    pub checkpoints: Objects,
    /// How often one is made.
    pub checkpoint_interval: Duration,
}

/// What waits to be written into the history, as a part of the configured memory: one thirty-second, from 16 to 128 MiB, so that an
/// end by signal has little left to write.
pub fn history_bytes_max(config: &Config) -> u64 {
    (config.memory_limit_bytes() / 32).clamp(16 << 20, 128 << 20)
}

/// Opens the places that a configuration names. Folders are made; buckets are contacted by the first who reads or writes.
///
/// # Errors
/// If one cannot be used.
pub fn open_stores(config: &Config) -> Result<Stores, ObjectsError> {
    Ok(Stores {
        history: open_store(&config.parquet.url, &config.parquet.client, parquet::FOLDER)?,
        history_interval: Duration::from_millis(config.parquet_interval_ms()),
        history_bytes_max: history_bytes_max(config),
        archive_retention_ms: Some(config.archive_retention_ms() as i64).filter(|retention_ms| *retention_ms > 0),
        history_settings: serde_json::json!({
            "dedup_horizon_ms": config.dedup_horizon_ms(),
            "retention_ms": config.retention_ms(),
            "max_future_ms": config.max_future_ms(),
            "timer_grace_ms": config.timer_grace_ms(),
            "models": config.models.fingerprint(),
            "logic_version": env!("CARGO_PKG_VERSION"),
        }),
        checkpoints: open_store(&config.checkpoint.url, &config.checkpoint.client, checkpoints::FOLDER)?,
        checkpoint_interval: Duration::from_millis(config.checkpoint_interval_ms()),
    })
}

/// Tries each bucket that a configuration names by writing an object and deleting it again: what was tried, and what went wrong.
pub fn check_buckets(config: &Config) -> Vec<(String, Result<(), ObjectsError>)> {
    let places = [
        ("checkpoint.url", &config.checkpoint, checkpoints::FOLDER),
        ("parquet.url", &config.parquet, parquet::FOLDER),
    ];
    let buckets = places.into_iter().filter(|(_, section, _)| matches!(section.url, StoreUrl::S3 { .. }));
    let probe = format!("_check-{}", std::process::id());
    let try_out = |section: &StoreSection, own: &str| {
        let objects = open_store(&section.url, &section.client, own)?;
        objects.put(&probe, "written by dealerflow check".into())?;
        objects.delete(&probe)
    };
    buckets.map(|(key, section, own)| (format!("{key} {}", section.url), try_out(section, own))).collect()
}

/// Each store has a folder of its own below its place, which a place may already end with.
fn open_store(url: &StoreUrl, client: &ClientSettings, own: &str) -> Result<Objects, ObjectsError> {
    let (objects, ends_with_own) = match url {
        StoreUrl::Folder(folder) => (Objects::folder(folder)?, folder.ends_with(own)),
        StoreUrl::S3 { bucket, prefix } => {
            let settings: Vec<(&str, &str)> = client.iter().collect();
            let ends_with_own = prefix.rsplit('/').next() == Some(own);
            (Objects::s3(S3Place { bucket, prefix, settings: &settings })?, ends_with_own)
        }
    };
    Ok(if ends_with_own { objects } else { objects.below(own) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_store_has_a_folder_of_its_own_once() {
        let root = tempfile::tempdir().unwrap();
        let place = |url: &StoreUrl| open_store(url, &ClientSettings::default(), "parquet").unwrap().place_of("x");
        let expect = root.path().join("parquet/x").display().to_string();
        assert_eq!(place(&StoreUrl::Folder(root.path().to_owned())), expect);
        assert_eq!(place(&StoreUrl::Folder(root.path().join("parquet"))), expect);
        for prefix in ["", "shop", "shop/parquet", "notparquet"] {
            let url = StoreUrl::S3 { bucket: "bucket".into(), prefix: prefix.into() };
            let expect = match prefix {
                "" => "s3://bucket/parquet/x".to_owned(),
                "shop/parquet" => "s3://bucket/shop/parquet/x".to_owned(),
                other => format!("s3://bucket/{other}/parquet/x"),
            };
            assert_eq!(place(&url), expect);
        }
    }
}
