//! What is reported of each reply and event, to be counted. These are too many to go through
//! [`super::Output`] as events do.

use crate::wire::opcode::OpCode;

/// Counts what goes to the servers of one ensemble, and what they send.
pub trait Meter {
    /// A request goes out: its payload.
    fn asked(&mut self, payload: &[u8]);

    /// A request was answered.
    fn replied(&mut self, reply: Replied);

    /// A barrier was answered, so many microseconds after it was sent. It was reported as a reply
    /// before.
    fn led(&mut self, microseconds: u64);

    /// A watch event came, in a frame with so many bytes of payload.
    fn fired(&mut self, bytes: usize);
}

/// An answer to a request, the client's or one of zoonet's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replied {
    /// What was asked for.
    pub op: OpCode,
    /// The error it was answered with; 0 for none.
    pub err: i32,
    /// Bytes of the reply's payload.
    pub bytes: usize,
    /// Microseconds since the request was sent.
    pub microseconds: u64,
}

/// Counts nothing.
impl Meter for () {
    fn asked(&mut self, _: &[u8]) {}

    fn replied(&mut self, _: Replied) {}

    fn led(&mut self, _: u64) {}

    fn fired(&mut self, _: usize) {}
}
