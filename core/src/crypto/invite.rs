//! Invites: the URL that lets somebody join.
//!
//! ```text
//!               long                               short
//! may type      http(s)://HOST[:PORT]/s/ID#1c.KEY  http(s)://HOST[:PORT]/ID#cKEY
//! may watch     http(s)://HOST[:PORT]/s/ID#1v.KEY  http(s)://HOST[:PORT]/ID#vKEY
//! ```
//!
//! `KEY` is 128 bits, base64url: see [`keys`](super::keys). A short link holds the first 84 bits of the ID, and works
//! where the rendezvous finds sessions by them. Every version of beach reads long links.

use std::net::IpAddr;

use crate::crypto::keys::{HostSecrets, Key, commitment, session_id};
use crate::id::{SessionName, ShortId};
use crate::place::Place;
use crate::role::Role;

/// Characters behind the `#` of a short link: the role and the key.
const SHORT_KEY: usize = 23;

/// Longest link read, in bytes: a scheme, a DNS name (253), a port, the id and a key fit four times over.
pub const MAX_TARGET: usize = 1024;

/// Longest text in which a link is looked for, in bytes: a message of somebody who pastes more than the link.
pub const MAX_PASTED: usize = 16 * 1024;

/// The length of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinkForm {
    /// With the whole id of the session.
    #[default]
    Long,
    /// With its beginning.
    Short,
}

/// The content of an invite: server, session and key.
#[derive(Clone)]
pub struct Invite {
    /// `http://host:port` or `https://host:port`, without a path.
    pub server: String,
    /// The session.
    pub session: SessionName,
    /// The role of the key.
    pub role: Role,
    /// The key.
    pub key: Key,
}

/// Why a text is no invite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InviteError {
    /// No `HOST/s/ID` in it.
    #[error("this is not a beach link (expected http://HOST/ID#KEY)")]
    NotALink,
    /// The id is damaged.
    #[error("the session id in the link is damaged (expected 14 characters before #, or /s/ and 22)")]
    BadId,
    /// There is no `#…` part; ask for it.
    #[error("the link has no key (the part after #)")]
    NoKey,
    /// There is a `#…` part, but not one of ours.
    #[error("the key in the link is damaged (expected c or v and 22 characters)")]
    BadKey,
    /// The key is of a later kind.
    #[error("the link needs a newer version of beach")]
    NewerKind,
}

impl Invite {
    /// Reads `[http(s)://]HOST[:PORT]/s/ID#KEY` or `[http(s)://]HOST[:PORT]/ID#KEY`. Without a scheme, `https`, but
    /// `http` for loopback and bare addresses.
    ///
    /// Takes the link as people paste it: with words around it, in quotes or brackets, with a full stop behind it, with
    /// `%23` for `#`.
    ///
    /// # Errors
    /// The place or the key is missing, damaged, or of a newer kind; a link without `#` is [`InviteError::NoKey`].
    pub fn parse(target: &str) -> Result<Invite, InviteError> {
        first_in(target, |word| {
            let (place, fragment) = match word.split_once('#') {
                Some((place, fragment)) => (place, Some(fragment)),
                None => (word, None),
            };
            let (server, session) = parse_place(place)?;
            Invite::with_key(server, session, fragment.ok_or(InviteError::NoKey)?)
        })
    }

    /// Reads the place from `target` and the key from `key` (with or without its `#`), for people who type the key at a
    /// prompt.
    ///
    /// # Errors
    /// As [`parse`](Invite::parse), but for the missing key.
    pub fn parse_with_key(target: &str, key: &str) -> Result<Invite, InviteError> {
        let (server, session) = first_in(target, |word| parse_place(word.split('#').next().unwrap_or_default()))?;
        let key = unwrapped(key.trim());
        Invite::with_key(server, session, key.strip_prefix('#').unwrap_or(&key))
    }

    fn with_key(server: String, session: SessionName, fragment: &str) -> Result<Invite, InviteError> {
        if fragment.len() > MAX_TARGET {
            return Err(InviteError::BadKey);
        }
        let short =
            |text: &str| fragment.is_char_boundary(1).then(|| fragment.split_at(1)).filter(|_| text.len() == SHORT_KEY);
        let (kind, key) = fragment.split_once('.').or_else(|| short(fragment)).ok_or(InviteError::BadKey)?;
        let role = match kind {
            "1c" | "c" => Role::Control,
            "1v" | "v" => Role::View,
            _ if kind.len() == 1 => return Err(InviteError::NewerKind),
            _ if kind.starts_with(|c: char| c.is_ascii_digit() && c != '1') => return Err(InviteError::NewerKind),
            _ => return Err(InviteError::BadKey),
        };
        let key = Key::parse(key).ok_or(InviteError::BadKey)?;
        Ok(Invite { server, session, role, key })
    }

    /// The invite to watch the same session: everybody with a key for typing can make this one.
    #[must_use]
    pub fn to_watch(&self) -> Invite {
        let key = match self.role {
            Role::Control => self.key.derive_view(),
            Role::View => self.key.clone(),
        };
        Invite { key, role: Role::View, ..self.clone() }
    }

    /// The URL, key included. Only for the person it is meant for.
    pub fn url(&self) -> String {
        let kind = match self.role {
            Role::Control => 'c',
            Role::View => 'v',
        };
        let (server, session, key) = (&self.server, self.session, self.key.text());
        match session {
            SessionName::Full(id) => format!("{server}/s/{id}#1{kind}.{key}"),
            SessionName::Short(short) => format!("{server}/{short}#{kind}{key}"),
        }
    }

    /// This invite, with only the beginning of the session's id.
    #[must_use]
    pub fn short(mut self) -> Invite {
        self.session = SessionName::Short(self.session.short());
        self
    }

    /// Whether the server is on this machine's loopback, so that loopback candidates make sense.
    pub fn is_loopback(&self) -> bool {
        is_loopback(authority(&self.server))
    }

    /// Whether a rendezvous at `url` may stand for the one of the invite: the same scheme, and the same host or one
    /// below it, at any port and path. Nobody else can make a viewer connect to another host.
    pub(crate) fn leads_to(&self, url: &str) -> bool {
        let (Some((scheme, own)), Some(place)) = (self.server.split_once("://"), Place::parse(url)) else {
            return false;
        };
        let own = host(own.split('/').next().unwrap_or_default()).to_ascii_lowercase();
        let below = place.host.strip_suffix(&own).and_then(|prefix| prefix.strip_suffix('.'));
        let is_below = below.is_some_and(|prefix| !prefix.is_empty() && own.parse::<IpAddr>().is_err());
        scheme == place.scheme && (place.host == own || is_below)
    }

    /// The secrets as text, hex and base64url: for leak tests.
    #[cfg(feature = "test-util")]
    pub fn needles(&self) -> Vec<String> {
        vec![self.key.text(), data_encoding::HEXLOWER.encode(&self.key.0)]
    }

    /// Whether the ID commits to this static key and token hash, as seen from the holder of this key.
    pub(crate) fn commits_to(&self, host_static: &[u8; 32], token_hash: &[u8; 32]) -> bool {
        let id = match self.role {
            Role::Control => session_id(&commitment(&self.key.derive_view(), host_static), token_hash),
            Role::View => session_id(&commitment(&self.key, host_static), token_hash),
        };
        self.session.names(id)
    }
}

impl HostSecrets {
    /// The invite for `role`, at `server` (`http://host:port`).
    pub fn invite(&self, server: &str, role: Role) -> Invite {
        let key = match role {
            Role::Control => self.control.clone(),
            Role::View => self.view.clone(),
        };
        Invite {
            server: server.trim_end_matches('/').to_owned(),
            session: SessionName::Full(self.session()),
            role,
            key,
        }
    }
}

/// Applies `read` to the words of `text` and returns the first success; else the first error about a word that is a
/// link.
fn first_in<T>(text: &str, read: impl Fn(&str) -> Result<T, InviteError>) -> Result<T, InviteError> {
    let mut objection = InviteError::NotALink;
    if text.len() > MAX_PASTED {
        return Err(objection);
    }
    for word in text.split_whitespace() {
        match read(&unwrapped(word)) {
            Ok(found) => return Ok(found),
            Err(error) if objection == InviteError::NotALink => objection = error,
            Err(_) => {}
        }
    }
    Err(objection)
}

/// A word without what stands around a link in a sentence, and without what shells and mail programs add within a link.
fn unwrapped(word: &str) -> String {
    let part_of_key = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let word = word.trim_end_matches(|c| !part_of_key(c));
    // `[` begins an IPv6 address, and `#` or `%23` a key.
    let word = word.trim_start_matches(|c: char| !c.is_ascii_alphanumeric() && c != '[' && c != '#' && c != '%');
    let word = word.replace('\\', "");
    if word.contains('#') { word } else { word.replacen("%23", "#", 1) }
}

/// Reads what stands before `#`.
fn parse_place(place: &str) -> Result<(String, SessionName), InviteError> {
    if place.len() > MAX_TARGET {
        return Err(InviteError::NotALink);
    }
    let place = place.trim_end_matches('/');
    let (scheme, rest) = match place.split_once("://") {
        Some((scheme @ ("http" | "https"), rest)) => (Some(scheme), rest),
        Some(_) => return Err(InviteError::NotALink),
        None => (None, place),
    };
    let long = rest.split_once("/s/").map(|(authority, id)| (authority, id.parse()));
    let short = || {
        let (authority, id) = rest.split_once('/')?;
        let id: Result<ShortId, _> = id.parse();
        // Without a scheme a word with a slash is not yet a damaged link.
        let is_link = scheme.is_some() || id.is_ok();
        is_link.then_some((authority, id.map(SessionName::Short)))
    };
    let (authority, session) = long.or_else(short).ok_or(InviteError::NotALink)?;
    let printable = authority.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b));
    if authority.is_empty() || !printable {
        return Err(InviteError::NotALink);
    }
    let session = session.map_err(|_| InviteError::BadId)?;
    let scheme = scheme.unwrap_or(if is_address(authority) || is_loopback(authority) { "http" } else { "https" });
    Ok((format!("{scheme}://{authority}"), session))
}

fn authority(server: &str) -> &str {
    server.split_once("://").map_or(server, |(_, rest)| rest)
}

fn host(authority: &str) -> &str {
    match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    }
}

fn is_address(authority: &str) -> bool {
    host(authority).parse::<IpAddr>().is_ok()
}

fn is_loopback(authority: &str) -> bool {
    let host = host(authority);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::keys::{id_matches, public_key};
    use crate::support::entropy::Entropy;

    fn secrets() -> HostSecrets {
        HostSecrets::new(&mut Entropy::new([7; 32]))
    }

    #[test]
    fn an_invite_survives_being_printed_and_read() {
        for role in [Role::Control, Role::View] {
            let invite = secrets().invite("http://localhost:8080", role);
            let read = Invite::parse(&invite.url()).expect("our own link parses");
            let session = SessionName::Full(secrets().session());
            assert_eq!((read.url(), read.role, read.session), (invite.url(), role, session));
            assert!(read.is_loopback());
            let short = invite.short();
            let read = Invite::parse(&short.url()).expect("our own short link parses");
            let session = SessionName::Short(secrets().session().short());
            assert_eq!((read.url(), read.role, read.session), (short.url(), role, session));
            assert!(read.is_loopback());
        }
    }

    #[test]
    fn both_invites_commit_to_the_hosts_key_and_to_no_other() {
        let secrets = secrets();
        for role in [Role::Control, Role::View] {
            for invite in [secrets.invite("http://localhost", role), secrets.invite("http://localhost", role).short()] {
                assert!(invite.commits_to(&public_key(secrets.static_private()), &secrets.token_hash()));
                assert!(!invite.commits_to(&[1; 32], &secrets.token_hash()));
                assert!(!invite.commits_to(&public_key(secrets.static_private()), &[1; 32]));
            }
        }
        assert!(id_matches(secrets.session(), &secrets.commitment(), secrets.token()));
        assert!(!id_matches(secrets.session(), &secrets.commitment(), &[0; 32]));
    }

    #[test]
    fn an_invite_leads_to_its_own_host_and_those_below_and_nowhere_else() {
        let leads = |server: &str, url: &str| secrets().invite(server, Role::View).leads_to(url);
        let server = "https://beach.example";
        for url in [
            "https://beach.example",
            "https://Beach.Example:8443",
            "https://b.beach.example",
            "https://b.c.beach.example:1/n/b",
            "https://beach.example/n/b",
        ] {
            assert!(leads(server, url), "{url}");
        }
        for url in [
            "http://beach.example",
            "https://beach.example.evil.example",
            "https://evilbeach.example",
            "https://.beach.example",
            "https://evil.example/beach.example",
            "https://beach.example@evil.example",
            "https://evil.example#.beach.example",
            "https://evil.example?.beach.example",
            "https://evil.example:1.beach.example",
            "https://evil.example\\.beach.example",
            "https://beach.example:",
            "https://beach.example:0",
            "https://beach.example:65536",
            "https://beach.example:1:2",
            "https://beach.example/n b",
            "https://beach.example/?x",
            "https://[beach.example]",
            "https://",
            "https:beach.example",
            "beach.example",
            "ws://beach.example",
            "",
        ] {
            assert!(!leads(server, url), "{url}");
        }
        assert!(leads("http://127.0.0.1:1", "http://127.0.0.1:2") && leads("http://[::1]:1", "http://[::1]:2/n"));
        assert!(!leads("http://127.0.0.1:1", "http://1.127.0.0.1:2") && !leads("http://[::1]:1", "http://[::2]:1"));
    }

    #[test]
    fn a_scheme_may_be_missing() {
        let url = secrets().invite("http://localhost:8080", Role::View).url();
        let read = Invite::parse(url.trim_start_matches("http://")).expect("parses without a scheme");
        assert_eq!(read.server, "http://localhost:8080");
        let far = url.trim_start_matches("http://").replace("localhost:8080", "beach.example");
        assert_eq!(Invite::parse(&far).expect("parses").server, "https://beach.example");
    }

    #[test]
    fn a_link_is_read_as_people_paste_it() {
        for server in ["http://localhost:8080", "https://beach.example", "http://[::1]:8080"] {
            for url in [secrets().invite(server, Role::Control), secrets().invite(server, Role::View).short()]
                .map(|it| it.url())
            {
                let percent = url.replace('#', "%23");
                let escaped = url.replace('#', "\\#").replace('[', "\\[");
                for pasted in [
                    format!("beach join '{url}'"),
                    format!("  $ beach join \"{url}\"   (read-only)\n"),
                    format!("beach join {url}"),
                    format!("beach join beach join '{url}'"),
                    format!("Join: <{url}>."),
                    format!("please take {url}, or call me"),
                    format!("\u{201c}{url}\u{201d}"),
                    format!("`{url}`"),
                    format!("({url})"),
                    format!("{url}."),
                    format!("'{percent}'"),
                    escaped.clone(),
                ] {
                    assert_eq!(Invite::parse(&pasted).map(|read| read.url()).ok(), Some(url.clone()), "{pasted}");
                }
                let (place, key) = url.split_once('#').expect("has a key");
                assert_eq!(Invite::parse(&format!("beach join '{place}'")).err(), Some(InviteError::NoKey));
                for typed in [format!("#{key}"), format!("'{key}'."), format!(" {key}\n"), format!("%23{key}")] {
                    let read = Invite::parse_with_key(&format!("beach join '{place}'"), &typed);
                    assert_eq!(read.map(|read| read.url()).ok(), Some(url.clone()), "{typed}");
                }
            }
        }
        assert_eq!(Invite::parse("what is beach join about/for?").err(), Some(InviteError::NotALink));
        assert_eq!(Invite::parse(&"x ".repeat(MAX_PASTED)).err(), Some(InviteError::NotALink));
    }

    #[test]
    fn who_may_type_can_hand_out_an_invite_to_watch_and_nothing_more() {
        let [control, view] = [Role::Control, Role::View].map(|role| secrets().invite("https://beach.example", role));
        assert_ne!(control.key.text(), view.key.text());
        for invite in [&control, &view] {
            assert_eq!(invite.to_watch().url(), view.url());
        }
    }

    #[test]
    fn this_machine_and_bare_addresses_are_told_from_names() {
        let url = |authority: &str| format!("{authority}/s/{}#1v.{}", secrets().session(), secrets().view.text());
        for (authority, server, is_loopback) in [
            ("localhost:1", "http://localhost:1", true),
            ("127.0.0.2", "http://127.0.0.2", true),
            ("[::1]:1", "http://[::1]:1", true),
            ("192.0.2.1:1", "http://192.0.2.1:1", false),
            ("[2001:db8::1]", "http://[2001:db8::1]", false),
            ("beach.example", "https://beach.example", false),
        ] {
            let read = Invite::parse(&url(authority)).expect("a link");
            assert_eq!((&*read.server, read.is_loopback()), (server, is_loopback));
        }
        for authority in ["http://", "http://h\u{e9}", "http://h?", "ftp://h"] {
            assert_eq!(Invite::parse(&url(authority)).err(), Some(InviteError::NotALink), "{authority}");
        }
    }

    #[test]
    fn an_id_that_ends_with_a_dash_is_read_as_a_whole() {
        for id in ["AAAAAAAAAAAAA-", "AAAAAAAAAAAAA_"] {
            assert_eq!(Invite::parse(&format!("(http://h/{id}).")).err(), Some(InviteError::NoKey), "{id}");
        }
    }

    #[test]
    fn what_is_read_has_its_limits() {
        let error = |text: &str| Invite::parse(text).err();
        let id = secrets().session();
        let place = format!("/s/{id}");
        let longest = format!("http://{}{place}", "h".repeat(MAX_TARGET - 7 - place.len()));
        assert_eq!((longest.len(), error(&longest)), (MAX_TARGET, Some(InviteError::NoKey)));
        let fragment = format!("2c.{}", "x".repeat(MAX_TARGET - 3));
        assert_eq!(error(&format!("http://h{place}#{fragment}")), Some(InviteError::NewerKind));
        let link = secrets().invite("http://h", Role::View).url();
        let pasted = format!("{link}{}", " ".repeat(MAX_PASTED - link.len()));
        assert_eq!(error(&pasted), None);
        for more in ["x", "xx"] {
            assert_eq!(error(&longest.replace("//h", &format!("//h{more}"))), Some(InviteError::NotALink));
            assert_eq!(error(&format!("http://h{place}#{fragment}{more}")), Some(InviteError::BadKey));
            assert_eq!(error(&format!("{pasted}{}", more.replace('x', " "))), Some(InviteError::NotALink));
        }
    }

    #[test]
    fn a_damaged_target_says_what_is_wrong() {
        let error = |text: &str| Invite::parse(text).err();
        let id = secrets().session();
        assert_eq!(error("hello"), Some(InviteError::NotALink));
        assert_eq!(error("ftp://x/s/y#1c.z"), Some(InviteError::NotALink));
        assert_eq!(error("http://h/s/short#1c.z"), Some(InviteError::BadId));
        assert_eq!(error(&format!("http://h/s/{id}")), Some(InviteError::NoKey));
        assert_eq!(error(&format!("http://h/s/{id}#1c.z")), Some(InviteError::BadKey));
        assert_eq!(error(&format!("http://h/s/{id}#2c.z")), Some(InviteError::NewerKind));
        let short = id.short();
        assert_eq!(error(&format!("http://h/{short}")), Some(InviteError::NoKey));
        assert_eq!(error(&format!("http://h/{short}x#c")), Some(InviteError::BadId));
        assert_eq!(error(&format!("http://h/{short}#c")), Some(InviteError::BadKey));
        assert_eq!(error(&format!("http://h/{short}#x{}", secrets().view.text())), Some(InviteError::NewerKind));
        for kind in ["zz", "1x", "x1", ""] {
            let link = format!("http://h/s/{id}#{kind}.{}", secrets().view.text());
            assert_eq!(error(&link), Some(InviteError::BadKey), "{kind}");
        }
        // The first objection counts, and words behind the link raise none.
        assert_eq!(error("http://h/s/short#1c.z and more"), Some(InviteError::BadId));
        let key = secrets().invite("http://h", Role::Control).url();
        let key = key.split('#').nth(1).expect("has a key");
        assert!(Invite::parse_with_key(&format!("h/s/{id}"), key).is_ok());
    }
}
