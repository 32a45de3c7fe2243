//! What operators and strangers meet: the command line, the admin endpoints, broken frames,
//! four-letter words.

mod admin;
mod command_line;
mod hostile;
mod metrics;
mod online;
mod page;
mod unasked;
mod words;
