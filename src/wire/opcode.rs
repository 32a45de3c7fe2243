//! THE table: every operation of ZooKeeper 3.4 to 3.9, how it is ordered, where its paths and
//! Stats sit. A new operation is a new row here and a build error wherever rows are matched.

/// Which watch a request may arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arms {
    /// None.
    Nothing,
    /// One, if the flag behind its path is set.
    IfAsked,
    /// Always some.
    Always,
}

/// How an operation is ordered by its ensemble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Answered by the attached server from what it has: may be stale, needs a lead.
    Read,
    /// An update: it goes through the leader and the quorum, and leads the reads behind it.
    Ordered,
    /// A `sync`: it goes through the leader, and leads as far as a `sync` on its server does.
    Sync,
    /// Concerns the connection or the session, says nothing about znodes, leads nothing.
    Control,
}

/// What decides where a request goes; every first path starts at offset 8 of the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// The ensemble of its one path.
    Path,
    /// The ensemble of its one path, the flags of which may extend the last component.
    Created,
    /// The ensemble of its one path, unless a route lies below it.
    Deleted,
    /// The ensemble of its path and those of all routes below it.
    Subtree,
    /// The one ensemble all its operations must lie in.
    Multi,
    /// This many lists of paths from offset 16 on, split by ensemble.
    WatchLists(u8),
    /// Every ensemble on which the session may own ephemerals.
    Owned,
    /// Home: it has no path.
    Home,
    /// Every ensemble the session has a leg on.
    Everywhere,
    /// The connection itself.
    Ping,
    /// The whole session.
    Close,
    /// Nowhere: it hangs or confuses stock servers, newer ones refuse it (T47).
    Nowhere,
}

/// Where a successful reply carries znode paths, which mounts have to translate back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Echo {
    /// None, or names of children only.
    Nothing,
    /// One path at offset 16.
    Path,
    /// A vector of full paths at offset 16.
    Paths,
    /// In the results of a multi.
    Results,
}

/// Where a successful reply carries Stats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stat {
    /// None.
    Nothing,
    /// One, the last 68 bytes of the frame.
    Last,
    /// In the results of a multi.
    Results,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// The name in ZooKeeper's `ZooDefs.OpCode`.
    pub name: &'static str,
    /// How it is ordered.
    pub access: Access,
    /// What decides where it goes.
    pub target: Target,
    /// Paths in its reply.
    pub echo: Echo,
    /// Stats in its reply.
    pub stat: Stat,
    /// Watches it arms.
    pub arms: Arms,
}

macro_rules! table {
    ($($variant:ident = $number:literal, $name:literal, $since:literal, $access:ident,
        $target:expr, $echo:ident, $stat:ident, $arms:ident;)*) => {
        /// An operation of a request.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum OpCode {
            $(#[doc = concat!("`", $name, "`, since ZooKeeper ", $since, ".")] $variant,)*
            /// A number no release up to 3.9 knows. It goes home as a read: home answers −6 and
            /// closes, as it would without zoonet.
            Unknown(i32),
        }

        impl OpCode {
            /// Every operation of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The operation of this number.
            #[must_use]
            pub const fn of(number: i32) -> Self {
                match number {
                    $($number => Self::$variant,)*
                    unknown => Self::Unknown(unknown),
                }
            }

            /// The number on the wire.
            #[must_use]
            pub const fn number(self) -> i32 {
                match self {
                    $(Self::$variant => $number,)*
                    Self::Unknown(number) => number,
                }
            }

            /// Where the operation stands in [`Self::ALL`]; behind all of it for one unknown.
            #[must_use]
            pub const fn place(self) -> usize {
                enum Row { $($variant,)* }
                match self {
                    $(Self::$variant => Row::$variant as usize,)*
                    Self::Unknown(_) => Self::ALL.len(),
                }
            }

            /// The operation's row.
            #[must_use]
            pub const fn shape(self) -> Shape {
                match self {
                    $(Self::$variant => Shape {
                        name: $name,
                        access: Access::$access,
                        target: $target,
                        echo: Echo::$echo,
                        stat: Stat::$stat,
                        arms: Arms::$arms,
                    },)*
                    Self::Unknown(_) => Shape {
                        name: "unknown",
                        access: Access::Read,
                        target: Target::Home,
                        echo: Echo::Nothing,
                        stat: Stat::Nothing,
                        arms: Arms::Nothing,
                    },
                }
            }
        }
    };
}

#[rustfmt::skip]
table! {
    // operation        number  name                    since    ordered  goes to                 paths    stat     watches
    Error               =   0, "error",                "3.3",    Read,    Target::Nowhere,        Nothing, Nothing, Nothing;
    Create              =   1, "create",               "3.3",    Ordered, Target::Created,        Path,    Nothing, Nothing;
    Delete              =   2, "delete",               "3.3",    Ordered, Target::Deleted,        Nothing, Nothing, Nothing;
    Exists              =   3, "exists",               "3.3",    Read,    Target::Path,           Nothing, Last, IfAsked;
    GetData             =   4, "getData",              "3.3",    Read,    Target::Path,           Nothing, Last, IfAsked;
    SetData             =   5, "setData",              "3.3",    Ordered, Target::Path,           Nothing, Last, Nothing;
    GetAcl              =   6, "getACL",               "3.3",    Read,    Target::Path,           Nothing, Last, Nothing;
    SetAcl              =   7, "setACL",               "3.3",    Ordered, Target::Path,           Nothing, Last, Nothing;
    GetChildren         =   8, "getChildren",          "3.3",    Read,    Target::Path,           Nothing, Nothing, IfAsked;
    Sync                =   9, "sync",                 "3.3",    Sync,    Target::Path,           Path,    Nothing, Nothing;
    Ping                =  11, "ping",                 "3.3",    Control, Target::Ping,           Nothing, Nothing, Nothing;
    GetChildren2        =  12, "getChildren2",         "3.3",    Read,    Target::Path,           Nothing, Last, IfAsked;
    Check               =  13, "check",                "3.4",    Ordered, Target::Nowhere,        Nothing, Nothing, Nothing;
    Multi               =  14, "multi",                "3.4",    Ordered, Target::Multi,          Results, Results, Nothing;
    Create2             =  15, "create2",              "3.5",    Ordered, Target::Created,        Path,    Last, Nothing;
    Reconfig            =  16, "reconfig",             "3.5",    Ordered, Target::Home,           Nothing, Last, Nothing;
    CheckWatches        =  17, "checkWatches",         "3.5",    Read,    Target::Subtree,        Nothing, Nothing, Nothing;
    RemoveWatches       =  18, "removeWatches",        "3.5",    Read,    Target::Subtree,        Nothing, Nothing, Nothing;
    CreateContainer     =  19, "createContainer",      "3.5.1",  Ordered, Target::Created,        Path,    Last, Nothing;
    DeleteContainer     =  20, "deleteContainer",      "3.5.1",  Ordered, Target::Deleted,        Nothing, Nothing, Nothing;
    CreateTtl           =  21, "createTTL",            "3.5.3",  Ordered, Target::Created,        Path,    Last, Nothing;
    MultiRead           =  22, "multiRead",            "3.6",    Read,    Target::Multi,          Results, Results, Nothing;
    Auth                = 100, "auth",                 "3.3",    Control, Target::Everywhere,     Nothing, Nothing, Nothing;
    SetWatches          = 101, "setWatches",           "3.3",    Read,    Target::WatchLists(3),  Nothing, Nothing, Always;
    Sasl                = 102, "sasl",                 "3.4",    Control, Target::Home,           Nothing, Nothing, Nothing;
    GetEphemerals       = 103, "getEphemerals",        "3.6",    Read,    Target::Owned,          Paths,   Nothing, Nothing;
    GetAllChildrenNumber= 104, "getAllChildrenNumber", "3.6",    Read,    Target::Subtree,        Nothing, Nothing, Nothing;
    SetWatches2         = 105, "setWatches2",          "3.6",    Read,    Target::WatchLists(5),  Nothing, Nothing, Always;
    AddWatch            = 106, "addWatch",             "3.6",    Read,    Target::Subtree,        Nothing, Nothing, Always;
    WhoAmI              = 107, "whoAmI",               "3.7",    Read,    Target::Home,           Nothing, Nothing, Nothing;
    CreateSession       = -10, "createSession",        "3.3",    Control, Target::Nowhere,        Nothing, Nothing, Nothing;
    CloseSession        = -11, "closeSession",         "3.3",    Ordered, Target::Close,          Nothing, Nothing, Nothing;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_operations_are_one_to_one() {
        for op in OpCode::ALL {
            assert_eq!(OpCode::of(op.number()), *op);
        }
        assert_eq!(OpCode::of(10), OpCode::Unknown(10));
        assert_eq!(OpCode::Unknown(10).number(), 10);
    }

    #[test]
    fn each_operation_knows_its_place() {
        for (place, op) in OpCode::ALL.iter().enumerate() {
            assert_eq!(op.place(), place);
        }
        assert_eq!(OpCode::Unknown(1).place(), OpCode::ALL.len());
    }

    #[test]
    fn names_are_zookeepers_and_distinct() {
        let mut names: Vec<_> = OpCode::ALL.iter().map(|op| op.shape().name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), OpCode::ALL.len());
    }

    #[test]
    fn an_unknown_operation_is_homes_and_a_read() {
        let shape = OpCode::Unknown(4711).shape();
        assert_eq!((shape.access, shape.target), (Access::Read, Target::Home));
    }
}
