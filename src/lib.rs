#![doc = include_str!("../README.md")]
//!
//! # The library
//!
//! The core is pure and always compiled; everything that touches the world is behind the feature
//! `proxy`. Modules are listed in the order in which data meets them.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the ban is for the core: denied on its modules below"
)]

#[deny(clippy::disallowed_types, clippy::disallowed_methods)]
pub mod wire;

#[deny(clippy::disallowed_types, clippy::disallowed_methods)]
pub mod route;

#[deny(clippy::disallowed_types, clippy::disallowed_methods)]
pub mod session;

#[cfg(feature = "proxy")]
mod admin;
#[cfg(feature = "proxy")]
pub mod check;
#[cfg(feature = "proxy")]
pub mod config;
#[cfg(feature = "proxy")]
pub mod dial;
#[cfg(feature = "proxy")]
mod driver;
#[cfg(feature = "proxy")]
pub mod health;
#[cfg(feature = "proxy")]
pub mod log;
#[cfg(feature = "proxy")]
pub mod manual;
#[cfg(feature = "proxy")]
pub mod net;
#[cfg(feature = "proxy")]
pub mod proxy;
#[cfg(feature = "proxy")]
mod registry;
#[cfg(feature = "proxy")]
pub mod secrets;
#[cfg(feature = "proxy")]
pub mod state;
#[cfg(feature = "proxy")]
pub mod telemetry;
#[cfg(feature = "proxy")]
pub mod tls;
