//! The page for browsers: the files of `web/dist`, which are part of this program, as the script `web/build` made them.

/// The page's name, the sources and tools that it was built from, and the SHA-256 of each file. A line each,
/// `page`, `sources`, `toolchain`, `file SHA256 NAME`.
pub const MANIFEST: &str = include_str!("../../web/dist/MANIFEST");

/// The HTML that a browser gets at a link's address. Names the assets by their whole paths.
pub(crate) const INDEX: &[u8] = include_bytes!("../../web/dist/index.html");

/// A file that the HTML needs.
pub(crate) struct Asset {
    name: &'static str,
    pub(crate) media_type: &'static str,
    pub(crate) gzip: &'static [u8],
}

macro_rules! asset {
    ($name:literal, $media_type:literal) => {
        Asset { name: $name, media_type: $media_type, gzip: include_bytes!(concat!("../../web/dist/", $name, ".gz")) }
    };
}

static ASSETS: [Asset; 6] = [
    asset!("boot.js", "text/javascript; charset=utf-8"),
    asset!("screen.js", "text/javascript; charset=utf-8"),
    asset!("webgl.js", "text/javascript; charset=utf-8"),
    asset!("page.css", "text/css; charset=utf-8"),
    asset!("beach.wasm", "application/wasm"),
    asset!("LICENSES.txt", "text/plain; charset=utf-8"),
];

/// The page's name, which stands in the paths of its assets: the first 16 hex digits of the SHA-256 over the lines of
/// [`MANIFEST`] about them.
#[must_use]
pub fn name() -> &'static str {
    MANIFEST.lines().find_map(|line| line.strip_prefix("page ")).unwrap_or_default()
}

/// The asset of this name.
pub(crate) fn asset(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use data_encoding::HEXLOWER;
    use sha2::{Digest as _, Sha256};

    use super::*;

    fn sha256(bytes: &[u8]) -> String {
        HEXLOWER.encode(&Sha256::digest(bytes))
    }

    #[test]
    fn the_files_are_those_of_the_manifest_and_have_given_the_page_its_name() {
        let files = ASSETS.iter().map(|asset| (format!("{}.gz", asset.name), sha256(asset.gzip)));
        let files: BTreeMap<String, String> = files.chain([("index.html".to_owned(), sha256(INDEX))]).collect();
        let lines: Vec<String> = files.iter().map(|(name, hash)| format!("file {hash} {name}\n")).collect();
        let assets: String = lines.iter().filter(|line| !line.ends_with(" index.html\n")).map(String::as_str).collect();
        let (_, told) = MANIFEST.split_at(MANIFEST.find("file ").expect("files"));
        assert_eq!(told, lines.concat());
        assert_eq!(name(), &sha256(assets.as_bytes())[..16]);
    }

    #[test]
    fn the_html_names_every_asset_that_it_needs_by_the_pages_name() {
        let html = str::from_utf8(INDEX).expect("text");
        let paths: Vec<&str> = html.split('"').filter(|part| part.starts_with("/web/")).collect();
        assert!(!paths.is_empty(), "{html}");
        for path in paths {
            let file = path.strip_prefix("/web/").and_then(|rest| rest.strip_prefix(name())?.strip_prefix('/'));
            assert!(file.is_some_and(|file| asset(file).is_some()), "{path}");
        }
    }

    #[test]
    fn the_html_says_without_scripts_what_this_is_and_how_to_join() {
        let html = str::from_utf8(INDEX).expect("text");
        let (_, rest) = html.split_once("<noscript>").expect("words for people without JavaScript");
        let (words, _) = rest.split_once("</noscript>").expect("their end");
        for said in ["This is a beach session", "beach join 'LINK'", "the part after # too", "end-to-end"] {
            assert!(words.contains(said), "{said}: {words}");
        }
        // For previews of the link.
        for name in ["name=\"description\"", "property=\"og:title\"", "property=\"og:description\""] {
            assert!(html.contains(name), "{name}: {html}");
        }
        assert!(html.contains("beach join 'LINK'"));
    }
}
