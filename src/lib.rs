//! zoonet
#![allow(clippy::allow_attributes, reason = "set per module below")]
