//! Numbers of JSON, compared without loss.

use std::cmp::Ordering;

use serde_json::{Number, Value};

/// Compares `value`, if it is a number, with `limit`: whole numbers exactly, others as far as a
/// `f64` goes.
pub(super) fn compare(value: &Value, limit: &Number) -> Option<Ordering> {
    let Value::Number(number) = value else {
        return None;
    };
    match (whole(number), whole(limit)) {
        (Some(number), Some(limit)) => Some(number.cmp(&limit)),
        _ => number.as_f64()?.partial_cmp(&limit.as_f64()?),
    }
}

fn whole(number: &Number) -> Option<i128> {
    let signed = number.as_i64().map(i128::from);
    signed.or_else(|| number.as_u64().map(i128::from))
}
