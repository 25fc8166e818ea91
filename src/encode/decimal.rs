//! Numbers to decimal digits, several at a time. Never parses.

/// The digits of a number, zeros in front, and how many of these are not needed.
#[inline]
pub(super) fn ten_digits(number: u32) -> ([u8; 10], usize) {
    let mut digits = [b'0'; 10];
    let [tens, ones, low @ ..] = &mut digits;
    if number < 10_000 {
        let [_, _, _, _, four @ ..] = low;
        *four = four_digits(number);
        let zeros =
            (u32::from_le_bytes(*four) ^ u32::from_le_bytes([b'0'; 4])).trailing_zeros() / 8;
        return (digits, 6 + zeros.min(3) as usize);
    }
    *low = eight_digits(number % 100_000_000);
    let high = number / 100_000_000;
    [*tens, *ones] = [b'0' + (high / 10) as u8, b'0' + (high % 10) as u8];
    (digits, 9 - number.ilog10() as usize)
}

/// The digits of a number below 10^8, zeros in front.
#[inline]
pub(super) fn eight_digits(number: u32) -> [u8; 8] {
    digits(u64::from(number / 10_000) | u64::from(number % 10_000) << 32).to_le_bytes()
}

fn four_digits(number: u32) -> [u8; 4] {
    let [four @ .., _, _, _, _] = digits(number.into()).to_le_bytes();
    four
}

// Each half, below 10^4, to two numbers below 100, each of them to two digits: the higher part of
// a lane comes first in memory. `* 10_486 >> 20` divides by 100 below 43,698, `* 103 >> 10` by 10
// below 179, and no lane runs over.
#[inline]
fn digits(halves: u64) -> u64 {
    let hundreds = (halves.wrapping_mul(10_486) >> 20) & 0x0000_007F_0000_007F;
    let pairs = hundreds | halves.wrapping_sub(hundreds.wrapping_mul(100)) << 16;
    let tens = (pairs.wrapping_mul(103) >> 10) & 0x000F_000F_000F_000F;
    let digits = tens | pairs.wrapping_sub(tens.wrapping_mul(10)) << 8;
    digits | 0x3030_3030_3030_3030
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn four_digits_are_right_in_both_halves() {
        for number in 0..10_000 {
            let expected = format!("{number:04}");
            let [low, high] = [number, number * 10_000 + 9999 - number].map(eight_digits);
            assert_eq!(low, *format!("0000{expected}").as_bytes());
            assert_eq!(high, *format!("{expected}{:04}", 9999 - number).as_bytes());
        }
    }

    proptest! {
        #[test]
        fn a_number_has_no_more_zeros_than_are_needed(
            bits in 0..=32_u32,
            number in any::<u32>(),
        ) {
            let number = number.checked_shr(bits).unwrap_or_default();
            let (digits, zeros) = ten_digits(number);
            prop_assert_eq!(digits[zeros..].to_vec(), number.to_string().into_bytes());
        }

        #[test]
        fn digits_are_those_that_the_library_writes(number in 0..100_000_000_u32) {
            prop_assert_eq!(eight_digits(number).to_vec(), format!("{number:08}").into_bytes());
        }
    }
}
