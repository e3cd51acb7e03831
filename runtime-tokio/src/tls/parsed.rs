//! Facts that stand in a certificate: its time, and the names of its hosts.

use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// The facts. Times are in seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Parsed {
    pub(super) begins: u64,
    pub(super) expires: u64,
    /// The hosts, with patterns such as `*.example.org` among them.
    pub(super) names: Vec<String>,
}

impl Parsed {
    /// Reads a certificate; `None` if this is none.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Option<Parsed> {
        let certificate = Certificate::from_der(certificate).ok()?;
        let own = certificate.tbs_certificate();
        let names = own.get_extension::<SubjectAltName>().ok().flatten().map(|(_, names)| names.0);
        let host = |name: GeneralName| match name {
            GeneralName::DnsName(name) => Some(name.to_string()),
            GeneralName::OtherName(_)
            | GeneralName::Rfc822Name(_)
            | GeneralName::DirectoryName(_)
            | GeneralName::EdiPartyName(_)
            | GeneralName::UniformResourceIdentifier(_)
            | GeneralName::IpAddress(_)
            | GeneralName::RegisteredId(_) => None,
        };
        Some(Parsed {
            begins: own.validity().not_before.to_unix_duration().as_secs(),
            expires: own.validity().not_after.to_unix_duration().as_secs(),
            names: names.into_iter().flatten().filter_map(host).collect(),
        })
    }

    /// The first host that is no pattern.
    pub(super) fn name(&self) -> Option<String> {
        self.names.iter().find(|name| !name.contains('*')).cloned()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn the_time_and_the_hosts_of_a_certificate_are_read() {
        let names = ["*.example.org", "beach.example.org", "127.0.0.1"].map(str::to_owned);
        let mut params = CertificateParams::new(names.to_vec()).expect("names");
        (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2026, 4, 1));
        let certificate = params.self_signed(&KeyPair::generate().expect("a key")).expect("a certificate");
        let parsed = Parsed::of(certificate.der()).expect("a certificate");
        assert_eq!((parsed.begins, parsed.expires), (1_767_225_600, 1_775_001_600));
        assert_eq!(parsed.names, ["*.example.org", "beach.example.org"]);
        assert_eq!(parsed.name().as_deref(), Some("beach.example.org"));
        assert_eq!(Parsed::of(&CertificateDer::from(b"nonsense".to_vec())), None);
    }
}
