//! What is reported of each reply and event, to be counted. These are too many to go through
//! [`super::Output`] as events do.

use crate::wire::opcode::OpCode;

/// Counts what goes to the servers of one ensemble, and what they send.
pub trait Meter {
    /// Requests of the operation of this number go straight, so many bytes of payload together. Others
    /// are counted by whoever sends them.
    fn asked(&mut self, number: i32, requests: u32, bytes: usize);

    /// Requests were answered.
    fn replied(&mut self, replies: Replied);

    /// One of these answers is an error.
    fn failed(&mut self, err: i32);

    /// A barrier was answered, so many microseconds after it was sent. It was reported as a reply
    /// before.
    fn led(&mut self, microseconds: u64);

    /// A watch event came, in a frame with so many bytes of payload.
    fn fired(&mut self, bytes: usize);
}

/// Answers to requests, the client's or some of zoonet's own, that were sent at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replied {
    /// What was asked for.
    pub op: OpCode,
    /// How many answers these are.
    pub replies: u32,
    /// Bytes of their payloads together.
    pub bytes: usize,
    /// Microseconds since the requests were sent.
    pub microseconds: u64,
}

/// Counts nothing.
impl Meter for () {
    fn asked(&mut self, _: i32, _: u32, _: usize) {}

    fn replied(&mut self, _: Replied) {}

    fn failed(&mut self, _: i32) {}

    fn led(&mut self, _: u64) {}

    fn fired(&mut self, _: usize) {}
}
