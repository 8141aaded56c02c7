//! The web pages, served from files inside the binary: nothing is fetched from elsewhere, and nothing of any dealer is in them.

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use xxhash_rust::xxh3::xxh3_64;

use super::state::HttpState;

/// A file that is part of the program.
struct Asset {
    path: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

macro_rules! assets {
    ($($path:literal => $file:literal, $content_type:literal;)+) => {
        const ASSETS: &[Asset] = &[$(Asset {
            path: $path,
            content_type: $content_type,
            bytes: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../dashboards/web/", $file)),
        }),+];
    };
}

assets! {
    "/pulse/meta" => "meta.html", "text/html; charset=utf-8";
    "/floor" => "floor.html", "text/html; charset=utf-8";
    "/assets/style.css" => "style.css", "text/css; charset=utf-8";
    "/assets/floor.js" => "floor.js", "text/javascript; charset=utf-8";
    "/assets/meta.js" => "meta.js", "text/javascript; charset=utf-8";
    "/assets/page.js" => "page.js", "text/javascript; charset=utf-8";
    "/assets/feed.js" => "feed.js", "text/javascript; charset=utf-8";
    "/assets/ease.js" => "ease.js", "text/javascript; charset=utf-8";
    "/assets/format.js" => "format.js", "text/javascript; charset=utf-8";
    "/assets/elements.js" => "elements.js", "text/javascript; charset=utf-8";
    "/assets/circle.js" => "circle.js", "text/javascript; charset=utf-8";
    "/assets/chart.js" => "chart.js", "text/javascript; charset=utf-8";
    "/assets/icon.svg" => "icon.svg", "image/svg+xml";
}

impl Asset {
    fn answer(&self, request: &HeaderMap) -> Response {
        let tag = format!("\"{:016x}\"", xxh3_64(self.bytes));
        let is_known = request.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
        let mut response = if is_known { StatusCode::NOT_MODIFIED.into_response() } else { self.bytes.into_response() };
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            headers.insert(header::ETAG, tag);
        }
        response
    }
}

/// The pages and what they are made of.
pub fn router() -> Router<Arc<HttpState>> {
    let mut router = Router::new()
        .route("/", get(async || Redirect::temporary("/floor")))
        .route("/pulse", get(async || Redirect::temporary("/pulse/meta")));
    for asset in ASSETS {
        router = router.route(asset.path, get(async move |headers: HeaderMap| asset.answer(&headers)));
    }
    router
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the content security policy refuses, and what no page may fetch from elsewhere.
    #[test]
    fn pages_hold_no_inline_script_or_style_and_name_no_other_host() {
        for asset in ASSETS {
            let text = std::str::from_utf8(asset.bytes).unwrap();
            let hosts = text.replace("http://www.w3.org/", "");
            assert!(!hosts.contains("http://") && !hosts.contains("https://"), "{} names another host", asset.path);
            if asset.path.starts_with("/assets/") {
                continue;
            }
            assert!(!text.contains("<style") && !text.contains(" style="), "{}: style stands in style.css", asset.path);
            for script in text.split("<script").skip(1) {
                assert!(script.starts_with(" type=\"module\" src=\"/assets/"), "{}: {script}", asset.path);
            }
            assert!(text.contains("<html lang=\"en\""), "{}", asset.path);
        }
    }

    #[test]
    fn every_file_that_pages_name_is_there() {
        for asset in ASSETS {
            let text = std::str::from_utf8(asset.bytes).unwrap();
            let folder = |name: &str| format!("/assets/{name}");
            let imports = text.split("from './").skip(1).filter_map(|rest| rest.split('\'').next()).map(folder);
            let linked = text.split("\"/assets/").skip(1).filter_map(|rest| rest.split('"').next()).map(folder);
            for named in imports.chain(linked) {
                assert!(ASSETS.iter().any(|other| other.path == named), "{} names {named}", asset.path);
            }
        }
    }
}
