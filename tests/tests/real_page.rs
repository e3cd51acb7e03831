//! The page for browsers: who gets the page, with which headers; its assets; `beach web` and `beach version`.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use beach_tests::real::{
    Host, Process, Rendezvous, Running as _, Scratch, Signal, beach, eventually, in_three_lines, join,
};
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

const SOON: Duration = Duration::from_secs(15);

/// The right form, and nobody's.
const SESSION: &str = "/s/AAAAAAAAAAAAAAAAAAAAAA";

const CHROMIUM: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";

const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; \
     connect-src 'self'; img-src 'self' data:; font-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// The answer to a request.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }
}

/// Sends a request to `http://HOST:PORT`, and reads the answer; `headers` have an end of line each.
fn ask(url: &str, method: &str, target: &str, headers: &str) -> Answer {
    let place = url.strip_prefix("http://").expect("http");
    let mut stream = TcpStream::connect(place).expect("connects");
    stream.set_read_timeout(Some(SOON)).expect("a timeout");
    write!(stream, "{method} {target} HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n{headers}\r\n")
        .expect("writes");
    let answer = answer(&mut stream, method == "HEAD");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("closes without a reset");
    assert_eq!(rest, b"", "nothing follows the body");
    answer
}

/// Reads one answer with its body, whose length the head says.
fn answer(stream: &mut TcpStream, only_head: bool) -> Answer {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a head");
        head.extend(byte);
    }
    let head = String::from_utf8(head).expect("text");
    let mut lines = head.trim_end().split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status");
    let mut headers = BTreeMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").expect("a header");
        let twice = headers.insert(name.to_ascii_lowercase(), value.to_owned());
        assert_eq!(twice, None, "{name} stands twice");
    }
    let length = headers.get("content-length").expect("a length").parse().expect("a number");
    let mut body = vec![0; if only_head { 0 } else { length }];
    stream.read_exact(&mut body).expect("a body");
    Answer { status, headers, body }
}

fn get(url: &str, target: &str, headers: &str) -> Answer {
    ask(url, "GET", target, headers)
}

fn page(url: &str, target: &str) -> Answer {
    get(url, target, &format!("Accept: {CHROMIUM}\r\nAccept-Encoding: gzip, deflate\r\n"))
}

/// The server, the path and the fragment of a link.
fn parts(link: &str) -> (String, String, String) {
    let (before, key) = link.split_once('#').expect("a key");
    let slash = before["http://".len()..].find('/').expect("a path") + "http://".len();
    (before[..slash].to_owned(), before[slash..].to_owned(), key.to_owned())
}

fn dist(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../web/dist").join(name)).expect("a file of the page")
}

/// The page's name, and the assets' names with the SHA-256 of what is stored.
fn manifest() -> (String, Vec<(String, String)>) {
    let text = String::from_utf8(dist("MANIFEST")).expect("text");
    let name = text.lines().find_map(|line| line.strip_prefix("page ")).expect("a name").to_owned();
    let files = text.lines().filter_map(|line| line.strip_prefix("file ")?.split_once(' '));
    let assets = files.filter_map(|(hash, name)| Some((name.strip_suffix(".gz")?.to_owned(), hash.to_owned())));
    (name, assets.collect())
}

#[test]
fn browsers_get_the_page_and_others_the_words_of_a_link() {
    let scratch = Scratch::new();
    let rendezvous = Rendezvous::start(&scratch, &[]);
    for target in [SESSION, "/AAAAAAAAAAAAAA", "/s/4k7SECRET?also=SECRET"] {
        let page = page(&rendezvous.url, target);
        assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
        assert!(page.body == dist("index.html"), "{}", page.text());
        for (name, value) in [
            ("cache-control", "no-store"),
            ("content-security-policy", POLICY),
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
            ("cross-origin-resource-policy", "same-origin"),
            ("vary", "accept"),
            ("location", ""),
            ("set-cookie", ""),
            // Without TLS browsers ignore this one, and complain.
            ("cross-origin-opener-policy", ""),
        ] {
            assert_eq!(page.header(name), value, "{name}");
        }
    }
    // A proxy speaks TLS for the server.
    let secure = get(&rendezvous.url, SESSION, &format!("Accept: {CHROMIUM}\r\nX-Forwarded-Proto: https\r\n"));
    assert_eq!(secure.header("cross-origin-opener-policy"), "same-origin");

    for others in [
        "User-Agent: curl/8.9.1\r\nAccept: */*\r\n",
        "User-Agent: facebookexternalhit/1.1\r\nAccept: */*\r\n",
        "User-Agent: Slackbot-LinkExpanding 1.0\r\nRange: bytes=0-32768\r\nAccept: */*\r\n",
        "User-Agent: wget\r\nAccept: text/plain, text/html;q=0\r\n",
        "",
    ] {
        let words = get(&rendezvous.url, SESSION, others);
        assert_eq!((words.status, words.header("content-type")), (200, "text/plain; charset=utf-8"), "{others}");
        assert_eq!((words.header("cache-control"), words.header("vary")), ("no-store", "accept"));
        for said in ["This is a beach session", "    beach join 'LINK'\n", "a browser"] {
            assert!(words.text().contains(said), "{said}: {}", words.text());
        }
    }
    // A preview that asks for HTML finds its words there.
    let preview = "User-Agent: Twitterbot/1.0\r\nAccept: text/html\r\n";
    assert!(get(&rendezvous.url, SESSION, preview).text().contains("property=\"og:title\""));
}

#[test]
fn assets_are_kept_for_ever_under_the_pages_name_and_found_under_no_other() {
    let scratch = Scratch::new();
    let rendezvous = Rendezvous::start(&scratch, &[]);
    let url = &rendezvous.url;
    let (name, assets) = manifest();
    assert!(assets.len() >= 5, "{assets:?}");
    for (file, hash) in &assets {
        let target = format!("/web/{name}/{file}");
        let asset = page(url, &target);
        let media_type = match file.rsplit('.').next() {
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("wasm") => "application/wasm",
            _ => "text/plain; charset=utf-8",
        };
        assert_eq!((asset.status, asset.header("content-type")), (200, media_type), "{file}");
        assert_eq!(HEXLOWER.encode(&Sha256::digest(&asset.body)), *hash, "{file}");
        for (name, value) in [
            ("cache-control", "public, max-age=31536000, immutable"),
            ("content-encoding", "gzip"),
            ("vary", "accept-encoding"),
            ("x-content-type-options", "nosniff"),
            ("cross-origin-resource-policy", "same-origin"),
            ("referrer-policy", "no-referrer"),
        ] {
            assert_eq!(asset.header(name), value, "{file}: {name}");
        }
        let head = ask(url, "HEAD", &target, "");
        assert_eq!((head.status, head.header("content-length")), (200, asset.body.len().to_string().as_str()));
        // No header: any encoding will do. The header without gzip: none of ours will.
        assert_eq!(get(url, &target, "").header("content-encoding"), "gzip");
        let refused = get(url, &target, "Accept-Encoding: identity\r\n");
        assert_eq!((refused.status, refused.header("cache-control")), (406, "no-store"));
    }
    for target in [
        format!("/web/0000000000000000/{}", assets[0].0),
        format!("/web/{name}/other.js"),
        format!("/web/{name}/index.html"),
        format!("/web/{name}/MANIFEST"),
        format!("/web/{name}/boot.js.gz"),
        format!("/web/{name}/../{name}/boot.js"),
        format!("/web/{name}/%2e%2e/boot.js"),
        format!("/web/{name}/"),
        format!("/web/{name}"),
        "/web".to_owned(),
        "/".to_owned(),
        "/favicon.ico".to_owned(),
        "/robots.txt".to_owned(),
    ] {
        let answer = page(url, &target);
        assert_eq!((answer.status, answer.header("cache-control")), (404, "no-store"), "{target}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "NONSENSE"] {
        for target in [SESSION, "/healthz", "/ws"] {
            assert_eq!(ask(url, method, target, "").status, 405, "{method} {target}");
        }
    }
}

#[test]
fn a_browser_loads_the_whole_page_over_one_connection() {
    let scratch = Scratch::new();
    let rendezvous = Rendezvous::start(&scratch, &[]);
    let place = rendezvous.url.strip_prefix("http://").expect("http");
    let mut stream = TcpStream::connect(place).expect("connects");
    stream.set_read_timeout(Some(SOON)).expect("a timeout");
    let (name, assets) = manifest();
    let targets = [SESSION.to_owned()].into_iter().chain(assets.iter().map(|(file, _)| format!("/web/{name}/{file}")));
    for target in targets {
        write!(stream, "GET {target} HTTP/1.1\r\nHost: {place}\r\nAccept: text/html\r\n\r\n").expect("writes");
        assert_eq!(answer(&mut stream, false).status, 200, "{target}");
    }
    // Then the connection may rest for a while, not for ever.
    let rested = Instant::now();
    assert_eq!(stream.read(&mut [0]).expect("the end"), 0);
    assert!(rested.elapsed() < Duration::from_secs(10), "{:?}", rested.elapsed());
}

#[test]
fn heads_that_are_long_slow_or_no_http_are_cut_off() {
    let scratch = Scratch::new();
    let rendezvous = Rendezvous::start(&scratch, &[]);
    let place = rendezvous.url.strip_prefix("http://").expect("http");
    let told = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(place).expect("connects");
        stream.set_read_timeout(Some(SOON)).expect("a timeout");
        stream.write_all(bytes).expect("writes");
        let started = Instant::now();
        let mut told = Vec::new();
        stream.read_to_end(&mut told).expect("the end");
        (String::from_utf8_lossy(&told).into_owned(), started.elapsed())
    };
    let long = format!("GET {SESSION} HTTP/1.1\r\nHost: x\r\nCookie: {}\r\n\r\n", "x".repeat(9_000));
    assert!(told(long.as_bytes()).0.starts_with("HTTP/1.1 431 "));
    let many = format!("GET {SESSION} HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(200));
    assert!(told(many.as_bytes()).0.starts_with("HTTP/1.1 431 "));
    // TLS, spoken to the wrong port: an answer at once, whatever it is.
    let (answer, took) = told(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    assert!(answer.starts_with("HTTP/1.1 400 ") && took < Duration::from_secs(3), "{answer} after {took:?}");
    let (answer, took) = told(format!("GET {SESSION} HTTP/1.1\r\nHost").as_bytes());
    assert_eq!(answer, "");
    assert!((4..10).contains(&took.as_secs()), "{took:?}");
}

#[test]
fn the_key_of_a_link_is_asked_for_by_nobody_and_kept_by_nobody() {
    let scratch = Scratch::new();
    let mut serve = beach(&scratch, &["serve", "--listen", "127.0.0.1:0", "--log-file", "serve.log"]);
    let serve = Process::start(serve.env("BEACH_LOG", "trace"));
    let url = eventually("the address of the rendezvous", SOON, || serve.url());
    // Browsers keep the fragment to themselves; something that sends it gets nothing of it back.
    for target in [format!("{SESSION}#1c.SECRET"), format!("{SESSION}%231c.SECRET"), format!("{SESSION}?SECRET")] {
        for accept in ["text/html", "*/*"] {
            let headers = format!("Accept: {accept}\r\nReferer: http://x/SECRET\r\nCookie: SECRET\r\n");
            let answer = get(&url, &target, &headers);
            assert!(!format!("{:?}", answer.headers).contains("SECRET"), "{answer:?}");
            assert!(!String::from_utf8_lossy(&answer.body).contains("SECRET"), "{answer:?}");
        }
    }
    assert!(!scratch.read("serve.log").contains("SECRET"));
}

#[test]
fn a_share_serves_the_page_itself_and_beach_web_serves_it_for_any_link() {
    let scratch = Scratch::new();
    let own = Host::start(&scratch, &[], &["cat"]);
    let (server, path, _) = parts(&own.links.view);
    assert_eq!(page(&server.replace("localhost", "127.0.0.1"), &path).body, dist("index.html"));

    let rendezvous = Rendezvous::start(&scratch, &[]);
    let host = Host::start(&scratch, &["--server", &rendezvous.url], &["cat"]);
    let mut web = Process::start(&mut beach(&scratch, &["web", &host.links.control]));
    let (here, _) = web.line("the address of the page", SOON, |line| line.starts_with("http://127.0.0.1:"));
    let ((_, path, key), (url, path_here, key_here)) = (parts(&host.links.control), parts(&here));
    assert_eq!((path_here, key_here), (path.clone(), key));
    assert_ne!(url, rendezvous.url);
    assert_eq!(page(&url, &path).body, dist("index.html"));
    // The WebSocket leads to the link's rendezvous: a viewer of another kind joins through it.
    let mut viewer = Process::start(&mut join(&scratch, &["--json", &here]));
    viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
    viewer.write("~.");
    assert_eq!(viewer.exit(SOON), 0);
    // A page of another origin gets no WebSocket there.
    let upgrade = "Upgrade: websocket\r\nOrigin: http://elsewhere\r\n";
    assert_eq!(get(&url, "/ws", upgrade).status, 403);

    drop(rendezvous);
    let mut late = Process::start(&mut join(&scratch, &["--json", &here]));
    assert_ne!(late.exit(Duration::from_secs(60)), 0, "{}", late.stdout());
    in_three_lines(&late.stderr());
    assert!(web.is_running());
    web.signal(Signal::INT);
    assert_eq!(web.exit(SOON), 130);
}

#[test]
fn version_says_which_page_is_inside() {
    let scratch = Scratch::new();
    let said = |args: &[&str]| {
        let mut process = Process::start(&mut beach(&scratch, args));
        assert_eq!(process.exit(SOON), 0, "{}", process.stderr());
        process.stdout()
    };
    let (name, _) = manifest();
    assert_eq!(said(&["version"]), format!("beach {}\npage  {name}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(said(&["version", "--web"]).into_bytes(), dist("MANIFEST"));
}
