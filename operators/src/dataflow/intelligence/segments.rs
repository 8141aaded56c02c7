//! Leads to segments: a lead teaches once, when it was created; updates score it again; its end withdraws what was said.

use super::clusters::CLUSTERS;
use super::lead_state::{Anomaly, Segmented};
use super::observation::{Arena, LeadSeen};
use super::turn::Turn;
use crate::domain::json_writer::JsonWriter;
use crate::domain::messages::{MessageId, MessageType};
use crate::models::whaco::features::{FEATURES, Features, feature_name};
use crate::models::whaco::lead::LeadAnalysis;
use crate::models::whaco::reason::Reasons;

const ALL_CLUSTERS: u8 = (1 << CLUSTERS) - 1;

impl Turn<'_, '_> {
    /// A lead as an event left it.
    pub fn segment_lead(&mut self, seen: &LeadSeen) {
        let time_ms = self.time_ms();
        if !seen.is_created {
            if self.lead(seen.place).segmented.is_some() {
                self.unsegment(seen.place, true);
            }
            return;
        }
        // Another event of the lead says nothing new, whatever the model has learned since.
        let is_known = self.lead(seen.place).segmented.is_some();
        let Some(fields) = seen.fields.filter(|_| seen.is_news || !is_known) else { return };
        let Some(clusters) = self.dealership.clusters.as_mut() else { return };
        let clusterings = clusters.clusterings();
        let analysis = if is_known { clusters.score(&fields) } else { clusters.analyse(&fields) };
        let model = clusters.name();
        let is_reclustered = clusters.clusterings() != clusterings;
        let before = self.lead(seen.place).segmented.as_ref();
        if before.is_some_and(|before| before.says(&analysis)) {
            return;
        }
        let (superseded, cluster_before, anomaly_before) = before.map_or((None, None, None), |before| {
            (Some(before.message), Some(before.cluster), before.anomaly.as_ref().map(|anomaly| anomaly.message))
        });
        let reason = analysis.reasons.map(|reasons| reasons.to_string());
        let arena: &Arena = self.shared.arena;
        let customer = arena.text(seen.customer);
        let message = self.send(MessageType::CustomerSegmented, Some(seen.place), superseded, |json, _, _| {
            write_segmented(json, customer, &analysis, reason.as_deref(), model);
        });
        let features = fields.features();
        let anomaly = reason.map(|reason| {
            let message = self.detect(seen.place, customer, &analysis, &features, &reason, anomaly_before);
            let since = self.lead(seen.place).segmented.as_ref().and_then(|before| before.anomaly.as_ref());
            let detected_ms = since.map_or(time_ms, |before| before.detected_ms);
            Box::new(Anomaly { reason, features, detected_ms, message })
        });
        if anomaly.is_none() && anomaly_before.is_some() {
            self.clear_anomaly(seen.place, customer, anomaly_before, "the lead is usual by now");
        }
        self.count_member(cluster_before, anomaly_before.is_some(), -1);
        self.count_member(Some(analysis.cluster as u8), anomaly.is_some(), 1);
        if is_reclustered {
            self.dealership.dirty_segments = ALL_CLUSTERS;
            self.dealership.segment_updated_ms = [time_ms; CLUSTERS];
        }
        self.dealership.has_learned |= !is_known;
        self.lead_mut(seen.place).segmented = Some(Segmented {
            cluster: analysis.cluster as u8,
            segment: analysis.segment,
            confidence: analysis.confidence,
            score: analysis.score,
            priority: analysis.priority,
            routing_priority: analysis.routing_priority,
            scored_ms: time_ms,
            message,
            anomaly,
        });
    }

    /// Withdraws what was said of a lead; without words if it only left memory.
    pub fn unsegment(&mut self, place: u32, tells: bool) {
        let Some(before) = self.lead_mut(place).segmented.take() else { return };
        self.count_member(Some(before.cluster), before.anomaly.is_some(), -1);
        if !tells {
            return;
        }
        if let Some(anomaly) = &before.anomaly {
            self.clear_anomaly(place, None, Some(anomaly.message), "the lead was deleted");
        }
        self.send(MessageType::CustomerUnsegmented, Some(place), Some(before.message), |json, _, _| {
            json.key("reasons");
            json.list(|json| json.text(b"the lead was deleted"));
        });
    }

    /// Counts a lead in or out of a cluster.
    fn count_member(&mut self, cluster: Option<u8>, is_outlier: bool, change: i32) {
        let Some(cluster) = cluster.map(usize::from) else { return };
        let time_ms = self.cause.time_ms;
        let dealership = &mut *self.dealership;
        dealership.members[cluster] = dealership.members[cluster].saturating_add_signed(change);
        if is_outlier {
            dealership.outliers[cluster] = dealership.outliers[cluster].saturating_add_signed(change);
        }
        dealership.segment_updated_ms[cluster] = dealership.segment_updated_ms[cluster].max(time_ms);
        dealership.dirty_segments |= 1 << cluster;
    }

    fn detect(
        &mut self,
        place: u32,
        customer: Option<&[u8]>,
        analysis: &LeadAnalysis,
        features: &Features,
        reason: &str,
        supersedes: Option<MessageId>,
    ) -> MessageId {
        self.send(MessageType::AnomalyDetected, Some(place), supersedes, |json, _, _| {
            write_customer(json, customer);
            json.key("clusterId");
            json.integer(i64::from(analysis.cluster));
            json.key("score");
            json.double(analysis.score);
            write_reasons(json, analysis.reasons.as_ref());
            json.key("reason");
            json.text(reason.as_bytes());
            json.key("features");
            write_features(json, features);
        })
    }

    fn clear_anomaly(
        &mut self,
        place: u32,
        customer: Option<&[u8]>,
        supersedes: Option<MessageId>,
        reason: &'static str,
    ) {
        self.send(MessageType::AnomalyCleared, Some(place), supersedes, |json, _, _| {
            write_customer(json, customer);
            json.key("reasons");
            json.list(|json| json.text(reason.as_bytes()));
        });
    }
}

impl Segmented {
    /// Whether an analysis says nothing else.
    fn says(&self, analysis: &LeadAnalysis) -> bool {
        let same = |left: f64, right: f64| left.to_bits() == right.to_bits();
        u32::from(self.cluster) == analysis.cluster
            && self.segment == analysis.segment
            && self.anomaly.is_some() == analysis.is_outlier
            && same(self.confidence, analysis.confidence)
            && same(self.score, analysis.score)
            && same(self.priority, analysis.priority)
            && same(self.routing_priority, analysis.routing_priority)
    }
}

fn write_customer(json: &mut JsonWriter<'_>, customer: Option<&[u8]>) {
    json.key("customerId");
    json.text_or_null(customer);
}

fn write_segmented(
    json: &mut JsonWriter<'_>,
    customer: Option<&[u8]>,
    analysis: &LeadAnalysis,
    reason: Option<&str>,
    model: &str,
) {
    write_reasons(json, analysis.reasons.as_ref());
    write_customer(json, customer);
    json.key("clusterId");
    json.integer(i64::from(analysis.cluster));
    json.key("clusterName");
    json.text(analysis.segment.name().as_bytes());
    json.key("clusterDescription");
    json.text(analysis.segment.description().as_bytes());
    json.key("isOutlier");
    json.boolean(analysis.is_outlier);
    json.key("outlierReason");
    json.text_or_null(reason.map(str::as_bytes));
    json.key("confidence");
    json.double(analysis.confidence);
    json.key("priorityScore");
    json.double(analysis.priority);
    json.key("recommendedApproach");
    json.text(analysis.segment.approach().as_bytes());
    json.key("model");
    json.text(model.as_bytes());
}

/// The features that are furthest off, a sentence each.
fn write_reasons(json: &mut JsonWriter<'_>, reasons: Option<&Reasons>) {
    json.key("reasons");
    json.list(|json| {
        for reason in reasons.iter().flat_map(|reasons| reasons.sentences()) {
            json.display(reason);
        }
    });
}

fn write_features(json: &mut JsonWriter<'_>, features: &Features) {
    json.object(|json| {
        for (feature, value) in features.iter().enumerate().take(FEATURES) {
            json.key(feature_name(feature));
            json.double(*value);
        }
    });
}

/// Features as table `anomalies` shows them: a JSON object.
pub fn features_json(features: &Features) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_features(&mut JsonWriter::new(&mut bytes), features);
    bytes
}
