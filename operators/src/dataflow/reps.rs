//! Table `reps`: a join of what reps' own events say with the count of their active deals.
//!
//! ```text
//!   reps          (key, attributes) ±1 ──────────────────────────────┐
//!   reps          (key, (1, 0)) ─┐                                   ⋈ ─▶ (key, attributes, count) ─▶ rows per epoch
//!   active deals  (key, (0, ±1)) ┴─▶ count_total (sums in the diff) ─┘
//! ```
//! A real join, so it is differential's: both sides change, late and in any order, and every correction retracts what it replaces.

use differential_dataflow::consolidation::consolidate;
use differential_dataflow::difference::IsZero;
use differential_dataflow::operators::CountTotal;
use differential_dataflow::{AsCollection, VecCollection};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::operator::Operator;

use super::driver::Epoch;
use super::entity_rows::RepAttributes;
use super::rep_names::{RepKey, RepNames};
use crate::domain::rows::{Cell, RowBatch, RowChange};
use crate::domain::tables::TableId;

type RepUpdate = ((RepKey, RepAttributes), Epoch, isize);
type DealUpdate = (RepKey, Epoch, isize);

/// Joins reps with the counts of their active deals and gives the rows of table `reps`.
pub fn reps<'scope>(
    reps: Stream<'scope, Epoch, Vec<RepUpdate>>,
    active_deals: Stream<'scope, Epoch, Vec<DealUpdate>>,
    names: RepNames,
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
    rows(joined.inner, names)
}

type JoinedUpdate = ((RepKey, (RepAttributes, isize)), Epoch, isize);
/// A version of a rep's row in an epoch.
type Version = (Epoch, RepKey, (RepAttributes, isize));

/// Consolidates each epoch's updates into at most one row version per rep, on the worker that knows the rep's name.
fn rows(updates: Stream<'_, Epoch, Vec<JoinedUpdate>>, names: RepNames) -> Stream<'_, Epoch, Vec<(TableId, RowBatch)>> {
    let home = Exchange::new(|(((worker, _), _), _, _): &JoinedUpdate| u64::from(*worker));
    updates.unary_frontier::<CapacityContainerBuilder<Vec<(TableId, RowBatch)>>, _, _, _>(home, "reps rows", |_, _| {
        let mut pending: Vec<(Version, isize)> = Vec::new();
        let mut held = None;
        move |(input, frontier), output| {
            input.for_each(|capability, data| {
                if held.as_ref().is_none_or(|held: &Capability<Epoch>| capability.time() < held.time()) {
                    held = Some(capability.retain(0));
                }
                let versions = data.drain(..);
                pending.extend(versions.map(|((key, row), epoch, difference)| ((epoch, key, row), difference)));
            });
            let Some(capability) = held.as_mut() else { return };
            let frontier = frontier.frontier().first().copied();
            consolidate(&mut pending);
            let complete =
                pending.partition_point(|((epoch, ..), _)| frontier.is_none_or(|frontier| *epoch < frontier));
            let mut rows = RowBatch::new(TableId::Reps.width());
            for versions in pending[..complete]
                .chunk_by(|((left, rep, _), _), ((right, other, _), _)| (left, rep) == (right, other))
            {
                write_row(versions, &names, &mut rows);
            }
            pending.drain(..complete);
            if !rows.is_empty() {
                output.session(&capability).give((TableId::Reps, rows));
            }
            match pending.first() {
                Some(((epoch, ..), _)) => capability.downgrade(epoch),
                None => held = None,
            }
        }
    })
}

/// Writes what became of a rep in an epoch: what is left of its versions is one that goes, one that comes, or both.
fn write_row(versions: &[(Version, isize)], names: &RepNames, rows: &mut RowBatch) {
    let Some(((epoch, key, _), _)) = versions.first() else { return };
    let added = versions.iter().find(|(_, difference)| *difference > 0);
    rows.start(*epoch as i64, if added.is_some() { RowChange::Upsert } else { RowChange::Delete });
    names.with_key(*key, |dealer, rep| {
        rows.cell(Cell::Text(dealer));
        rows.cell(Cell::Text(rep));
    });
    if let Some(((.., (attributes, active_deals)), _)) = added {
        match attributes.name {
            Some(name) => names.with_name(name, |name| rows.cell(Cell::Text(name))),
            None => rows.cell(Cell::Null),
        }
        rows.cell(attributes.status.map(|status| status as i64).into());
        rows.cell(Cell::Double(f64::from_bits(attributes.skill_level)));
        rows.cell(Cell::Double(f64::from_bits(attributes.natural_frequency)));
        rows.cell(attributes.phase.map_or(Cell::Null, |bits| Cell::Double(f64::from_bits(bits))));
        rows.cell(Cell::Integer(*active_deals as i64));
        rows.cell(Cell::Integer(attributes.updated_at));
    }
    rows.finish();
}
