//! Decimal numbers as they are written, with no float in between, and sums and products that say when they would round.

use rust_decimal::Decimal;

/// Most digits after the point of a price for a million tokens. Lists that once were floats have up to seventeen.
const FINEST: u32 = 18;
/// No price is as high as this; what is one is a mistake of whoever wrote it.
const HIGHEST: Decimal = Decimal::from_parts(1_000_000_000, 0, 0, false, 0);
/// Prices are for a million tokens here, and for one in some lists.
pub(super) const MILLION: Decimal = Decimal::from_parts(1_000_000, 0, 0, false, 0);

/// What is asked of a price, for errors.
pub(super) const A_PRICE: &str =
    "a decimal number from 0 to a billion, with at most 18 digits after the point";

/// Reads `12`, `0.125` or `1.25e-07`. None of what is no such number, is negative, or has more digits than can be kept.
pub(super) fn read(text: &str) -> Option<Decimal> {
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, part) = match number.split_once('.') {
        Some((_, "")) => return None,
        Some((whole, part)) => (whole, part),
        None => (number, ""),
    };
    if whole.is_empty() || !whole.bytes().chain(part.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // As many digits as a decimal has, so that no text is too long to be looked at.
    let digits = format!("{whole}{part}");
    let digits = digits.trim_start_matches('0');
    let kept = digits.trim_end_matches('0');
    if kept.is_empty() {
        return Some(Decimal::ZERO);
    }
    let dropped = i64::try_from(digits.len() - kept.len()).ok()?;
    let scale = i64::try_from(part.len()).ok()? - dropped - i64::from(exponent);
    let mantissa: i128 = kept.parse().ok()?;
    let (mantissa, scale) = match u32::try_from(scale) {
        Ok(scale) => (mantissa, scale),
        Err(_) => {
            let zeros = u32::try_from(-scale).ok()?;
            (mantissa.checked_mul(10_i128.checked_pow(zeros)?)?, 0)
        }
    };
    Decimal::try_from_i128_with_scale(mantissa, scale).ok()
}

/// A price for a million tokens, within limits.
pub(super) fn price(written: Decimal) -> Option<Decimal> {
    let price = written.normalize();
    (price < HIGHEST && price.scale() <= FINEST).then_some(price)
}

/// A price for one token as one for a million.
pub(super) fn of_one(written: Decimal) -> Option<Decimal> {
    price(times(written, MILLION)?)
}

/// The product, or none where it has more digits than are kept.
pub(super) fn times(a: Decimal, b: Decimal) -> Option<Decimal> {
    if a.is_zero() || b.is_zero() {
        return Some(Decimal::ZERO);
    }
    let product = a.checked_mul(b)?;
    // One that was rounded has fewer digits after the point.
    (product.scale() == a.scale() + b.scale()).then_some(product)
}

/// The sum, or none where it has more digits than are kept.
pub(super) fn plus(a: Decimal, b: Decimal) -> Option<Decimal> {
    let sum = a.checked_add(b)?;
    (sum.checked_sub(b)? == a).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_digit_by_digit() {
        for (text, is) in [
            ("12", "12"),
            ("0.125", "0.125"),
            ("007.50", "7.5"),
            ("3e-06", "0.000003"),
            ("1.25E-07", "0.000000125"),
            ("7.999999999999999e-07", "0.0000007999999999999999"),
            ("2.5e+3", "2500"),
            ("1.5e1", "15"),
            ("0e99", "0"),
            ("0.0", "0"),
        ] {
            assert_eq!(read(text).map(|number| number.to_string()).as_deref(), Some(is), "{text}");
        }
    }

    #[test]
    fn what_is_no_such_number_is_none() {
        let long = "1".repeat(100_000);
        for text in [
            "", ".", ".5", "5.", "-1", "+1", "1_000", "1,5", "NaN", "inf", "0x1", "1e", "1e5.5",
            "1e-99", "1e99", "1 ", "٣", &long,
        ] {
            assert_eq!(read(text), None, "{text:.20}");
        }
    }

    #[test]
    fn what_would_be_rounded_is_none() {
        let third = read("0.3333333333333333333333333333").unwrap();
        assert_eq!(times(third, read("1.7").unwrap()), None);
        assert_eq!(plus(third, read("100000").unwrap()), None);
        assert_eq!(times(third, Decimal::ZERO), Some(Decimal::ZERO));
        assert_eq!(plus(third, Decimal::ZERO), Some(third));
        assert_eq!(times(Decimal::MAX, Decimal::from(2)), None);
        assert_eq!(plus(Decimal::MAX, Decimal::ONE), None);
    }

    #[test]
    fn a_price_has_limits() {
        assert_eq!(price(read("1000000000").unwrap()), None);
        assert_eq!(price(read("1e-19").unwrap()), None);
        assert_eq!(of_one(read("3e-06").unwrap()), read("3"));
        assert_eq!(of_one(read("1e-25").unwrap()), None);
        // As some lists have it: the float nearest to 0.8.
        assert_eq!(of_one(read("7.999999999999999e-07").unwrap()), read("0.7999999999999999"));
    }
}
