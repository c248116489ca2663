//! Reads objects only from objects. Otherwise serde would also read a list into a struct, field by field in an undocumented order.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// A value that can only be read from an object.
#[derive(Debug)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Object<T>, D::Error> {
        d.deserialize_map(Members(PhantomData))
    }
}

struct Members<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members)).map(Object)
    }
}

/// Reads an object.
pub(crate) fn object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(d: D) -> Result<T, D::Error> {
    Object::deserialize(d).map(|Object(value)| value)
}

/// Reads a list of objects.
///
/// # Errors
/// The error of the first invalid item.
pub fn objects<'de, T: Deserialize<'de>, D: Deserializer<'de>>(d: D) -> Result<Vec<T>, D::Error> {
    let objects = Vec::deserialize(d)?;
    Ok(objects.into_iter().map(|Object(value)| value).collect())
}

/// Reads a list of objects, or `null`.
pub(crate) fn nullable_objects<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    d: D,
) -> Result<Option<Vec<T>>, D::Error> {
    let objects = Option::<Vec<_>>::deserialize(d)?;
    Ok(objects.map(|objects| objects.into_iter().map(|Object(value)| value).collect()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use crate::{Access, AccessLimits};

    fn access(member: &str, value: Value) -> Result<Access, String> {
        let mut access = json!({"name": "a", "user": "a", "client_id": "c", "secrets": [], "active": true, "allow": [],
            "ways": [], "methods": []});
        access[member] = value;
        from_value(access).map_err(|error| error.to_string())
    }

    #[test]
    fn access_fields_reject_a_list_in_place_of_an_object() {
        let limits = access("limits", json!({"report": true})).unwrap().limits;
        assert!(limits.report);
        for (member, list) in [
            ("limits", json!([null, null, null, null, true])),
            ("secrets", json!([[{"keyed": "x"}, 0]])),
            ("channels", json!([["whatsapp", "100"]])),
            ("cache", json!([true, null, null])),
        ] {
            let said = access(member, list).map(|_| ()).unwrap_err();
            assert!(said.contains("object"), "{member}: {said}");
        }
        assert!(
            from_value::<AccessLimits>(json!([null, null, null, null, true])).is_ok(),
            "then this is no longer needed"
        );
    }
}
