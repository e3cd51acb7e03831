//! How the page for browsers is served: who gets the page, its headers, its assets.

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::http::{Answer, NOT_FOUND, SESSION};
use crate::page::{INDEX, asset, name};

/// The rights of the page: load from its own origin alone, run WebAssembly, and no text as script. The styles are those
/// of xterm.js.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; \
     style-src 'self' 'unsafe-inline'; connect-src 'self'; img-src 'self' data:; font-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// Headers of each file of the page.
const OF_ALL: [(HeaderName, &str); 3] = [
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// The header by which a proxy that speaks TLS for the server says so.
pub(super) const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

const GZIP_ONLY: Answer =
    Answer { status: StatusCode::NOT_ACCEPTABLE, body: "this file is sent with gzip as its encoding only\n" };

/// The page, for whoever names HTML among what they accept, as browsers do; otherwise a few words.
pub(super) async fn session(request: HeaderMap) -> Response {
    let vary = (header::VARY, "accept");
    if !wants(&request, &header::ACCEPT, "text/html").is_some_and(|wanted| wanted) {
        return ([vary], SESSION).into_response();
    }
    let headers = [
        vary,
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    ];
    let mut response = (headers, OF_ALL, INDEX).into_response();
    // Browsers ignore this header without TLS, and complain.
    if request.get(FORWARDED_PROTO).is_some_and(|scheme| scheme == "https") {
        let opener = HeaderName::from_static("cross-origin-opener-policy");
        response.headers_mut().insert(opener, HeaderValue::from_static("same-origin"));
    }
    response
}

/// A file of the page. The page's name is in its path, so that a browser may keep the file for ever.
pub(super) async fn file(Path((page, file)): Path<(String, String)>, request: HeaderMap) -> Response {
    let Some(asset) = asset(&file).filter(|_| page == name()) else { return NOT_FOUND.into_response() };
    // Without the header every encoding is acceptable (RFC 9110, section 12.5.3).
    if !wants(&request, &header::ACCEPT_ENCODING, "gzip").unwrap_or(true) {
        return GZIP_ONLY.into_response();
    }
    let headers = [
        (header::CONTENT_TYPE, asset.media_type),
        (header::CONTENT_ENCODING, "gzip"),
        (header::VARY, "accept-encoding"),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    (headers, OF_ALL, asset.gzip).into_response()
}

/// Whether such a header of a request names `wanted`, and not with weight 0 (RFC 9110, section 12.4.2); `None` without
/// the header. A wildcard counts for encodings: of media types it stands in every header.
fn wants(request: &HeaderMap, header: &HeaderName, wanted: &str) -> Option<bool> {
    let mut values = request.get_all(header).iter().peekable();
    values.peek()?;
    let items: Vec<&str> = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).collect();
    let weight = |wanted: &str| {
        items.iter().find_map(|item| {
            let mut parts = item.split(';').map(str::trim);
            parts.next().filter(|name| name.eq_ignore_ascii_case(wanted))?;
            let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
            Some(weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0)))
        })
    };
    Some(weight(wanted).or_else(|| weight("*")).is_some_and(|weight: f32| weight > 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_accepts_is_read_with_its_weights() {
        let of = |values: &[&'static str], wanted| {
            let values = values.iter().map(|value| (header::ACCEPT, HeaderValue::from_static(value)));
            wants(&values.collect(), &header::ACCEPT, wanted)
        };
        let chromium = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
        for (values, wanted, expected) in [
            (&[][..], "text/html", None),
            (&["*/*"], "text/html", Some(false)),
            (&[""], "gzip", Some(false)),
            (&[chromium], "text/html", Some(true)),
            (&["text/plain", "TEXT/HTML ;q=0.5"], "text/html", Some(true)),
            (&["text/plain;q=1, text/html; q=0.000"], "text/html", Some(false)),
            (&["gzip, deflate, br, zstd"], "gzip", Some(true)),
            (&["identity"], "gzip", Some(false)),
            (&["br;q=1.0, *;q=0.1"], "gzip", Some(true)),
            (&["gzip;q=0, *"], "gzip", Some(false)),
            (&["gzip;q=nonsense"], "gzip", Some(false)),
            (&["x-gzip-like"], "gzip", Some(false)),
        ] {
            assert_eq!(of(values, wanted), expected, "{values:?}");
        }
    }
}
