//! What operators and strangers meet: the command line, broken frames, four-letter words, what is
//! packaged.

mod command_line;
mod guide;
mod hostile;
mod manual;
mod packaging;
mod unasked;
mod words;
