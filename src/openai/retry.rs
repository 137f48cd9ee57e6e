//! How long to wait before a call is tried again.
//!
//! The policy is that of OpenAI's own libraries: the server's wish first, else an exponential delay
//! with jitter.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use super::Error;

/// The longest delay, and the longest that a server may ask for; a longer one is the caller's to plan, who finds it in
/// the error.
const MAX_ASKED: Duration = Duration::from_mins(1);
/// The longest delay of our own, in first ones.
const MOST_DOUBLED: u32 = 16;

/// The delay before the next try, or `None` when there must not be one.
///
/// `attempt` counts the tries that failed before the one that ended in `error`: 0 for the first. `first` is the delay after that one.
pub(crate) fn backoff(attempt: u32, error: &Error, first: Duration) -> Option<Duration> {
    if !error.is_retryable() {
        return None;
    }
    if let Some(asked) = error.retry_after().filter(|asked| !asked.is_zero()) {
        return (asked <= MAX_ASKED).then_some(asked);
    }
    if error.api().is_some_and(super::ApiError::is_conversation_locked) {
        // Another response is being written; that takes seconds, so shorter waits would only add
        // load.
        return Some(Duration::from_secs(1 << attempt.min(2)));
    }
    let delay =
        first.saturating_mul(2_u32.saturating_pow(attempt).min(MOST_DOUBLED)).min(MAX_ASKED);
    // Clients that failed together must not come back together.
    Some(delay.mul_f64(1.0 - 0.25 * random()))
}

/// A number in `0.0..1.0`. The standard library's hasher is seeded anew each time, which is all a
/// jitter needs.
fn random() -> f64 {
    let bits = u32::try_from(RandomState::new().hash_one(0_u8) >> 32).unwrap_or(0);
    f64::from(bits) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openai::ApiError;

    fn backoff(attempt: u32, error: &Error) -> Option<Duration> {
        super::backoff(attempt, error, Duration::from_millis(500))
    }

    fn api(status: u16, retry_after: Option<Duration>) -> Error {
        ApiError { status: Some(status), retry_after, ..ApiError::default() }.into()
    }

    #[test]
    fn delays_double_up_to_eight_seconds_with_at_most_a_quarter_of_jitter() {
        for (attempt, full) in
            [(0, 0.5), (1, 1.0), (2, 2.0), (4, 8.0), (5, 8.0), (40, 8.0), (u32::MAX, 8.0)]
        {
            let delay = backoff(attempt, &api(500, None)).unwrap().as_secs_f64();
            assert!(delay > full * 0.749 && delay <= full, "attempt {attempt}: {delay}");
        }
    }

    #[test]
    fn the_first_delay_can_be_set_and_the_servers_wish_and_a_lock_keep_theirs() {
        let first = Duration::from_millis(1);
        for (attempt, full) in [(0, 1), (1, 2), (4, 16), (u32::MAX, 16)] {
            let delay = super::backoff(attempt, &api(500, None), first).unwrap();
            assert!(delay <= Duration::from_millis(full), "attempt {attempt}: {delay:?}");
        }
        let (asked, locked) = (Duration::from_secs(42), Some("conversation_locked".to_owned()));
        assert_eq!(super::backoff(0, &api(429, Some(asked)), first), Some(asked));
        let locked = ApiError { code: locked, ..ApiError::default() }.into();
        assert_eq!(super::backoff(0, &locked, first), Some(Duration::from_secs(1)));
        assert_eq!(super::backoff(0, &api(500, None), Duration::ZERO), Some(Duration::ZERO));
        let huge = super::backoff(0, &api(500, None), Duration::MAX);
        assert!(huge <= Some(MAX_ASKED));
    }

    #[test]
    fn the_servers_delay_wins_up_to_a_minute() {
        let asked = Duration::from_secs(42);
        assert_eq!(backoff(0, &api(429, Some(asked))), Some(asked));
        assert_eq!(backoff(0, &api(429, Some(Duration::from_secs(61)))), None);
        assert!(backoff(0, &api(429, Some(Duration::ZERO))).unwrap() > Duration::ZERO);
    }

    #[test]
    fn a_locked_conversation_waits_one_two_and_four_seconds() {
        let locked = || {
            ApiError { code: Some("conversation_locked".to_owned()), ..ApiError::default() }.into()
        };
        for (attempt, seconds) in [(0, 1), (1, 2), (2, 4), (3, 4)] {
            assert_eq!(backoff(attempt, &locked()), Some(Duration::from_secs(seconds)));
        }
    }

    #[test]
    fn what_cannot_succeed_is_not_tried_again() {
        assert_eq!(backoff(0, &api(400, None)), None);
        assert_eq!(backoff(0, &Error::configuration("base_url", "bad")), None);
    }

    #[test]
    fn jitter_varies() {
        let first = random();
        assert!((0..100).any(|_| (random() - first).abs() > f64::EPSILON));
        assert!((0..100).map(|_| random()).all(|number| (0.0..1.0).contains(&number)));
    }
}
