//! Envelopes: from a machine's words to what the rendezvous carries, and back.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::crypto::channel::SealError;
use crate::crypto::keys::{HostSecrets, Psk};
use crate::crypto::noise::{Initiator, Prologue, Responder};
use crate::id::LinkId;
use crate::peer::engine::{Carrier, Engine};
use crate::session::link::{BY_CHANNEL, Envelope, Event, Hello, LinkUser, NO_RELAY, Refusal, Verdict};
use crate::support::backoff::Backoff;
use crate::time::Timestamp;
use crate::wire::sealed::{Sealed, Second, decode_hello, decode_second, encode_hello, encode_second};
use crate::wire::signal::ToRendezvous;

use super::note::Step;
use super::state::{Live, Seal};
use super::{Endpoint, Secrets};

/// First repetition of Noise message 1, which doubles; as for numbered envelopes.
const HELLO_AFTER: Duration = Duration::from_millis(500);

/// Longest pause between two repetitions of it: no stage lasts so long.
const HELLO_AT_MOST: Duration = Duration::from_secs(60);

/// The carrier of the terminal lane of a viewer with these capabilities.
fn carrier(capabilities: u32) -> Carrier {
    if capabilities & BY_CHANNEL == 0 { Carrier::Rtp } else { Carrier::Channel }
}

/// The secrets of an endpoint, and the keys of members who come back.
pub(super) struct Keys {
    pub(super) secrets: Secrets,
    /// A host's earlier secrets, from before its links changed: members come back by their sessions, and nobody else
    /// gets in. Newest last.
    pub(super) earlier: Vec<HostSecrets>,
    /// The keys that prove membership of an earlier link.
    pub(super) kept: BTreeMap<LinkId, Psk>,
}

impl<M, E> Endpoint<M, E>
where
    M: LinkUser<Input: Serialize, Output: Serialize>,
    E: Engine,
{
    pub(super) fn hello(&mut self, now: Timestamp, id: LinkId, mut hello: Hello) {
        hello.capabilities |= self.engine.capabilities();
        let Secrets::Viewer(invite) = &self.keys.secrets else { return };
        let Some(link) = self.links.get_mut(&id) else { return };
        let Some(session) = link.session else { return };
        let (role, resumes) = (invite.role, link.resumes);
        let prologue = Prologue { session, role, versions: &link.versions, link: id, resumes };
        let psk = match resumes {
            Some(earlier) => self.keys.kept.get(&earlier).cloned(),
            None => Some(invite.key.psk(role)),
        };
        let Some(psk) = psk else { return };
        let initiator = Initiator::new(&mut self.entropy, &psk, &prologue, &encode_hello(&hello));
        link.carrier = carrier(hello.capabilities);
        let first = initiator.first().to_vec();
        let mut backoff = Backoff::doubling(HELLO_AFTER, HELLO_AT_MOST);
        link.seal = Seal::Sent { initiator: Box::new(initiator), again: now + backoff.pause(), backoff };
        self.tell(now, Some(id), || Step::HelloSent);
        self.say_envelope(now, id, first);
    }

    pub(super) fn on_envelope(&mut self, now: Timestamp, id: LinkId, data: &[u8]) {
        let Some(link) = self.links.get_mut(&id) else {
            // Forgotten here, or never announced: the other side need not wait for its deadline.
            if let Secrets::Host(_) = self.keys.secrets {
                self.say(now, &ToRendezvous::Close { link: id });
            }
            return;
        };
        let outcome = match (&mut link.seal, &self.keys.secrets) {
            (Seal::Nothing, Secrets::Host(_)) => self.open_first(id, data),
            (Seal::Proved { first, .. }, _) if first == data => Ok(()),
            (Seal::Proved { .. }, _) => Err(SealError::Forged),
            (Seal::Open { first, second, .. }, Secrets::Host(_)) if first == data => {
                let second = second.clone();
                return self.say_envelope(now, id, second);
            }
            (Seal::Sent { .. }, Secrets::Viewer(_)) => self.open_second(id, data),
            (Seal::Open { second, .. }, Secrets::Viewer(_)) if second == data => Ok(()),
            (Seal::Open { channel, .. }, _) => {
                let body = channel.open(data);
                body.and_then(|body| body.map_or(Ok(()), |body| self.take_sealed(id, &body)))
            }
            (Seal::Nothing, Secrets::Viewer(_)) | (Seal::Sent { .. }, Secrets::Host(_)) => Err(SealError::Malformed),
        };
        match outcome {
            Ok(()) => {}
            Err(SealError::WrongHost) => {
                let verdict = Verdict::Refused(Refusal::WrongHost);
                self.events.push_back(Event::Verdict(id, verdict));
            }
            // A repetition; the acknowledgement that it asks for goes out with what is due.
            Err(SealError::Replayed) => {}
            Err(error @ (SealError::Forged | SealError::Malformed | SealError::Full)) => {
                self.tell(now, Some(id), || Step::EnvelopeDropped(error.to_string()));
                self.events.push_back(Event::Forged(id));
            }
        }
        self.send_due(now, id);
    }

    /// Noise message 1 reaches a host: the viewer's hello, by an invite of now, by a withdrawn one, or by neither.
    fn open_first(&mut self, id: LinkId, data: &[u8]) -> Result<(), SealError> {
        let Secrets::Host(secrets) = &self.keys.secrets else { return Err(SealError::Malformed) };
        let Some(link) = self.links.get_mut(&id) else { return Ok(()) };
        let (role, resumes) = (link.role, link.resumes);
        let mut accept = |session, psk: &Psk| {
            let prologue = Prologue { session, role, versions: &link.versions, link: id, resumes };
            Responder::accept(&mut self.entropy, psk, secrets.static_private(), &prologue, data)
        };
        let mut accepted = Err(SealError::Forged);
        match resumes {
            None => accepted = accept(secrets.session(), &secrets.psk(role)),
            Some(before) => {
                // Only returning members may use the session of earlier invites.
                let Some(psk) = self.keys.kept.get(&before) else { return Err(SealError::Forged) };
                let sessions =
                    std::iter::once(secrets.session()).chain(self.keys.earlier.iter().map(HostSecrets::session));
                for session in sessions {
                    accepted = accept(session, psk);
                    if !matches!(accepted, Err(SealError::Forged)) {
                        break;
                    }
                }
            }
        }
        let mut is_outdated = || self.keys.earlier.iter().any(|it| accept(it.session(), &it.psk(role)).is_ok());
        if matches!(accepted, Err(SealError::Forged)) && resumes.is_none() && is_outdated() {
            self.events.push_back(Event::Outdated(id));
            return Ok(());
        }
        let (responder, hello) = accepted?;
        let hello = decode_hello(&hello).map_err(|_| SealError::Malformed)?;
        link.seal = Seal::Proved { responder: Box::new(responder), first: data.to_vec() };
        link.carrier = carrier(hello.capabilities);
        link.takes_relay = !hello.has(NO_RELAY);
        link.relay &= link.takes_relay;
        self.events.push_back(Event::Hello(id, role, hello));
        Ok(())
    }

    /// Noise message 2 reaches a viewer: the host's verdict, if the session id commits to that host.
    fn open_second(&mut self, id: LinkId, data: &[u8]) -> Result<(), SealError> {
        let Secrets::Viewer(invite) = &self.keys.secrets else { return Err(SealError::Malformed) };
        let Some(link) = self.links.get_mut(&id) else { return Ok(()) };
        let Seal::Sent { initiator, .. } = &mut link.seal else { return Ok(()) };
        let opened = initiator.finish(data)?;
        let second = decode_second(&opened.payload).map_err(|_| SealError::Malformed)?;
        if !invite.commits_to(&opened.host_static, &second.token_hash) {
            return Err(SealError::WrongHost);
        }
        let Seal::Sent { initiator, .. } = std::mem::replace(&mut link.seal, Seal::Nothing) else { return Ok(()) };
        let channel = Box::new(initiator.into_channel());
        self.events.push_back(Event::Sas(id, channel.sas()));
        link.seal = Seal::Open { channel, first: Vec::new(), second: data.to_vec() };
        let verdict = match second.verdict {
            // The host would offer a lane that this side cannot take.
            Verdict::Accepted | Verdict::Waiting if carrier(second.capabilities) != link.carrier => {
                Verdict::Refused(Refusal::OldHost)
            }
            verdict @ (Verdict::Accepted | Verdict::Waiting | Verdict::Refused(_)) => verdict,
        };
        self.events.push_back(Event::Verdict(id, verdict));
        Ok(())
    }

    /// Takes the content of a numbered envelope.
    fn take_sealed(&mut self, id: LinkId, body: &[u8]) -> Result<(), SealError> {
        let sealed = Sealed::decode(body).map_err(|_| SealError::Malformed)?;
        let Some(link) = self.links.get_mut(&id) else { return Ok(()) };
        let (envelope, description) = sealed.open();
        if let (Envelope::Offer(attempt) | Envelope::Answer(attempt), Some(description)) = (&envelope, description)
            && link.remote.as_ref().is_none_or(|(newest, _)| newest < attempt)
        {
            link.remote = Some((*attempt, description));
        }
        self.events.push_back(Event::Envelope(id, envelope));
        Ok(())
    }

    pub(super) fn verdict(&mut self, now: Timestamp, id: LinkId, verdict: Verdict) {
        let Secrets::Host(secrets) = &self.keys.secrets else { return };
        let Some(link) = self.links.get_mut(&id) else { return };
        match std::mem::replace(&mut link.seal, Seal::Nothing) {
            Seal::Proved { responder, first } => {
                let capabilities = match link.carrier {
                    Carrier::Rtp => 0,
                    Carrier::Channel => BY_CHANNEL,
                };
                let (token_hash, verdict) = (secrets.token_hash(), verdict.clone());
                let payload = encode_second(&Second { token_hash, verdict: verdict.clone(), capabilities });
                let (channel, second) = responder.reply(&payload);
                self.events.push_back(Event::Sas(id, channel.sas()));
                link.seal = Seal::Open { channel: Box::new(channel), first, second: second.clone() };
                self.tell(now, Some(id), || Step::VerdictSent(verdict));
                self.say_envelope(now, id, second);
            }
            other @ (Seal::Nothing | Seal::Sent { .. } | Seal::Open { .. }) => link.seal = other,
        }
    }

    pub(super) fn seal(&mut self, now: Timestamp, id: LinkId, envelope: Envelope) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let description = link.live.as_ref().and_then(Live::description);
        if let (Envelope::Offer(_) | Envelope::Answer(_), None, Some(live)) =
            (&envelope, &description, link.live.as_mut())
        {
            live.undescribed = Some(envelope);
            return;
        }
        let Some(sealed) = Sealed::new(envelope.clone(), description) else { return };
        let Seal::Open { channel, .. } = &mut link.seal else { return };
        match channel.seal(now, &sealed.encode()) {
            Ok(bytes) => {
                self.tell_sealed(now, id, &envelope);
                self.say_envelope(now, id, bytes);
            }
            Err(error) => self.tell(now, Some(id), || Step::EnvelopeDropped(error.to_string())),
        }
    }

    /// Repetitions and acknowledgements.
    pub(super) fn send_due(&mut self, now: Timestamp, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let (repeated, due) = match &mut link.seal {
            Seal::Sent { initiator, again, backoff } if *again <= now => {
                *again = now + backoff.pause();
                (1, vec![initiator.first().to_vec()])
            }
            Seal::Open { channel, .. } => channel.due(now),
            Seal::Nothing | Seal::Sent { .. } | Seal::Proved { .. } => (0, Vec::new()),
        };
        if repeated > 0 {
            self.tell(now, Some(id), || Step::Repeated(repeated));
        }
        for data in due {
            self.say_envelope(now, id, data);
        }
    }
}
