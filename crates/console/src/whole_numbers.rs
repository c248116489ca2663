//! Converts numbers such as `5.0`, which are integers in JSON Schema but floats in serde.

use serde_json::Value;

/// 2^53: up to this value every integer has its own float.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// Converts every number without a fraction to an integer.
pub(crate) fn make_whole(value: &mut Value) {
    match value {
        Value::Number(number) => {
            let whole = number.as_f64().filter(|float| {
                number.is_f64() && float.fract() == 0.0 && float.abs() <= EXACT_MAX
            });
            if let Some(whole) = whole {
                *value = (whole as i64).into();
            }
        }
        Value::Array(values) => values.iter_mut().for_each(make_whole),
        Value::Object(members) => members.values_mut().for_each(make_whole),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_exact_numbers_without_a_fraction_become_integers() {
        let mut value = json!([1e30, 0.5, -2.0, -0.0, 2.5e11, 9.007_199_254_740_991e15]);
        make_whole(&mut value);
        let whole = json!([
            1e30,
            0.5,
            -2,
            0,
            250_000_000_000_i64,
            9_007_199_254_740_991_i64
        ]);
        assert_eq!(value, whole);
    }
}
