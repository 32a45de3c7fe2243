//! The file as it is written: every value with its place. Each of these maps is read as
//! [`Strict`], which tells the keys that it does not know.
//!
//! Scalars are kept as text whatever YAML would make of them, so that the checks can quote what
//! was found and judge all of it in one go.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer};
use serde_yaml::Spanned;

use super::strict::Strict;

/// A scalar and where it stands.
pub(super) type Text = Spanned<String>;

#[derive(Debug, Deserialize)]
pub(super) struct RawConfig {
    #[serde(default, deserialize_with = "given")]
    pub(super) listen: Option<Spanned<RawListen>>,
    #[serde(default, deserialize_with = "given")]
    pub(super) socket_mode: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) client_tls: Option<Spanned<Strict<RawClientTls>>>,
    #[serde(default, deserialize_with = "given")]
    pub(super) allow_remote: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) admin: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) admin_names: Option<Spanned<Vec<Text>>>,
    #[serde(default, deserialize_with = "given")]
    pub(super) home: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) state: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) ensembles: Option<Spanned<Pairs<Strict<RawEnsemble>>>>,
    #[serde(default, deserialize_with = "given")]
    pub(super) routes: Option<Spanned<Pairs<RawTarget>>>,
    #[serde(default, deserialize_with = "given")]
    pub(super) expose_config: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) words: Option<Spanned<Vec<Text>>>,
    #[serde(default, deserialize_with = "given")]
    pub(super) frame_limit: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) look_ahead: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) outstanding: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) reply_limit: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) max_connections: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) max_connections_per_client: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) connect_timeout: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) handshake_timeout: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) slow_reader_timeout: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) request_timeout: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) idle_leg_timeout: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) grace_period: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) log: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) log_format: Option<Text>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RawEnsemble {
    #[serde(default, deserialize_with = "given")]
    pub(super) servers: Option<Spanned<Vec<Text>>>,
    #[serde(default, deserialize_with = "given")]
    pub(super) prefer: Option<Spanned<Vec<Text>>>,
    #[serde(default, deserialize_with = "given")]
    pub(super) barrier: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) on_unreachable: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) on_expiry: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) warm: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) elide_barriers: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) tls: Option<Spanned<Strict<RawTls>>>,
    #[serde(default, deserialize_with = "given")]
    pub(super) credentials: Option<Text>,
}

/// One place to listen, or a list of them.
#[derive(Debug)]
pub(super) enum RawListen {
    One(String),
    Several(Vec<Text>),
}

#[derive(Debug, Deserialize)]
pub(super) struct RawTls {
    #[serde(default, deserialize_with = "given")]
    pub(super) ca: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) certificate: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) key: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) server_name: Option<Text>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RawClientTls {
    #[serde(default, deserialize_with = "given")]
    pub(super) certificate: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) key: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) client_ca: Option<Text>,
}

/// What a route leads to.
#[derive(Debug)]
pub(super) enum RawTarget {
    Name(String),
    Mount(Strict<RawMount>),
}

#[derive(Debug, Deserialize)]
pub(super) struct RawMount {
    #[serde(default, deserialize_with = "given")]
    pub(super) ensemble: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) root: Option<Text>,
}

/// A map in the order it is written, keys with their places.
#[derive(Debug)]
pub(super) struct Pairs<V>(pub(super) Vec<(Text, Spanned<V>)>);

/// A key that is there has a value: `home:` alone is a mistake, not the absence of `home`.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Pairs<V> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct InOrder<V>(PhantomData<V>);

        impl<'de, V: Deserialize<'de>> Visitor<'de> for InOrder<V> {
            type Value = Pairs<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map (`key: value` lines)")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<V>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        from.deserialize_map(InOrder(PhantomData))
    }
}

impl<'de> Deserialize<'de> for RawListen {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct OneOrSeveral;

        impl<'de> Visitor<'de> for OneOrSeveral {
            type Value = RawListen;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("IP:PORT or unix:/PATH, or a list of these")
            }

            fn visit_str<E>(self, place: &str) -> Result<RawListen, E> {
                Ok(RawListen::One(place.to_owned()))
            }

            // A port alone: refused later, in better words.
            fn visit_u64<E>(self, place: u64) -> Result<RawListen, E> {
                Ok(RawListen::One(place.to_string()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<RawListen, A::Error> {
                let mut places = Vec::new();
                while let Some(place) = list.next_element()? {
                    places.push(place);
                }
                Ok(RawListen::Several(places))
            }
        }

        from.deserialize_any(OneOrSeveral)
    }
}

impl<'de> Deserialize<'de> for RawTarget {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct NameOrMount;

        impl<'de> Visitor<'de> for NameOrMount {
            type Value = RawTarget;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of an ensemble, or { ensemble: NAME, root: PATH }")
            }

            fn visit_str<E>(self, name: &str) -> Result<RawTarget, E> {
                Ok(RawTarget::Name(name.to_owned()))
            }

            // An ensemble may be called `1`.
            fn visit_u64<E>(self, name: u64) -> Result<RawTarget, E> {
                Ok(RawTarget::Name(name.to_string()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawTarget, A::Error> {
                Strict::deserialize(MapAccessDeserializer::new(map)).map(RawTarget::Mount)
            }
        }

        from.deserialize_any(NameOrMount)
    }
}
