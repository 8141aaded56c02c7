//! The check digit of a vehicle identification number (49 CFR 565).

/// Whether `vin` has 17 characters of the VIN alphabet and its ninth is the right check digit.
pub(super) fn is_valid(vin: &str) -> bool {
    const WEIGHTS: [u32; 17] = [8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2];
    let bytes = vin.as_bytes();
    if bytes.len() != WEIGHTS.len() {
        return false;
    }
    let mut sum = 0;
    for (&byte, weight) in bytes.iter().zip(WEIGHTS) {
        let Some(value) = value_of(byte) else {
            return false;
        };
        sum += value * weight;
    }
    let expected = b"0123456789X"[(sum % 11) as usize];
    bytes[8] == expected
}

fn value_of(byte: u8) -> Option<u32> {
    Some(match byte {
        b'0'..=b'9' => u32::from(byte - b'0'),
        b'A'..=b'H' => u32::from(byte - b'A') + 1,
        b'J'..=b'N' => u32::from(byte - b'J') + 1,
        b'P' => 7,
        b'R' => 9,
        b'S'..=b'Z' => u32::from(byte - b'S') + 2,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digits_follow_the_regulation() {
        for vin in ["1M8GDM9AXKP042788", "1G4AH59H45G118341", "1HGCM82633A004352", "11111111111111111"] {
            assert!(is_valid(vin), "{vin}");
        }
        for vin in ["1M8GDM9A1KP042788", "IM8GDM9AXKP042788", "1HGCM82633A00435", "1hgcm82633a004352", "", "é"] {
            assert!(!is_valid(vin), "{vin}");
        }
    }
}
