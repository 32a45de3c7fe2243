//! multi and multiRead: all in one ensemble, or refused as every client survives it.

use super::super::gather::{Gather, Merge};
use super::{Part, Plan, Planner};
use crate::route::{RouteMap, Rule};
use crate::wire::jute::Writer;
use crate::wire::multi::Operation;
use crate::wire::opcode::{OpCode, Target};
use crate::wire::request::Request;
use crate::wire::{Xid, Zxid, code, reply};

impl Planner<'_> {
    pub(super) fn multi(&mut self, request: &Request<'_>) -> Plan {
        let routes = &self.settings.routes;
        let mut first: Option<&Rule> = None;
        let mut rewritten = false;
        let mut hidden = Vec::new();
        for (index, operation) in request.operations().enumerate() {
            // What cannot be read is home's to refuse (T40).
            let Ok(Operation {
                path: Some(path),
                op,
                sequential,
                ..
            }) = operation
            else {
                return Plan::Through(routes.home());
            };
            self.touched.note(path);
            let rule = if sequential {
                routes.route_sequential(path)
            } else {
                routes.route(path)
            };
            if op == OpCode::Delete && self.holds_routes(path) {
                return refuse_multi(request, index, code::NOT_EMPTY);
            }
            if first.get_or_insert(rule).ensemble() != rule.ensemble() {
                return refuse_multi(request, index, code::BAD_ARGUMENTS);
            }
            rewritten |= !rule.is_identity();
            if op == OpCode::GetData && self.hides(rule, path) {
                hidden.push(u16::try_from(index).unwrap_or(u16::MAX));
            }
        }
        let to = first.map_or_else(|| routes.home(), Rule::ensemble);
        let frame = |rewritten| {
            if rewritten {
                rename_operations(request, routes)
            } else {
                request.frame()
            }
        };
        match (hidden.is_empty(), rewritten) {
            (true, false) => Plan::Through(to),
            (true, true) => Plan::Rewritten(to, frame(true)),
            (false, rewritten) => {
                let part = Part {
                    to,
                    part: 0,
                    op: request.op,
                    frame: frame(rewritten),
                };
                Plan::Parts(vec![part], Gather::new(Merge::HideResults(hidden), 1))
            }
        }
    }
}

/// Refuses a multi for its operation at `failed`; those before it were not applied either.
fn refuse_multi(request: &Request<'_>, failed: usize, err: i32) -> Plan {
    let before = if request.op == OpCode::Multi {
        code::OK
    } else {
        code::RUNTIME_INCONSISTENCY
    };
    let codes: Vec<i32> = request
        .operations()
        .enumerate()
        .map(|(index, _)| match index.cmp(&failed) {
            std::cmp::Ordering::Less => before,
            std::cmp::Ordering::Equal => err,
            std::cmp::Ordering::Greater => code::RUNTIME_INCONSISTENCY,
        })
        .collect();
    Plan::Answer(reply::failed_multi(request.xid, &codes), err)
}

/// A multi with the ensemble's names for its paths. All its operations have been read before.
fn rename_operations(request: &Request<'_>, routes: &RouteMap) -> Vec<u8> {
    let payload = request.payload;
    let mut writer = Writer::with_capacity(payload.len() + 64);
    let mut from = 0;
    for operation in request.operations().flatten() {
        let Operation {
            path: Some(path),
            sequential,
            record,
            ..
        } = operation
        else {
            continue;
        };
        let real = if sequential {
            routes.route_sequential(path).to_real_sequential(path)
        } else {
            routes.route(path).to_real(path)
        };
        writer = writer
            .raw(payload.get(from..record.start).unwrap_or_default())
            .buffer(Some(&real));
        from = record.start + 4 + path.len();
    }
    writer.raw(payload.get(from..).unwrap_or_default()).finish()
}

/// The reply to a request whose outcome is not known, or that cannot go out, as every client
/// survives it: a multi is answered per operation (protocol.md 3, 8).
pub(in crate::session) fn failure(xid: Xid, op: OpCode, operations: u16, err: i32) -> Vec<u8> {
    if op.shape().target != Target::Multi {
        return reply::header_only(xid, Zxid::NONE, err);
    }
    // What was to be read one by one failed one by one.
    let behind = if op == OpCode::Multi {
        code::RUNTIME_INCONSISTENCY
    } else {
        err
    };
    let codes: Vec<i32> = (0..operations)
        .map(|index| if index == 0 { err } else { behind })
        .collect();
    reply::failed_multi(xid, &codes)
}

/// How many operations a multi has; 0 for any other request.
pub(in crate::session) fn operations(request: &Request<'_>) -> u16 {
    if request.op.shape().target != Target::Multi {
        return 0;
    }
    u16::try_from(request.operations().count()).unwrap_or(u16::MAX)
}
