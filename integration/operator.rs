//! What operators and strangers meet: the command line, the admin endpoints, broken frames,
//! four-letter words, what is packaged.

mod admin;
mod command_line;
mod guide;
mod health;
mod hostile;
mod logs;
mod manual;
mod metrics;
mod online;
mod packaging;
mod page;
mod service;
mod unasked;
mod words;
