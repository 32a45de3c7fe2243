//! Where clients and operators connect.

use std::net::{Ipv4Addr, SocketAddr};

use serde_yaml::Spanned;

use super::super::raw::{RawListen, Text};
use super::super::{Complaint, Place, scalar};
use super::Checker;

impl Checker {
    /// The addresses of `listen` and `admin`, which must not be the same.
    pub(super) fn addresses(
        &mut self,
        allow_remote: Option<&Text>,
        listen: Option<&Spanned<RawListen>>,
        admin: Option<&Text>,
    ) -> (Vec<Place>, Option<SocketAddr>) {
        let remote = self.or(allow_remote, false, scalar::boolean);
        let local = |found: SocketAddr| {
            if remote || found.ip().to_canonical().is_loopback() {
                Ok(found)
            } else {
                Err(Complaint::Remote { found })
            }
        };
        let place = |text: &str| match scalar::place(text)? {
            Place::Tcp(address) => local(address).map(Place::Tcp),
            socket @ Place::Unix(_) => Ok(socket),
        };
        let listening = self.places(listen, place);
        let admin_address = self.optional(admin, |text| local(scalar::address(text)?));
        if let (Some(same), Some(text)) = (admin_address, admin)
            && same.port() != 0
            && listening.contains(&Place::Tcp(same))
        {
            self.blame(text.referenced, Complaint::SameAddress(same));
        }
        (listening, admin_address)
    }

    fn places(
        &mut self,
        listen: Option<&Spanned<RawListen>>,
        check: impl Fn(&str) -> Result<Place, Complaint>,
    ) -> Vec<Place> {
        let default = || vec![Place::Tcp((Ipv4Addr::LOCALHOST, 2181).into())];
        let Some(listen) = listen else {
            return default();
        };
        let written: Vec<_> = match &listen.value {
            RawListen::One(text) => vec![(text, listen.referenced)],
            RawListen::Several(list) if list.is_empty() => {
                self.blame(listen.referenced, Complaint::NoPlaces);
                return default();
            }
            RawListen::Several(list) => list.iter().map(|t| (&t.value, t.referenced)).collect(),
        };
        let mut places = Vec::new();
        for (text, at) in written {
            match check(text) {
                Ok(place) if places.contains(&place) && !any_port(&place) => {
                    let found = text.clone();
                    self.blame(at, Complaint::DuplicatePlace { found });
                }
                Ok(place) => places.push(place),
                Err(complaint) => self.blame(at, complaint),
            }
        }
        places
    }
}

/// Whether it is another one each time it is asked for.
fn any_port(place: &Place) -> bool {
    matches!(place, Place::Tcp(address) if address.port() == 0)
}
