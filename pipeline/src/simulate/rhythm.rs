//! When customers come: the shape of a day, of a week, and of advertising campaigns, in the dealer's local time.

use super::calendar::{DAY_MS, HOUR_MS, weekday};
use super::random::Random;

/// Shares of a day's enquiries by local hour; they add up to 1.
const SHARE_BY_HOUR: [f64; 24] = [
    0.010, 0.006, 0.004, 0.003, 0.003, 0.006, 0.014, 0.026, 0.044, 0.062, 0.074, 0.076, 0.074, 0.068, 0.066, 0.068,
    0.072, 0.076, 0.072, 0.060, 0.044, 0.034, 0.024, 0.014,
];

/// How a weekday compares with the mean, from Monday; Saturdays are strongest.
const FACTOR_BY_WEEKDAY: [f64; 7] = [1.02, 0.90, 0.90, 0.95, 1.08, 1.50, 0.65];

/// First hour in which a showroom is open.
pub(super) const OPENS_HOUR: i64 = 9;
/// Hour at which it closes.
pub(super) const CLOSES_HOUR: i64 = 20;

/// How many times the mean of a week's hours the arrival rate is in an hour that begins at this local time.
pub(super) fn intensity(local_ms: i64) -> f64 {
    let hour = local_ms.rem_euclid(DAY_MS) / HOUR_MS;
    24.0 * SHARE_BY_HOUR[hour as usize] * FACTOR_BY_WEEKDAY[weekday(local_ms.div_euclid(DAY_MS))]
}

/// Whether the showroom is open at a local time.
pub(super) fn is_open(local_ms: i64) -> bool {
    (OPENS_HOUR..CLOSES_HOUR).contains(&(local_ms.rem_euclid(DAY_MS) / HOUR_MS))
}

/// The time itself if the showroom is open then, else some time in the first three hours of its next day.
pub(super) fn next_open(time_ms: i64, offset_ms: i64, random: &mut Random) -> i64 {
    let local_ms = time_ms + offset_ms;
    if is_open(local_ms) {
        return time_ms;
    }
    let day = local_ms.div_euclid(DAY_MS) + i64::from(local_ms.rem_euclid(DAY_MS) >= OPENS_HOUR * HOUR_MS);
    day * DAY_MS + OPENS_HOUR * HOUR_MS + random.between(0, 3 * HOUR_MS) - offset_ms
}

/// An advertising campaign: more enquiries for some days.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Campaign {
    until_ms: i64,
    uplift: f64,
}

impl Campaign {
    /// Looks at a new day: without a campaign, one begins about every three weeks.
    pub(super) fn new_day(&mut self, now_ms: i64, random: &mut Random) {
        const DAYS_BETWEEN: f64 = 18.0;
        if now_ms >= self.until_ms && random.chance(1.0 / DAYS_BETWEEN) {
            self.until_ms = now_ms + random.between(2, 5) * DAY_MS;
            self.uplift = random.range(0.3, 1.2);
        }
    }

    pub(super) fn is_running(&self, now_ms: i64) -> bool {
        now_ms < self.until_ms
    }

    /// By what the arrival rate is multiplied.
    pub(super) fn factor(&self, now_ms: i64) -> f64 {
        if self.is_running(now_ms) { 1.0 + self.uplift } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_of_hours_has_mean_one() {
        let mean = (0..7 * 24).map(|hour| intensity(hour * HOUR_MS)).sum::<f64>() / (7.0 * 24.0);
        assert!((mean - 1.0).abs() < 1e-9, "{mean}");
    }

    #[test]
    fn nights_wait_for_the_morning() {
        let mut random = Random::new(1, 1);
        let offset_ms = -5 * HOUR_MS;
        for hour in 0..48 {
            let time_ms = hour * HOUR_MS;
            let open_ms = next_open(time_ms, offset_ms, &mut random);
            assert!(open_ms >= time_ms && is_open(open_ms + offset_ms));
            assert_eq!(open_ms == time_ms, is_open(time_ms + offset_ms));
        }
    }
}
