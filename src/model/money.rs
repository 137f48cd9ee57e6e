//! An amount of money, exact to the billionth of a dollar.

use std::fmt;
use std::str::FromStr;

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::BigInt;
use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// US dollars, in whole billionths ("nanos"): enough for a single token of the cheapest model, and up to nine billion dollars.
///
/// It is shown as `$0.000123`, with at least two digits after the point. In JSON it is the number of dollars as text, `"0.000123"`:
/// a JSON number would become a float in most readers. In a database it is [`nanos`](Self::nanos), a `BigInt`.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    AsExpression,
    FromSqlRow,
)]
#[diesel(sql_type = BigInt)]
#[serde(try_from = "String", into = "String")]
pub struct Money {
    nanos: i64,
}

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self { nanos: 0 };

    const NANOS: u64 = 1_000_000_000;

    /// So many billionths of a dollar.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self { nanos }
    }

    /// The amount in billionths of a dollar, the form to store.
    #[must_use]
    pub const fn nanos(self) -> i64 {
        self.nanos
    }

    /// Both together; none when that is more than can be kept.
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.nanos.checked_add(other.nanos) {
            Some(nanos) => Some(Self { nanos }),
            None => None,
        }
    }

    /// All together; none when that is more than can be kept.
    #[must_use]
    pub fn checked_sum(amounts: impl IntoIterator<Item = Self>) -> Option<Self> {
        amounts.into_iter().try_fold(Self::ZERO, Self::checked_add)
    }

    /// The amount of so many billionths, a half of one to the even side: over many amounts neither the provider nor the host gains.
    pub(crate) fn rounded(nanos: Decimal) -> Option<Self> {
        let whole = nanos.round_dp_with_strategy(0, RoundingStrategy::MidpointNearestEven);
        i64::try_from(whole.trunc().mantissa()).ok().map(Self::from_nanos)
    }

    /// The number of dollars, with at least two digits after the point.
    fn digits(self) -> String {
        let nanos = self.nanos.unsigned_abs();
        let part = format!("{:09}", nanos % Self::NANOS);
        let (cents, rest) = part.split_at(2);
        format!("{}.{cents}{}", nanos / Self::NANOS, rest.trim_end_matches('0'))
    }

    const fn sign(self) -> &'static str {
        if self.nanos < 0 { "-" } else { "" }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}${}", self.sign(), self.digits()))
    }
}

impl From<Money> for String {
    /// The form of JSON.
    fn from(money: Money) -> Self {
        format!("{}{}", money.sign(), money.digits())
    }
}

impl TryFrom<String> for Money {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

/// Reads a number of dollars, with or without the sign: `0.000123`, `$0.000123`, `-$1.50`.
impl FromStr for Money {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (negative, number) = match text.strip_prefix('-') {
            Some(number) => (true, number),
            None => (false, text),
        };
        let number = number.strip_prefix('$').unwrap_or(number);
        let nanos = nanos_of(number)
            .map(|nanos| if negative { -nanos } else { nanos })
            .and_then(|nanos| i64::try_from(nanos).ok());
        nanos.map(Self::from_nanos).ok_or_else(|| {
            let reason = "must be a number of dollars, below 9.2 billion, with at most nine digits after the point";
            Error::invalid("money", text, reason)
        })
    }
}

/// Digits, and up to nine more behind a point.
fn nanos_of(number: &str) -> Option<i128> {
    let (whole, part) = match number.split_once('.') {
        Some((_, "")) => return None,
        Some((whole, part)) => (whole, part.trim_end_matches('0')),
        None => (number, ""),
    };
    let all_digits = whole.bytes().chain(part.bytes()).all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all_digits || part.len() > 9 {
        return None;
    }
    format!("{whole}{part:0<9}").parse().ok()
}

impl<DB: Backend> ToSql<BigInt, DB> for Money
where
    i64: ToSql<BigInt, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        self.nanos.to_sql(out)
    }
}

impl<DB: Backend> FromSql<BigInt, DB> for Money
where
    i64: FromSql<BigInt, DB>,
{
    fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
        i64::from_sql(bytes).map(Self::from_nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOWN: [(i64, &str, &str); 8] = [
        (0, "$0.00", "0.00"),
        (1, "$0.000000001", "0.000000001"),
        (123_000, "$0.000123", "0.000123"),
        (100_000_000, "$0.10", "0.10"),
        (1_500_000_000, "$1.50", "1.50"),
        (-1_500_000_000, "-$1.50", "-1.50"),
        (i64::MAX, "$9223372036.854775807", "9223372036.854775807"),
        (i64::MIN, "-$9223372036.854775808", "-9223372036.854775808"),
    ];

    #[test]
    fn an_amount_is_shown_and_read_back_exactly() {
        for (nanos, shown, json) in SHOWN {
            let money = Money::from_nanos(nanos);
            assert_eq!(money.to_string(), shown);
            assert_eq!(shown.parse::<Money>().unwrap(), money);
            let text = serde_json::to_string(&money).unwrap();
            assert_eq!(text, format!("{json:?}"));
            assert_eq!(serde_json::from_str::<Money>(&text).unwrap(), money);
        }
        assert_eq!(format!("{:>9}|", Money::from_nanos(1_500_000_000)), "    $1.50|");
    }

    #[test]
    fn what_cannot_be_kept_is_refused_and_never_rounded() {
        for text in [
            "",
            "$",
            "-",
            "1.",
            ".5",
            "1.0000000001",
            "9223372036.854775808",
            "1e30",
            "--1",
            "€1",
            "NaN",
        ] {
            let error = text.parse::<Money>().unwrap_err().to_string();
            assert!(error.starts_with("money "), "{error}");
        }
        assert!(serde_json::from_str::<Money>("0.5").is_err(), "a float");
    }

    #[test]
    fn sums_say_when_they_are_too_large() {
        let most = Money::from_nanos(i64::MAX);
        assert_eq!(most.checked_add(Money::from_nanos(1)), None);
        assert_eq!(Money::checked_sum([most, Money::from_nanos(1)]), None);
        let three = [1, 2, 3].map(Money::from_nanos);
        assert_eq!(Money::checked_sum(three), Some(Money::from_nanos(6)));
    }

    #[test]
    fn a_half_goes_to_the_even_side() {
        for (nanos, is) in [("0.5", 0), ("1.5", 2), ("2.5", 2), ("2.500001", 3), ("2.499999", 2)] {
            let rounded = Money::rounded(Decimal::from_str_exact(nanos).unwrap());
            assert_eq!(rounded, Some(Money::from_nanos(is)), "{nanos}");
        }
        assert_eq!(Money::rounded(Decimal::from_str_exact("9223372036854775807.5").unwrap()), None);
        assert_eq!(
            Money::rounded(Decimal::from_str_exact("9223372036854775807.4").unwrap())
                .map(Money::nanos),
            Some(i64::MAX)
        );
        assert_eq!(Money::rounded(Decimal::ZERO), Some(Money::ZERO));
    }
}
