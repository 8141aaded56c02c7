//! Table `reps`: a join of what reps' own events say with the count of their active deals.
//!
//! ```text
//!   reps          (key, attributes) ±1 ──────────────────────────────┐
//!   reps          (key, (1, 0)) ─┐                                   ⋈ ─▶ (key, attributes, count) ─▶ rows per epoch
//!   active deals  (key, (0, ±1)) ┴─▶ count_total (sums in the diff) ─┘
//! ```
//! A real join, so it is differential's: both sides change, late and in any order, and every correction retracts what it replaces.

use std::collections::BTreeMap;

use differential_dataflow::difference::IsZero;
use differential_dataflow::operators::CountTotal;
use differential_dataflow::{AsCollection, VecCollection};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::operator::Operator;

use super::driver::Epoch;
use super::entities::RepKey;
use super::entity_rows::RepAttributes;
use crate::domain::rows::{Cell, RowBatch, RowChange};
use crate::domain::tables::TableId;

type RepUpdate = ((RepKey, RepAttributes), Epoch, isize);
type DealUpdate = (RepKey, Epoch, isize);

/// Joins reps with the counts of their active deals and gives the rows of table `reps`.
pub fn reps<'scope>(
    reps: Stream<'scope, Epoch, Vec<RepUpdate>>,
    active_deals: Stream<'scope, Epoch, Vec<DealUpdate>>,
) -> Stream<'scope, Epoch, Vec<(TableId, RowBatch)>> {
    let reps: VecCollection<'scope, Epoch, (RepKey, RepAttributes), isize> = reps.as_collection();
    let deals: VecCollection<'scope, Epoch, RepKey, isize> = active_deals.as_collection();
    // One count carries both sums, so a rep without deals is counted too.
    let present = reps.clone().explode(|(key, _)| Some((key, (1_isize, 0_isize))));
    let counted = deals.explode(|key| Some((key, (0_isize, 1_isize))));
    let counts = present
        .concat(counted)
        .count_total()
        .flat_map(|(key, (present, active))| (!present.is_zero()).then_some((key, active)));
    let joined = reps.join(counts);
    rows(joined.inner)
}

type JoinedUpdate = ((RepKey, (RepAttributes, isize)), Epoch, isize);

/// Consolidates each epoch's updates into at most one row version per rep.
fn rows(updates: Stream<'_, Epoch, Vec<JoinedUpdate>>) -> Stream<'_, Epoch, Vec<(TableId, RowBatch)>> {
    updates.unary_frontier::<CapacityContainerBuilder<Vec<(TableId, RowBatch)>>, _, _, _>(
        Pipeline,
        "reps rows",
        |_, _| {
            type Versions = BTreeMap<(RepAttributes, isize), isize>;
            let mut pending: BTreeMap<(Epoch, RepKey), Versions> = BTreeMap::new();
            let mut held = None;
            move |(input, frontier), output| {
                input.for_each(|capability, data| {
                    if held.as_ref().is_none_or(|held: &timely::dataflow::operators::Capability<Epoch>| {
                        capability.time() < held.time()
                    }) {
                        held = Some(capability.retain(0));
                    }
                    for ((key, version), epoch, difference) in data.drain(..) {
                        *pending.entry((epoch, key)).or_default().entry(version).or_default() += difference;
                    }
                });
                let Some(capability) = held.as_mut() else { return };
                let frontier = frontier.frontier().first().copied();
                let waiting = match frontier {
                    Some(frontier) => pending.split_off(&(frontier, RepKey::default())),
                    None => BTreeMap::new(),
                };
                let complete = std::mem::replace(&mut pending, waiting);
                let mut rows = RowBatch::new(TableId::Reps.width());
                for ((epoch, (dealer, rep)), versions) in complete {
                    let added = versions.iter().find(|(_, difference)| **difference > 0);
                    if added.is_none() && versions.values().all(|difference| *difference == 0) {
                        continue;
                    }
                    rows.start(epoch as i64, if added.is_some() { RowChange::Upsert } else { RowChange::Delete });
                    rows.cell(Cell::Text(&dealer));
                    rows.cell(Cell::Text(&rep));
                    if let Some(((attributes, active_deals), _)) = added {
                        rows.cell(attributes.name.as_deref().map_or(Cell::Null, Cell::Text));
                        rows.cell(attributes.status.map(|status| status as i64).into());
                        rows.cell(Cell::Double(f64::from_bits(attributes.skill_level)));
                        rows.cell(Cell::Double(f64::from_bits(attributes.natural_frequency)));
                        rows.cell(Cell::Null);
                        rows.cell(Cell::Integer(*active_deals as i64));
                        rows.cell(Cell::Null);
                        rows.cell(Cell::Integer(attributes.updated_at));
                    }
                    rows.finish();
                }
                if !rows.is_empty() {
                    output.session(&capability).give((TableId::Reps, rows));
                }
                match (pending.keys().next(), frontier) {
                    (Some((epoch, _)), _) => capability.downgrade(epoch),
                    (None, _) => held = None,
                }
            }
        },
    )
}
