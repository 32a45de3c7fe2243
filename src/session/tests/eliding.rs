//! `elide_barriers`: when a read after a switch goes out without a barrier, and when it must not.

use super::super::*;
use super::bed::*;
use crate::wire::Xid;
use crate::wire::code;
use crate::wire::jute::Writer;
use crate::wire::request;

/// A session that has read on both sides, each behind a lead; it is at home. Either side was at 50 when
/// the other's lead went out.
fn bed(by: Shown) -> Bed {
    let mut settings = settings();
    for policy in &mut settings.policies {
        policy.elide_barriers = Some(by);
    }
    let mut bed = Bed::with(settings, Origin::New);
    bed.open_leg();
    for (path, ensemble, zxid) in [("/x", HOME, 10), ("/eu/x", EU, 10), ("/x", HOME, 10)] {
        if let Some(barrier) = bed.read(1, path, ensemble) {
            bed.answer(ensemble, barrier, 50, 0);
        }
        bed.shows(1, ensemble, zxid, 50);
    }
    bed
}

impl Bed {
    /// A read goes out: its barrier, if there is one.
    fn read(&mut self, xid: i32, path: &str, ensemble: EnsembleId) -> Option<Xid> {
        let out = self.get(xid, path);
        assert_eq!(out.last(), Some(&sent(ensemble, xid, OpCode::GetData)));
        (out.len() == 2).then(|| own(&out, 0))
    }

    /// It is answered with a znode that was last changed at `zxid`, by a server that is at `header`.
    fn shows(&mut self, xid: i32, ensemble: EnsembleId, zxid: i64, header: i64) {
        let body = Writer::default().buffer(Some(b"data"));
        let stat = stat(zxid, 0);
        let frame = body.raw(&stat).finish();
        let out = self.answer_body(ensemble, xid, header, &frame[4..]);
        assert!(matches!(out[..], [Out::Reply(_, _, code::OK)]), "{out:?}");
    }

    /// Whether a read of the ensemble that is switched to goes out without a barrier. It is answered
    /// with what the client knows.
    fn elides(&mut self, path: &str, ensemble: EnsembleId) -> bool {
        let barrier = self.read(77, path, ensemble);
        if let Some(barrier) = barrier {
            self.answer(ensemble, barrier, 50, 0);
        }
        self.shows(77, ensemble, 5, 50);
        barrier.is_none()
    }
}

/// A Stat whose data was changed last, and whose ACL so often.
fn stat(modified: i64, acl_version: i32) -> Vec<u8> {
    let start = Writer::default().long(1).long(modified).long(0).long(0);
    let versions = start.int(3).int(0).int(acl_version).long(0);
    versions.int(4).int(0).long(2).finish()[4..].to_vec()
}

#[test]
fn looking_to_and_fro_between_what_does_not_change_costs_no_barrier() {
    for by in [Shown::Stat, Shown::Header] {
        let mut bed = bed(by);
        for _ in 0..3 {
            assert!(bed.elides("/eu/x", EU));
            assert!(bed.elides("/x", HOME));
        }
        let elided = |event: &&Event| matches!(event, Event::BarrierElided { .. });
        assert_eq!(bed.events.iter().filter(elided).count(), 6);
    }
}

#[test]
fn it_is_off_unless_it_is_asked_for() {
    let mut bed = Bed::with_leg();
    for _ in 0..3 {
        assert!(!bed.elides("/x", HOME));
        assert!(!bed.elides("/eu/x", EU));
    }
}

#[test]
fn it_is_asked_for_by_ensemble() {
    let mut settings = settings();
    settings.policies[EU.index()].elide_barriers = Some(Shown::Stat);
    let mut bed = Bed::with(settings, Origin::New);
    bed.open_leg();
    bed.elides("/x", HOME);
    bed.elides("/eu/x", EU);
    assert!(!bed.elides("/x", HOME));
    assert!(bed.elides("/eu/x", EU));
}

#[test]
fn what_was_changed_since_the_lead_needs_another() {
    let mut bed = bed(Shown::Stat);
    // Home says something eu's lead does not cover.
    bed.read(1, "/x", HOME);
    bed.shows(1, HOME, 55, 60);
    assert!(!bed.elides("/eu/x", EU));
    // Eu said nothing new, and its new lead covers what home had said.
    assert!(bed.elides("/x", HOME));
    assert!(bed.elides("/eu/x", EU));
}

/// It was there when the lead was sent, though the client had not looked.
#[test]
fn what_is_read_for_the_first_time_and_was_changed_before_is_no_news() {
    for (changed, elided) in [(49, true), (50, true), (51, false)] {
        let mut bed = bed(Shown::Stat);
        bed.read(1, "/unread", HOME);
        bed.shows(1, HOME, changed, 60);
        assert_eq!(bed.elides("/eu/x", EU), elided, "{changed}");
    }
}

/// Home is at 60 by the answer to a barrier of its own, and eu's next lead goes out behind that.
#[test]
fn what_is_told_to_zoonet_itself_counts_as_well() {
    let mut bed = bed(Shown::Stat);
    bed.read(1, "/eu/x", EU);
    bed.shows(1, EU, 55, 60);
    let barrier = bed.read(2, "/x", HOME).unwrap();
    bed.answer(HOME, barrier, 60, 0);
    bed.shows(2, HOME, 55, 55);
    let barrier = bed.read(3, "/eu/x", EU).unwrap();
    bed.answer(EU, barrier, 60, 0);
    bed.shows(3, EU, 55, 60);
    bed.read(4, "/x", HOME);
    bed.shows(4, HOME, 60, 60);
    assert!(bed.elides("/eu/x", EU));
}

#[test]
fn a_transaction_elsewhere_is_news_by_header_and_not_by_stat() {
    for (by, elided) in [(Shown::Stat, true), (Shown::Header, false)] {
        let mut bed = bed(by);
        bed.read(1, "/x", HOME);
        bed.shows(1, HOME, 10, 60);
        assert_eq!(bed.elides("/eu/x", EU), elided);
    }
}

#[test]
fn replies_that_do_not_tell_when_a_znode_was_changed_count_by_their_header() {
    let body = |stat: &[u8]| Writer::default().buffer(None).raw(stat).finish()[4..].to_vec();
    let cases: [(OpCode, Vec<u8>, bool); 6] = [
        (OpCode::GetData, body(&stat(10, 0)), true),
        (OpCode::Exists, stat(10, 0), true),
        // An ACL was set, and no zxid tells when.
        (OpCode::GetData, body(&stat(10, 1)), false),
        (
            OpCode::GetAcl,
            Writer::default().count(0).raw(&stat(10, 0)).finish()[4..].to_vec(),
            false,
        ),
        (
            OpCode::GetChildren,
            Writer::default().count(0).finish()[4..].to_vec(),
            false,
        ),
        (
            OpCode::GetChildren2,
            Writer::default().count(0).raw(&stat(10, 0)).finish()[4..].to_vec(),
            true,
        ),
    ];
    for (op, body, elided) in cases {
        let mut bed = bed(Shown::Stat);
        bed.op(1, op, "/x", &[0]);
        bed.answer_body(HOME, 1, 60, &body);
        assert_eq!(bed.elides("/eu/x", EU), elided, "{op:?}");
    }
    let mut bed = bed(Shown::Stat);
    bed.get(1, "/missing");
    bed.answer(HOME, Xid(1), 60, code::NO_NODE);
    assert!(
        !bed.elides("/eu/x", EU),
        "what is not there may just have gone"
    );
}

#[test]
fn the_clients_own_update_elsewhere_is_news() {
    for err in [code::OK, code::NO_NODE] {
        // Whatever the header says.
        for zxid in [40, 61] {
            let mut bed = bed(Shown::Stat);
            bed.set(1, "/x");
            bed.answer(HOME, Xid(1), zxid, err);
            assert!(!bed.elides("/eu/x", EU));
        }
    }
}

#[test]
fn a_sync_of_the_clients_own_elsewhere_is_news() {
    let mut bed = bed(Shown::Stat);
    bed.op(1, OpCode::Sync, "/x", &[]);
    bed.answer(HOME, Xid(1), 50, 0);
    assert!(!bed.elides("/eu/x", EU));
}

#[test]
fn an_event_from_elsewhere_is_news() {
    let mut bed = bed(Shown::Stat);
    assert!(bed.elides("/eu/x", EU));
    event(&mut bed, HOME);
    assert!(
        bed.elides("/x", HOME),
        "home's own event tells nothing of eu"
    );
    assert!(!bed.elides("/eu/x", EU));
}

#[test]
fn an_event_between_a_lead_and_its_answer_is_news() {
    let mut bed = bed(Shown::Stat);
    bed.read(1, "/x", HOME);
    bed.shows(1, HOME, 55, 60);
    let barrier = bed.read(2, "/eu/x", EU).unwrap();
    event(&mut bed, HOME);
    bed.answer(EU, barrier, 50, 0);
    bed.shows(2, EU, 5, 50);
    bed.elides("/x", HOME);
    assert!(!bed.elides("/eu/x", EU));
}

fn event(bed: &mut Bed, from: EnsembleId) {
    let header = Writer::default().int(-1).long(-1).int(0);
    bed.leg(from, &header.int(3).int(3).buffer(Some(b"/x")).finish());
}

#[test]
fn a_lead_is_of_one_connection() {
    let mut bed = bed(Shown::Stat);
    bed.lost(EU);
    bed.pass_to(6_000);
    bed.up();
    assert!(!bed.elides("/eu/x", EU));
}

/// An ensemble may have been put back to a backup meanwhile, where zxids begin anew.
#[test]
fn no_lead_covers_what_comes_by_another_connection() {
    let mut bed = bed(Shown::Stat);
    assert!(bed.elides("/eu/x", EU));
    bed.lost(EU);
    bed.pass_to(6_000);
    bed.up();
    assert!(!bed.elides("/eu/x", EU));
    assert!(!bed.elides("/x", HOME));
    assert!(bed.elides("/eu/x", EU));
    assert!(bed.elides("/x", HOME));
}

#[test]
fn a_barrier_that_failed_covers_nothing() {
    let mut bed = bed(Shown::Stat);
    bed.read(1, "/x", HOME);
    bed.shows(1, HOME, 55, 60);
    let barrier = bed.read(2, "/eu/x", EU).unwrap();
    bed.answer(EU, barrier, 50, code::THROTTLED_OP);
    bed.answer(EU, Xid(2), 50, code::NO_NODE);
    bed.elides("/x", HOME);
    assert!(!bed.elides("/eu/x", EU));
}

#[test]
fn pings_show_nothing_and_lead_nothing() {
    let mut bed = bed(Shown::Header);
    bed.client(&request::ping());
    bed.answer(HOME, Xid::PING, 70, 0);
    assert!(
        bed.elides("/eu/x", EU),
        "the client learned nothing of home"
    );
    bed.read(1, "/eu/x", EU);
    bed.shows(1, EU, 12, 62);
    let until = bed.milliseconds() + 4_000;
    let out = bed.pass_to(until);
    assert!(
        out.contains(&Out::Leg(EU, Xid::PING, OpCode::Ping)),
        "{out:?}"
    );
    bed.answer(EU, Xid::PING, 80, 0);
    // Home has answered a ping since, which is no lead there.
    bed.client(&request::ping());
    bed.answer(HOME, Xid::PING, 80, 0);
    assert!(!bed.elides("/x", HOME));
}

#[test]
fn reads_behind_an_elided_barrier_need_none_either() {
    let mut bed = bed(Shown::Stat);
    assert_eq!(bed.get(1, "/eu/x"), [sent(EU, 1, OpCode::GetData)]);
    assert_eq!(bed.get(2, "/eu/y"), [sent(EU, 2, OpCode::GetData)]);
    bed.shows(1, EU, 5, 50);
    bed.shows(2, EU, 5, 50);
}

#[test]
fn a_reload_starts_anew() {
    let mut bed = bed(Shown::Stat);
    let again = bed.session.settings.as_ref().clone();
    bed.session.reload(Arc::new(again), bed.now);
    bed.drain();
    assert!(!bed.elides("/eu/x", EU));
}

/// `DataTree.updateQuotaStat` changes data without a change of the Stat.
#[test]
fn what_zookeeper_keeps_for_itself_is_always_news() {
    let mut bed = bed(Shown::Stat);
    bed.read(1, "/zookeeper/quota/x/zookeeper_stats", HOME);
    bed.shows(1, HOME, 5, 60);
    assert!(!bed.elides("/eu/x", EU));
}

/// ... however many are asked for at once.
#[test]
fn what_zookeeper_keeps_for_itself_is_news_among_many() {
    for (path, news) in [("/zookeeper/quota/x", true), ("/x/quota/x", false)] {
        let mut bed = bed(Shown::Stat);
        assert!(bed.elides("/x/y", HOME));
        let frames: Vec<u8> = (1..=5)
            .flat_map(|xid| request::of_path(Xid(xid), OpCode::GetData, path.as_bytes(), &[0]))
            .collect();
        let stretch = bed.session.straight_requests(&frames, bed.now, &mut ());
        assert_eq!(stretch.frames, 5);
        for xid in 1..=5 {
            bed.shows(xid, HOME, 5, 60);
        }
        assert_eq!(bed.elides("/eu/x", EU), !news, "{path}");
    }
}

/// ... nor for the update behind it.
#[test]
fn an_update_in_flight_is_not_taken_for_the_one_behind_it() {
    let mut bed = bed(Shown::Stat);
    bed.set(1, "/eu/x");
    bed.set(2, "/eu/x");
    bed.answer(EU, Xid(1), 0, -102);
    event(&mut bed, HOME);
    bed.set(3, "/eu/x");
    bed.answer(EU, Xid(2), 51, 0);
    bed.answer(EU, Xid(3), 0, -102);
    bed.elides("/x", HOME);
    assert!(!bed.elides("/eu/x", EU));
}

/// What one ensemble's barriers depend on is its own setting, whatever that of others is.
#[test]
fn headers_count_where_they_are_to() {
    let mut bed = bed(Shown::Stat);
    let mut settings = bed.session.settings.as_ref().clone();
    settings.policies[HOME.index()].elide_barriers = Some(Shown::Header);
    bed.session.reload(Arc::new(settings), bed.now);
    bed.drain();
    for _ in 0..2 {
        bed.elides("/eu/x", EU);
        bed.elides("/x", HOME);
    }
    bed.read(1, "/x", HOME);
    bed.shows(1, HOME, 10, 60);
    assert!(bed.elides("/eu/x", EU));
    bed.read(2, "/eu/x", EU);
    bed.shows(2, EU, 10, 60);
    assert!(!bed.elides("/x", HOME));
}

/// What is about no znode tells nothing.
#[test]
fn credentials_that_are_taken_are_no_news() {
    let mut bed = bed(Shown::Header);
    bed.client(&request::auth(Xid::AUTH, "digest", b"a:b"));
    for ensemble in [HOME, EU] {
        bed.answer(ensemble, Xid::AUTH, 60, 0);
    }
    assert!(bed.elides("/eu/x", EU));
}

/// An update that was sent before an event does not lead what was learned by it.
#[test]
fn an_update_in_flight_is_not_taken_for_the_barrier_behind_it() {
    let mut bed = bed(Shown::Stat);
    bed.read(1, "/x", HOME);
    bed.shows(1, HOME, 55, 60);
    bed.set(2, "/eu/x");
    bed.set(3, "/eu/x");
    event(&mut bed, HOME);
    bed.answer(EU, Xid(2), 50, code::THROTTLED_OP);
    let barrier = bed.read(4, "/eu/x", EU).unwrap();
    bed.answer(EU, Xid(3), 61, 0);
    bed.answer(EU, barrier, 61, code::THROTTLED_OP);
    bed.shows(4, EU, 61, 61);
    bed.elides("/x", HOME);
    assert!(!bed.elides("/eu/x", EU));
}
