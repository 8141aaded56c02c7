//! Names of the world: towns with their zones, makes and models, people, words.

use super::calendar::Zone;

/// A town where a dealer may stand.
#[derive(Debug)]
pub(super) struct Town {
    pub(super) name: &'static str,
    pub(super) state: &'static str,
    pub(super) zone: Zone,
    /// Share of enquiries in Spanish.
    pub(super) spanish_share: f64,
}

const EASTERN: Zone = Zone::new("America/New_York", -5, true);
const CENTRAL: Zone = Zone::new("America/Chicago", -6, true);
const MOUNTAIN: Zone = Zone::new("America/Denver", -7, true);
const PACIFIC: Zone = Zone::new("America/Los_Angeles", -8, true);
const ARIZONA: Zone = Zone::new("America/Phoenix", -7, false);

const fn town(name: &'static str, state: &'static str, zone: Zone, spanish_share: f64) -> Town {
    Town { name, state, zone, spanish_share }
}

pub(super) const TOWNS: &[Town] = &[
    town("Austin", "TX", CENTRAL, 0.24),
    town("Phoenix", "AZ", ARIZONA, 0.22),
    town("Tampa", "FL", EASTERN, 0.20),
    town("Fresno", "CA", PACIFIC, 0.33),
    town("Columbus", "OH", EASTERN, 0.03),
    town("Denver", "CO", MOUNTAIN, 0.16),
    town("Detroit", "MI", Zone::new("America/Detroit", -5, true), 0.04),
    town("Honolulu", "HI", Zone::new("Pacific/Honolulu", -10, false), 0.02),
    town("Richmond", "VA", EASTERN, 0.06),
    town("Chicago", "IL", CENTRAL, 0.17),
    town("San Antonio", "TX", CENTRAL, 0.35),
    town("Seattle", "WA", PACIFIC, 0.06),
    town("Miami", "FL", EASTERN, 0.48),
    town("Sacramento", "CA", PACIFIC, 0.20),
    town("Indianapolis", "IN", Zone::new("America/Indiana/Indianapolis", -5, true), 0.07),
    town("Boise", "ID", Zone::new("America/Boise", -7, true), 0.07),
    town("Anchorage", "AK", Zone::new("America/Anchorage", -9, true), 0.03),
    town("Louisville", "KY", Zone::new("America/Kentucky/Louisville", -5, true), 0.04),
    town("Nashville", "TN", CENTRAL, 0.08),
    town("Tucson", "AZ", ARIZONA, 0.30),
    town("Newark", "NJ", EASTERN, 0.25),
    town("Salt Lake City", "UT", MOUNTAIN, 0.12),
    town("Atlanta", "GA", EASTERN, 0.07),
    town("Minneapolis", "MN", CENTRAL, 0.06),
];

/// Names that dealers put before their town. Some have to be escaped in JSON, some are not ASCII.
pub(super) const HOUSES: &[&str] = &[
    "Lakeside",
    "Summit",
    "Heritage",
    "Bluebonnet",
    "Riverside",
    "Capitol",
    "Pioneer",
    "Gateway",
    "Núñez & Sons",
    "O'Brien's",
    "Honest \"Abe\"",
    "Evergreen",
    "Premier",
    "Crossroads",
    "Liberty",
    "Sunrise",
    "Müller",
    "Frontier",
];

/// A make with its models.
#[derive(Debug)]
pub(super) struct Make {
    pub(super) name: &'static str,
    /// World manufacturer identifier: the first three characters of its VINs.
    pub(super) manufacturer: &'static str,
    /// (name, price when new in dollars)
    pub(super) models: &'static [(&'static str, u32)],
}

pub(super) const MAKES: &[Make] = &[
    Make {
        name: "Toyota",
        manufacturer: "4T1",
        models: &[("Camry", 29_800), ("RAV4", 32_400), ("Tacoma", 36_900), ("Highlander", 43_500), ("Corolla", 24_200)],
    },
    Make {
        name: "Ford",
        manufacturer: "1FT",
        models: &[("F-150", 52_300), ("Escape", 31_200), ("Explorer", 44_800), ("Bronco", 46_900)],
    },
    Make {
        name: "Chevrolet",
        manufacturer: "1GC",
        models: &[("Silverado 1500", 50_400), ("Equinox", 30_700), ("Tahoe", 63_900), ("Trax", 23_100)],
    },
    Make {
        name: "Honda",
        manufacturer: "1HG",
        models: &[("Civic", 26_400), ("CR-V", 33_100), ("Accord", 30_900), ("Pilot", 43_700)],
    },
    Make {
        name: "Hyundai",
        manufacturer: "5NP",
        models: &[("Elantra", 23_800), ("Tucson", 31_400), ("Santa Fe", 37_600)],
    },
    Make {
        name: "Jeep",
        manufacturer: "1C4",
        models: &[("Wrangler", 44_200), ("Grand Cherokee", 48_900), ("Compass", 30_300)],
    },
    Make {
        name: "Nissan",
        manufacturer: "5N1",
        models: &[("Rogue", 31_000), ("Altima", 28_100), ("Frontier", 34_800)],
    },
    Make {
        name: "Subaru",
        manufacturer: "4S4",
        models: &[("Outback", 33_300), ("Forester", 32_000), ("Crosstrek", 28_500)],
    },
];

pub(super) const TRIMS: &[&str] = &["S", "SE", "LE", "XLT", "Sport", "Limited", "Touring", "Base"];

pub(super) const FIRST_NAMES: &[&str] = &[
    "Maria", "James", "Aisha", "Robert", "Linh", "Carlos", "Dana", "Kevin", "Priya", "Tom", "Grace", "Luis", "Zoë",
    "Andre", "Hannah", "Omar", "Renée", "Jack", "Mei", "Sofia",
];

pub(super) const LAST_NAMES: &[&str] = &[
    "Lopez", "Miller", "Khan", "Nguyen", "Johnson", "O'Neil", "Garcia", "Patel", "Brown", "Schmidt", "Rossi", "Kim",
    "Davis", "Okafor", "Peña", "Walker", "Cohen", "Silva",
];

pub(super) const LENDERS: &[&str] =
    &["First Auto Bank", "Union Credit", "Captive Finance", "Metro Lending", "Prairie Savings"];

pub(super) const LOST_REASONS: &[&str] =
    &["price", "credit", "bought elsewhere", "no contact", "trade value", "changed mind"];
