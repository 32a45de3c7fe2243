//! Maps of which all keys are known, and what is said of those that are not.
//!
//! A derived reader stops at the first key it does not know, and an operator would have to come back
//! for each of the next. Here such keys are put aside with their places, so that they are reported
//! with everything else.

use std::fmt;

use serde::Deserialize;
use serde::de::value::StringDeserializer;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, IntoDeserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::raw::Text;

/// What a map holds, and its keys that have no place there.
#[derive(Debug)]
pub(super) struct Strict<T> {
    pub(super) value: T,
    pub(super) unknown: Vec<Unknown>,
}

/// A key that has no place where it stands.
#[derive(Debug)]
pub(super) struct Unknown {
    pub(super) key: Text,
    /// What has.
    pub(super) allowed: &'static [&'static str],
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Strict<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut unknown = Vec::new();
        let value = T::deserialize(Sorting {
            inner: from,
            unknown: &mut unknown,
        })?;
        Ok(Self { value, unknown })
    }
}

/// Hands a struct to its reader without the keys that it does not know.
struct Sorting<'u, D> {
    inner: D,
    unknown: &'u mut Vec<Unknown>,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Sorting<'_, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let known = Known {
            inner: visitor,
            fields,
            unknown: self.unknown,
        };
        self.inner.deserialize_struct(name, fields, known)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The reader of a struct, or its map, of which only the keys with these names are seen.
struct Known<'u, T> {
    inner: T,
    fields: &'static [&'static str],
    unknown: &'u mut Vec<Unknown>,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Known<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(Known {
            inner: map,
            fields: self.fields,
            unknown: self.unknown,
        })
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Known<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        while let Some(key) = self.inner.next_key::<Text>()? {
            if self.fields.contains(&key.value.as_str()) {
                let known: StringDeserializer<A::Error> = key.value.into_deserializer();
                return seed.deserialize(known).map(Some);
            }
            let _ignored: IgnoredAny = self.inner.next_value()?;
            self.unknown.push(Unknown {
                key,
                allowed: self.fields,
            });
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.next_value_seed(seed)
    }
}
