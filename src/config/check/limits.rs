//! What clients may take up.

use super::super::raw::RawConfig;
use super::super::{Complaint, Limits, scalar};
use super::Checker;

impl Checker {
    /// The bounds, each with its default.
    pub(super) fn limits(&mut self, raw: &RawConfig) -> Limits {
        let limits = Limits {
            // ZooKeeper's own default for jute.maxbuffer.
            frame_limit: self.or(raw.frame_limit.as_ref(), 0xf_ffff, scalar::frame_limit),
            // Servers do not bound theirs by jute.maxbuffer (T44), so this is far above it.
            reply_limit: self.or(raw.reply_limit.as_ref(), 64 << 20, scalar::reply_limit),
            look_ahead: self.or(raw.look_ahead.as_ref(), 1 << 20, scalar::look_ahead),
            outstanding: self.or(raw.outstanding.as_ref(), 1000, scalar::count),
            connections: self.or(raw.max_connections.as_ref(), 4096, scalar::count),
            // ZooKeeper's own default for maxClientCnxns.
            connections_per_client: self.or(
                raw.max_connections_per_client.as_ref(),
                60,
                scalar::count,
            ),
        };
        let larger = raw.reply_limit.as_ref().or(raw.frame_limit.as_ref());
        if limits.reply_limit < limits.frame_limit
            && let Some(text) = larger
        {
            let complaint = Complaint::ReplyLimit {
                reply: limits.reply_limit,
                frame: limits.frame_limit,
            };
            self.blame(text.referenced, complaint);
        }
        limits
    }
}
