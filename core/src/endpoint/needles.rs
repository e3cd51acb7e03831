//! The secrets of an endpoint as text, for tests that look whether one leaks.

use super::{Endpoint, Secrets};
use crate::crypto::keys::HostSecrets;
use crate::peer::engine::Engine;
use crate::session::link::LinkUser;

impl<M: LinkUser, E: Engine> Endpoint<M, E> {
    /// The secrets as text: for leak tests.
    pub fn needles(&self) -> Vec<String> {
        let mut needles = match &self.keys.secrets {
            Secrets::Host(secrets) => secrets.needles(),
            Secrets::Viewer(invite) => invite.needles(),
        };
        needles.extend(self.keys.earlier.iter().flat_map(HostSecrets::needles));
        let confirming = self.links.values().filter_map(|link| link.live.as_ref()?.state.confirming());
        needles.extend(confirming.map(|confirming| confirming.keys.needle()));
        needles.extend(self.keys.kept.values().map(|psk| data_encoding::HEXLOWER.encode(&psk.0)));
        needles
    }
}
