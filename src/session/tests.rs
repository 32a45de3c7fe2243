//! The whole session, fed by hand: what goes out for what comes in.

mod bed;
mod bounds;
mod close;
mod cost;
mod described;
mod eliding;
mod gathered;
mod identities;
mod liveness;
mod loss;
mod metering;
mod order;
mod parting;
mod redacted;
mod spanning;
mod straight;
mod switching;
mod twins;
