//! What operators and strangers meet: the command line, broken frames, four-letter words.

mod command_line;
mod hostile;
mod online;
mod unasked;
mod words;
