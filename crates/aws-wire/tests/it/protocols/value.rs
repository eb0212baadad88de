//! Values as the cases write them: JSON, with times as seconds and blobs as texts.

use longshore_aws_model::{Kind, ReadError, Schema, ShapeReader, ShapeWriter, Timestamp};
use serde_json::{Map, Value, json};

use super::model::JSON_VALUE;

/// Reads the value that stands here.
pub fn read(schema: &'static Schema, r: &mut dyn ShapeReader) -> Result<Value, ReadError> {
    Ok(match schema.kind {
        Kind::Structure(members) => {
            let mut out = Map::new();
            r.structure(schema, &mut |i, r| {
                out.insert(members[i].name.to_owned(), read(members[i].schema, r)?);
                Ok(())
            })?;
            Value::Object(out)
        }
        Kind::List(l) => {
            let mut out = Vec::new();
            r.list(schema, &mut |r| {
                out.push(read(l.element, r)?);
                Ok(())
            })?;
            Value::Array(out)
        }
        Kind::Map(m) => {
            let mut out = Map::new();
            r.map(schema, &mut |key, r| {
                out.insert(key, read(m.value, r)?);
                Ok(())
            })?;
            Value::Object(out)
        }
        Kind::String if schema.name == JSON_VALUE => {
            serde_json::from_str(&r.string(schema)?).map_err(|e| ReadError::Syntax(e.to_string()))?
        }
        Kind::String => Value::String(r.string(schema)?),
        Kind::Integer | Kind::Long => json!(r.integer(schema)?),
        Kind::Float => float(f64::from(r.float(schema)? as f32)),
        Kind::Double => float(r.float(schema)?),
        Kind::Boolean => Value::Bool(r.boolean(schema)?),
        Kind::Timestamp(_) => json!(r.timestamp(schema)?.0 as f64 / 1000.0),
        Kind::Blob => Value::String(String::from_utf8_lossy(&r.blob(schema)?).into_owned()),
        Kind::Document => serde_json::from_str(&r.document(schema)?).expect("a document is JSON"),
    })
}

fn float(f: f64) -> Value {
    match f {
        f if f.is_nan() => json!("NaN"),
        f if f.is_infinite() => json!(if f < 0.0 { "-Infinity" } else { "Infinity" }),
        f => json!(f),
    }
}

/// Writes the members of a structure that a case gives.
pub fn write_members(schema: &'static Schema, value: &Value, w: &mut dyn ShapeWriter) {
    for member in schema.members() {
        if let Some(value) = value.get(member.name).filter(|v| !v.is_null()) {
            w.member(member);
            write(member.schema, value, w);
        }
    }
}

fn write(schema: &'static Schema, value: &Value, w: &mut dyn ShapeWriter) {
    let text = || value.as_str().unwrap_or_else(|| panic!("{} is given as {value}", schema.name));
    match schema.kind {
        Kind::Structure(_) => {
            w.begin_structure(schema);
            write_members(schema, value, w);
            w.end_structure();
        }
        Kind::List(l) => {
            let list = value.as_array().expect("a list");
            w.begin_list(schema, list.len());
            for v in list {
                w.element();
                write(l.element, v, w);
            }
            w.end_list();
        }
        Kind::Map(m) => {
            let map = value.as_object().expect("a map");
            w.begin_map(schema, map.len());
            for (key, v) in map {
                w.entry(key);
                write(m.value, v, w);
            }
            w.end_map();
        }
        Kind::String if schema.name == JSON_VALUE && !value.is_string() => w.string(schema, &value.to_string()),
        Kind::String => w.string(schema, text()),
        Kind::Integer | Kind::Long => w.integer(schema, value.as_i64().expect("an integer")),
        Kind::Float | Kind::Double => w.float(
            schema,
            match value.as_str() {
                Some("NaN") => f64::NAN,
                Some("Infinity") => f64::INFINITY,
                Some("-Infinity") => f64::NEG_INFINITY,
                _ => value.as_f64().expect("a number"),
            },
        ),
        Kind::Boolean => w.boolean(schema, value.as_bool().expect("a boolean")),
        Kind::Timestamp(_) => {
            w.timestamp(schema, Timestamp((value.as_f64().expect("seconds") * 1000.0).round() as i64))
        }
        Kind::Blob => w.blob(schema, text().as_bytes()),
        Kind::Document => w.document(schema, &value.to_string()),
    }
}

/// The same value, whatever kind of number it is written with, and without members that are null.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().expect("finite"), b.as_f64().expect("finite"));
            // Some cases have singles, some their text.
            a == b || a as f32 == b as f32
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            let given = |m: &Map<String, Value>| m.values().filter(|v| !v.is_null()).count();
            given(a) == given(b)
                && a.iter().filter(|(_, v)| !v.is_null()).all(|(k, v)| b.get(k).is_some_and(|w| same(v, w)))
        }
        // JSON in a string, which cases give as either.
        (Value::Object(_) | Value::Bool(_), Value::String(text)) => {
            serde_json::from_str::<Value>(text).is_ok_and(|b| same(a, &b))
        }
        _ => a == b,
    }
}
