//! Vehicle identification numbers: the check digit of 49 CFR 565.15(c).

const WEIGHTS: [u32; 17] = [8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2];

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

/// Whether `vin` has 17 permitted characters and the right check digit. A failed VIN is a data-quality flag, not an error:
/// factories use placeholders before a vehicle arrives.
pub fn is_valid_vin(vin: &[u8]) -> bool {
    if vin.len() != 17 {
        return false;
    }
    let mut sum = 0;
    for (byte, weight) in vin.iter().zip(WEIGHTS) {
        match value_of(*byte) {
            Some(value) => sum += value * weight,
            None => return false,
        }
    }
    let check = match sum % 11 {
        10 => b'X',
        digit => b'0' + digit as u8,
    };
    vin[8] == check
}

#[cfg(test)]
mod tests {
    use super::is_valid_vin;

    #[test]
    fn known_numbers() {
        for vin in ["1M8GDM9AXKP042788", "1G4AH59H45G118341", "1HGCM82633A004352", "11111111111111111"] {
            assert!(is_valid_vin(vin.as_bytes()), "{vin}");
        }
        for vin in ["1M8GDM9A0KP042788", "1M8GDM9AXKP04278", "1M8GDM9AXKP04278O", "1m8gdm9axkp042788", ""] {
            assert!(!is_valid_vin(vin.as_bytes()), "{vin}");
        }
    }
}
