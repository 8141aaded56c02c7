//! Vehicle identification numbers with the check digit of 49 CFR 565.15(c).

use super::catalog::Make;
use super::random::Random;

const LETTERS_AND_DIGITS: &[u8; 33] = b"ABCDEFGHJKLMNPRSTUVWXYZ0123456789";
const WEIGHTS: [u32; 17] = [8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2];
const CHECK_DIGIT: usize = 8;

/// Value of a permitted character; letters run A–H 1–8, J–N 1–5, P 7, R 9, S–Z 2–9.
fn value_of(byte: u8) -> u32 {
    match byte {
        b'A'..=b'H' => u32::from(byte - b'A') + 1,
        b'J'..=b'N' => u32::from(byte - b'J') + 1,
        b'P' => 7,
        b'R' => 9,
        b'S'..=b'Z' => u32::from(byte - b'S') + 2,
        digit => u32::from(digit.wrapping_sub(b'0')),
    }
}

/// The right check digit of 17 permitted characters.
pub(super) fn check_digit(vin: &[u8; 17]) -> u8 {
    let sum: u32 = vin.iter().zip(WEIGHTS).map(|(byte, weight)| value_of(*byte) * weight).sum();
    match sum % 11 {
        10 => b'X',
        digit => b'0' + digit as u8,
    }
}

/// The number of a vehicle; a placeholder, as factories use them before a vehicle arrives, fails the check.
pub(super) fn draw(make: &Make, year: u16, serial: u32, placeholder: bool, random: &mut Random) -> [u8; 17] {
    const YEARS: &[u8; 30] = b"ABCDEFGHJKLMNPRSTVWXY123456789";
    let mut vin = [b'0'; 17];
    vin[..3].copy_from_slice(make.manufacturer.as_bytes());
    for slot in &mut vin[3..8] {
        *slot = *random.pick(LETTERS_AND_DIGITS);
    }
    vin[9] = YEARS[usize::from(year.saturating_sub(1980)) % YEARS.len()];
    vin[10] = *random.pick(LETTERS_AND_DIGITS);
    let mut rest = serial;
    for slot in vin[11..].iter_mut().rev() {
        *slot = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let right = check_digit(&vin);
    vin[CHECK_DIGIT] = match (placeholder, right) {
        (false, right) => right,
        (true, b'0') => b'9',
        (true, _) => b'0',
    };
    vin
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_numbers_check() {
        for vin in ["1M8GDM9AXKP042788", "1G4AH59H45G118341", "1HGCM82633A004352", "11111111111111111"] {
            let bytes: &[u8; 17] = vin.as_bytes().try_into().unwrap();
            assert_eq!(check_digit(bytes), bytes[8], "{vin}");
        }
    }

    #[test]
    fn placeholders_and_nothing_else_fail_the_check() {
        let mut random = Random::new(1, 1);
        for serial in 0..3_000 {
            let make = random.pick(super::super::catalog::MAKES);
            let vin = draw(make, 2010 + (serial % 17) as u16, serial, serial % 50 == 0, &mut random);
            assert_eq!(check_digit(&vin) == vin[8], serial % 50 != 0);
        }
    }
}
