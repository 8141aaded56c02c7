//! The five segments: which a centroid is, and what to do with its leads.

use super::features::{DOWN_SHARE, ENGAGEMENT, FEATURES, FICO, Features, INCOME, LeadFields, missing};

/// Number of segments, each with an archetype that a dealer's model starts from.
pub const ARCHETYPES: usize = 5;

/// A kind of customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Segment {
    /// High credit score, strong income.
    PrimeBuyers,
    /// Fair credit score, engaged.
    MotivatedShoppers,
    /// Much money down.
    CashStrongBuyers,
    /// Low credit score.
    CreditChallenged,
    /// Little engagement.
    TireKickers,
}

/// What is said of a segment.
struct Profile {
    name: &'static str,
    description: &'static str,
    approach: &'static str,
    priority: f64,
    actions: &'static [&'static str],
}

const PROFILES: [Profile; ARCHETYPES] = [
    Profile {
        name: "Prime Buyers",
        description: "High credit score and strong income",
        approach: "Premium vehicles, competitive rates, quick close",
        priority: 0.95,
        actions: &[
            "Show premium vehicles first",
            "Quote the most competitive rate",
            "Prepare the paperwork for a quick close",
        ],
    },
    Profile {
        name: "Motivated Shoppers",
        description: "Fair credit score and high engagement",
        approach: "Value, flexible terms, rapport",
        priority: 0.85,
        actions: &["Lead with value", "Offer flexible terms", "Build rapport before numbers"],
    },
    Profile {
        name: "Cash Strong Buyers",
        description: "Large down payment and moderate credit score",
        approach: "Leverage cash, deal structure",
        priority: 0.80,
        actions: &[
            "Use the down payment to lower the rate",
            "Structure the deal around cash",
            "Show two structures side by side",
        ],
    },
    Profile {
        name: "Credit Challenged",
        description: "Credit score below 620",
        approach: "Larger down payment, subprime lenders, realistic expectations",
        priority: 0.60,
        actions: &["Ask for a larger down payment", "Send to subprime lenders", "Set realistic expectations early"],
    },
    Profile {
        name: "Tire Kickers",
        description: "Low engagement",
        approach: "Minimal time, capture info, follow-up campaign",
        priority: 0.30,
        actions: &["Keep the first talk short", "Capture contact details", "Add to the follow-up campaign"],
    },
];

/// What is done first with a lead that is an outlier, before its segment's actions.
pub const OUTLIER_ACTION: &str = "Verify the unusual values with the customer";

/// "FICO > 700".
const PRIME_FICO: f64 = (700.0 - 300.0) / 550.0;
/// "Strong income": $80,000.
const STRONG_INCOME: f64 = 80_000.0 / 200_000.0;
/// "FICO > 600".
const MOTIVATED_FICO: f64 = (600.0 - 300.0) / 550.0;
/// "Engaged".
const ENGAGED: f64 = 0.6;
/// "Down payment > 30 %".
const CASH_DOWN: f64 = 0.30;
/// "Moderate credit": at least what counts as not challenged.
const CHALLENGED_FICO: f64 = (620.0 - 300.0) / 550.0;
/// "Engagement < 0.3".
const KICKER_ENGAGEMENT: f64 = 0.3;

impl Segment {
    /// Every segment, in the order in which rules are tried.
    pub const ALL: [Segment; ARCHETYPES] = [
        Segment::PrimeBuyers,
        Segment::MotivatedShoppers,
        Segment::CashStrongBuyers,
        Segment::CreditChallenged,
        Segment::TireKickers,
    ];

    /// The segment of a centroid: the first whose rule it meets (`models.md` § 1), or else the one with the nearest archetype.
    pub fn of_centroid(centroid: &Features) -> Self {
        let (fico, engagement) = (centroid[FICO], centroid[ENGAGEMENT]);
        if fico > PRIME_FICO && centroid[INCOME] >= STRONG_INCOME {
            Segment::PrimeBuyers
        } else if fico > MOTIVATED_FICO && engagement >= ENGAGED {
            Segment::MotivatedShoppers
        } else if centroid[DOWN_SHARE] > CASH_DOWN && fico >= CHALLENGED_FICO {
            Segment::CashStrongBuyers
        } else if fico < CHALLENGED_FICO {
            Segment::CreditChallenged
        } else if engagement < KICKER_ENGAGEMENT {
            Segment::TireKickers
        } else {
            Self::nearest_archetype(centroid)
        }
    }

    fn nearest_archetype(centroid: &Features) -> Self {
        let apart = |segment: Segment| {
            let archetype = segment.archetype();
            (0..FEATURES)
                .map(|feature| (archetype[feature] - centroid[feature]) * (archetype[feature] - centroid[feature]))
                .sum::<f64>()
        };
        let mut best = (Segment::PrimeBuyers, f64::INFINITY);
        for segment in Self::ALL {
            let distance = apart(segment);
            if distance < best.1 {
                best = (segment, distance);
            }
        }
        best.0
    }

    /// The features of the segment's typical lead: what a lead does not say, but for what makes the segment.
    pub fn archetype(self) -> Features {
        let mut features = missing();
        let fico = |score: u64| LeadFields { credit_score: Some(score), ..LeadFields::default() }.features()[FICO];
        let income = |dollars: f64| dollars / 200_000.0;
        match self {
            Segment::PrimeBuyers => (features[FICO], features[INCOME]) = (fico(760), income(120_000.0)),
            Segment::MotivatedShoppers => {
                (features[FICO], features[INCOME], features[ENGAGEMENT]) = (fico(660), income(60_000.0), 0.85);
            }
            Segment::CashStrongBuyers => (features[FICO], features[DOWN_SHARE]) = (fico(660), 0.45),
            Segment::CreditChallenged => (features[FICO], features[INCOME]) = (fico(540), income(35_000.0)),
            Segment::TireKickers => features[ENGAGEMENT] = 0.15,
        }
        features
    }

    fn profile(self) -> &'static Profile {
        &PROFILES[self as usize]
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.profile().name
    }

    /// What its customers are like.
    pub fn description(self) -> &'static str {
        self.profile().description
    }

    /// How to approach its customers.
    pub fn approach(self) -> &'static str {
        self.profile().approach
    }

    /// How soon its customers are served, in [0, 1].
    pub fn priority(self) -> f64 {
        self.profile().priority
    }

    /// What to do, in order.
    pub fn actions(self) -> &'static [&'static str] {
        self.profile().actions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_archetype_is_of_its_own_segment() {
        for segment in Segment::ALL {
            assert_eq!(Segment::of_centroid(&segment.archetype()), segment, "{}", segment.name());
        }
    }

    #[test]
    fn the_first_rule_that_holds_names_the_centroid() {
        let mut centroid = Segment::PrimeBuyers.archetype();
        centroid[ENGAGEMENT] = 0.9;
        assert_eq!(Segment::of_centroid(&centroid), Segment::PrimeBuyers);
        centroid[INCOME] = 0.2;
        assert_eq!(Segment::of_centroid(&centroid), Segment::MotivatedShoppers);
        centroid[FICO] = 0.3;
        assert_eq!(Segment::of_centroid(&centroid), Segment::CreditChallenged);
        // No rule holds for a lead that says nothing.
        assert_eq!(Segment::of_centroid(&missing()), Segment::nearest_archetype(&missing()));
    }
}
