//! The operations of a multi or multiRead, looked at in place.

use std::ops::Range;

use super::WireFault;
use super::jute::Reader;
use super::opcode::OpCode;
use super::request::{EPHEMERAL, SEQUENTIAL, create_flags};

/// One operation of a multi.
#[expect(
    clippy::struct_excessive_bools,
    reason = "two independent create flags"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<'a> {
    /// What it does.
    pub op: OpCode,
    /// Its path; `None` is null.
    pub path: Option<&'a [u8]>,
    /// Whether its name gets a sequence number.
    pub sequential: bool,
    /// Whether it creates an ephemeral.
    pub ephemeral: bool,
    /// Where its header stands in the payload.
    pub header: usize,
    /// Its record in the payload, path first.
    pub record: Range<usize>,
}

/// The operations of a multi or multiRead, in order. After a fault it is over.
#[derive(Clone, Debug)]
pub struct Operations<'a> {
    payload: &'a [u8],
    at: usize,
    done: bool,
}

impl<'a> Operations<'a> {
    /// The operations of a payload, which start at `offset`.
    pub(super) const fn new(payload: &'a [u8], offset: usize) -> Self {
        Self {
            payload,
            at: offset,
            done: false,
        }
    }

    fn read(&mut self) -> Result<Option<Operation<'a>>, WireFault> {
        let header = self.at;
        let mut reader = Reader::from(self.payload, header);
        let number = reader.int("operation of a multi")?;
        let done = reader.bool("end of a multi")?;
        reader.int("error of a multi")?;
        if done {
            return Ok(None);
        }
        let start = reader.position();
        let path = reader.clone().buffer("path")?;
        let op = OpCode::of(number);
        let mut flags = 0;
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "a multi knows these kinds only"
        )]
        match op {
            OpCode::Create | OpCode::Create2 | OpCode::CreateContainer => {
                flags = create_flags(&mut reader)?;
            }
            OpCode::CreateTtl => {
                flags = create_flags(&mut reader)?;
                reader.long("ttl")?;
            }
            OpCode::Delete | OpCode::Check => {
                reader.buffer("path")?;
                reader.int("version")?;
            }
            OpCode::SetData => {
                reader.buffer("path")?;
                reader.buffer("data")?;
                reader.int("version")?;
            }
            OpCode::GetData | OpCode::GetChildren => {
                reader.buffer("path")?;
                reader.bool("watch")?;
            }
            _ => {
                return Err(WireFault::MultiOperation {
                    number,
                    offset: header,
                });
            }
        }
        self.at = reader.position();
        Ok(Some(Operation {
            op,
            path,
            sequential: SEQUENTIAL.contains(&flags),
            ephemeral: EPHEMERAL.contains(&flags),
            header,
            record: start..self.at,
        }))
    }
}

impl<'a> Iterator for Operations<'a> {
    type Item = Result<Operation<'a>, WireFault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let item = self.read();
        self.done = !matches!(item, Ok(Some(_)));
        item.transpose()
    }
}
