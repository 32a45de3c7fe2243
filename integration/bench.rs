//! What the benches compute of what they measured, and that their suite runs; the program itself is
//! `bench/load.rs`.

mod figures;
mod goal;
mod part;
mod plot;
mod table;
mod tests;
