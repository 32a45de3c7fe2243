//! What each operation's request and reply are made of, written down once more and read with a
//! cursor of its own: a mistake in zoonet's parsers must not be one of the judge's as well.

/// One field of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// A string that is there.
    Text,
    /// Bytes, or null.
    Data,
    Int,
    Long,
    Bool,
    /// A vector of permissions, scheme, id.
    Acl,
    /// A vector of strings.
    Texts,
    /// A vector of scheme, user.
    Users,
    /// 68 bytes.
    Stat,
    /// The operations of a multi, with their terminator.
    Operations,
    /// The results of a multi, with their terminator.
    Results,
}

use Field::{Acl, Bool, Data, Int, Long, Operations, Results, Stat, Text, Texts, Users};

/// Bytes of a reply's header: xid, zxid, error.
pub(crate) const REPLY_HEADER: usize = 16;

/// Bytes of a Stat.
pub(crate) const STAT: usize = 68;

/// Numbers of operations the harness itself has to know.
pub(crate) mod number {
    pub(crate) const SYNC: i32 = 9;
    pub(crate) const PING: i32 = 11;
    pub(crate) const MULTI: i32 = 14;
    pub(crate) const MULTI_READ: i32 = 22;
    pub(crate) const AUTH: i32 = 100;
    pub(crate) const CLOSE: i32 = -11;
    pub(crate) const GET_DATA: i32 = 4;

    /// What makes a znode under a name of its own or one that the server makes longer.
    pub(crate) const CREATES: [i32; 4] = [1, 15, 19, 21];

    /// What is about no more than the path it starts with, and deletes nothing.
    pub(crate) const OF_ONE_PATH: [i32; 12] = [1, 3, 4, 5, 6, 7, 8, 9, 12, 15, 19, 21];
}

/// Every operation of ZooKeeper 3.4 to 3.9.
pub(crate) const OPERATIONS: [i32; 32] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 100, 101, 102,
    103, 104, 105, 106, 107, -10, -11,
];

/// The record of a request behind its header; `None` where no release knows the operation.
pub(crate) const fn request(operation: i32) -> Option<&'static [Field]> {
    Some(match operation {
        0 | 11 | 107 | -10 | -11 => &[],
        1 | 15 | 19 => &[Text, Data, Acl, Int],
        21 => &[Text, Data, Acl, Int, Long],
        2 | 13 | 17 | 18 | 106 => &[Text, Int],
        3 | 4 | 8 | 12 => &[Text, Bool],
        5 => &[Text, Data, Int],
        6 | 9 | 20 | 103 | 104 => &[Text],
        7 => &[Text, Acl, Int],
        14 | 22 => &[Operations],
        16 => &[Data, Data, Data, Long],
        100 => &[Int, Text, Data],
        101 => &[Long, Texts, Texts, Texts],
        105 => &[Long, Texts, Texts, Texts, Texts, Texts],
        102 => &[Data],
        _ => return None,
    })
}

/// The record of a successful reply behind its header.
pub(crate) const fn reply(operation: i32) -> Option<&'static [Field]> {
    Some(match operation {
        2 | 11 | 13 | 17 | 18 | 20 | 100 | 101 | 105 | -11 => &[],
        1 | 9 => &[Text],
        15 | 19 | 21 => &[Text, Stat],
        3 | 5 | 7 => &[Stat],
        4 | 16 => &[Data, Stat],
        6 => &[Acl, Stat],
        8 | 103 => &[Texts],
        12 => &[Texts, Stat],
        14 | 22 => &[Results],
        102 => &[Data],
        104 | 106 => &[Int],
        107 => &[Users],
        _ => return None,
    })
}

/// The record of one operation of a multi or multiRead.
const fn operation_of_multi(operation: i32) -> Option<&'static [Field]> {
    match operation {
        1 | 2 | 4 | 5 | 8 | 13 | 15 | 19 | 21 => request(operation),
        _ => None,
    }
}

/// The record of one result of a multi or multiRead; −1 is a failure.
const fn result_of_multi(operation: i32) -> Option<&'static [Field]> {
    match operation {
        -1 => Some(&[Int]),
        1 | 2 | 4 | 5 | 8 | 13 | 15 => reply(operation),
        _ => None,
    }
}

/// Reads off the front of some bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn int(&mut self) -> Option<i32> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(i32::from_be_bytes(*number))
    }

    pub(crate) fn long(&mut self) -> Option<i64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(i64::from_be_bytes(*number))
    }

    fn flag(&mut self) -> Option<bool> {
        self.take(1).map(|byte| byte != [0])
    }

    /// Bytes, or null.
    pub(crate) fn data(&mut self) -> Option<Option<&'a [u8]>> {
        match self.int()? {
            -1 => Some(None),
            length => self.take(usize::try_from(length).ok()?).map(Some),
        }
    }

    pub(crate) fn text(&mut self) -> Option<&'a [u8]> {
        self.data()?
    }

    /// As many items as the count in front of them says.
    fn vector(&mut self, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        for _ in 0..u32::try_from(self.int()?).ok()? {
            item(self)?;
        }
        Some(())
    }

    fn field(&mut self, field: Field) -> Option<()> {
        match field {
            Text => self.text().map(drop),
            Data => self.data().map(drop),
            Int => self.int().map(drop),
            Long => self.long().map(drop),
            Bool => self.flag().map(drop),
            Stat => self.take(STAT).map(drop),
            Texts => self.vector(|cursor| cursor.text().map(drop)),
            Users => self.vector(|cursor| cursor.text().and_then(|_| cursor.text()).map(drop)),
            Acl => self.vector(|cursor| {
                cursor.int()?;
                cursor.text().and_then(|_| cursor.text()).map(drop)
            }),
            Operations => self.entries(operation_of_multi).map(drop),
            Results => self.entries(result_of_multi).map(drop),
        }
    }

    /// The kinds of the operations or results of a multi.
    pub(crate) fn entries(
        &mut self,
        record: fn(i32) -> Option<&'static [Field]>,
    ) -> Option<Vec<i32>> {
        let mut kinds = Vec::new();
        loop {
            let (kind, done) = (self.int()?, self.flag()?);
            self.int()?;
            if done {
                return (kind == -1).then_some(kinds);
            }
            for field in record(kind)? {
                self.field(*field)?;
            }
            kinds.push(kind);
        }
    }

    fn record(mut self, fields: &[Field]) -> bool {
        fields.iter().all(|field| self.field(*field).is_some()) && self.0.is_empty()
    }
}

/// The kinds of the operations of a multi's request.
pub(crate) fn operations(payload: &[u8]) -> Option<Vec<i32>> {
    Cursor(payload.get(8..)?).entries(operation_of_multi)
}

/// Whether a payload is a whole request and nothing more.
pub(crate) fn is_request(payload: &[u8]) -> bool {
    let mut cursor = Cursor(payload);
    let (Some(_), Some(operation)) = (cursor.int(), cursor.int()) else {
        return false;
    };
    request(operation).is_some_and(|fields| cursor.record(fields))
}

/// Whether a payload is a whole reply to the operation and nothing more.
pub(crate) fn is_reply(operation: i32, payload: &[u8]) -> bool {
    let Some((_, err)) = reply_header(payload) else {
        return false;
    };
    let record = Cursor(payload.get(REPLY_HEADER..).unwrap_or_default());
    if err == 0 {
        reply(operation).is_some_and(|fields| record.record(fields))
    } else {
        record.0.is_empty()
    }
}

/// Whether a payload is a whole watch event and nothing more.
pub(crate) fn is_event(payload: &[u8]) -> bool {
    let record = Cursor(payload.get(REPLY_HEADER..).unwrap_or_default());
    reply_header(payload).is_some() && record.record(&[Int, Int, Text])
}

/// The zxid and the error of a reply's header.
pub(crate) fn reply_header(payload: &[u8]) -> Option<(i64, i32)> {
    let mut cursor = Cursor(payload);
    cursor.int()?;
    Some((cursor.long()?, cursor.int()?))
}

/// The payload of a frame whose length is right.
pub(crate) fn payload(frame: &[u8]) -> Option<&[u8]> {
    let mut cursor = Cursor(frame);
    let length = usize::try_from(cursor.int()?).ok()?;
    (cursor.0.len() == length).then_some(cursor.0)
}

#[cfg(test)]
mod tests;
