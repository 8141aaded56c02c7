//! The published centroids of each dealer, at hand for previews: a preview must not wait for a query.
//!
//! ```text
//!   rows of `segments` as epochs are published ─▶ dealer ─▶ its clusters          not there (after a start): asked of the tables
//! ```
//! Bounded: beyond [`DEALERS_MAX`] dealers, those that come are not remembered, and are asked of the tables.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use operators::domain::rows::RowChange;
use operators::domain::tables::TableId;

use super::intelligence::customer_segments::{ClusterBody, cluster_of};
use crate::run::commits::Published;

/// Dealers that are remembered, at most.
const DEALERS_MAX: usize = 20_000;

type Clusters = BTreeMap<i64, ClusterBody>;

/// The centroids of every dealer whose clusters changed since the start.
#[derive(Debug, Default)]
pub struct Centroids {
    dealers: Mutex<BTreeMap<Box<[u8]>, Arc<Clusters>>>,
}

impl Centroids {
    /// Remembers what an epoch changed.
    pub fn published(&self, published: &Published) {
        let place = |name: &str| TableId::Segments.table().stored().position(|column| column.name == name);
        let places = (place("cluster_id"), place("name"), place("priority"), place("customers"), place("outliers"));
        let (Some(id), Some(name), Some(priority), Some(customers), Some(outliers)) = places else { return };
        let Some(centroid) = place("centroid") else { return };
        for (table, slice) in &published.output.rows {
            if *table != TableId::Segments {
                continue;
            }
            for row in slice.range.clone() {
                let rows = &slice.rows;
                let (Some(dealer), Some(cluster)) = (rows.text(row, 0), rows.bits(row, id)) else { continue };
                let mut dealers = self.dealers.lock().unwrap_or_else(PoisonError::into_inner);
                if dealers.len() >= DEALERS_MAX && !dealers.contains_key(dealer) {
                    continue;
                }
                let own = dealers.entry(dealer.into()).or_default();
                let clusters = Arc::make_mut(own);
                let cluster = cluster as i64;
                if rows.change(row) != RowChange::Upsert {
                    clusters.remove(&cluster);
                    continue;
                }
                let text = |place| rows.text(row, place).map(|text| String::from_utf8_lossy(text).into_owned());
                let count = |place| rows.bits(row, place).map_or(0, |bits| bits as i64);
                let body = cluster_of(
                    cluster,
                    text(name).unwrap_or_default(),
                    rows.bits(row, priority).map(f64::from_bits),
                    text(centroid).as_deref(),
                    (count(customers), count(outliers)),
                );
                clusters.insert(cluster, body);
            }
        }
    }

    /// A dealer's clusters, if all of them are known: a dealer has either none or as many as there are archetypes.
    pub fn of(&self, dealer: &str) -> Option<Vec<ClusterBody>> {
        let clusters = {
            let dealers = self.dealers.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(dealers.get(dealer.as_bytes())?)
        };
        let is_whole = clusters.len() == operators::models::whaco::segment::ARCHETYPES;
        is_whole.then(|| clusters.values().cloned().collect())
    }
}
