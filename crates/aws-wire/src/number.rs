//! Floats as texts.

use std::fmt::Write;

use longshore_aws_model::{Kind, Schema};

/// Appends a float with as many digits as its kind has, always with a point, as AWS writes them; or one of three words.
pub(crate) fn write_float(out: &mut String, schema: &Schema, value: f64) {
    // Writing to a String does not fail.
    let _ = match value {
        v if v.is_nan() => write!(out, "NaN"),
        v if v.is_infinite() => write!(out, "{}Infinity", if v < 0.0 { "-" } else { "" }),
        // A widened `f32` would show digits that nobody wrote.
        v if matches!(schema.kind, Kind::Float) => write!(out, "{:?}", v as f32),
        v => write!(out, "{v:?}"),
    };
}
