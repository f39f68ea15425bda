//! What browsers send on behalf of a hostile page.
//!
//! The requests are written down as these browsers send them: the order of the headers, client hints and `Sec-Fetch-*` to
//! addresses that count as trustworthy (loopback does; W3C Secure Contexts, section 3.1) and to no others, so not after a DNS
//! rebinding. A page can change none of `Host`, `Origin` and `Sec-Fetch-*` (Fetch Standard, "forbidden request-header").
//!
//! Each is sent a second time with the token, which is harder than any page can make it: a page that had the token could not
//! send it across origins without a preflight, and no preflight is ever granted.

mod acts;

use std::net::TcpStream;

use acts::{ACTS, Act, CORS, POST, SOCKET};
use aileron_tests::attack::{Heard, Page, Target};
use aileron_tests::bench;

/// A browser, by what of it shows on the wire.
struct Browser {
    name: &'static str,
    family: Family,
    agent: &'static str,
    /// Sends `Sec-Fetch-*` to trustworthy addresses.
    has_metadata: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Chrome,
    Firefox,
    Safari,
}

const BROWSERS: [Browser; 4] = [
    Browser {
        name: "Chrome 131",
        family: Family::Chrome,
        agent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
        has_metadata: true,
    },
    Browser {
        name: "Firefox 133",
        family: Family::Firefox,
        agent: "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
        has_metadata: true,
    },
    Browser {
        name: "Safari 18",
        family: Family::Safari,
        agent: "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
        has_metadata: true,
    },
    // Before 16.4 Safari has no `Sec-Fetch-*`: for it, `Host` and `Origin` have to do.
    Browser {
        name: "Safari 15",
        family: Family::Safari,
        agent: "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/15.6 Safari/605.1.15",
        has_metadata: false,
    },
];

const CHROME_HINTS: [&str; 3] = [
    "sec-ch-ua: \"Google Chrome\";v=\"131\", \"Chromium\";v=\"131\", \"Not_A Brand\";v=\"24\"",
    "sec-ch-ua-mobile: ?0",
    "sec-ch-ua-platform: \"Linux\"",
];

/// Where the origin depends on the browser.
const EXTENSIONS: [(Family, &str); 3] = [
    (Family::Chrome, "chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb"),
    (Family::Firefox, "moz-extension://2c127fa4-62c7-7e4f-90e5-472b45eecfdc"),
    (Family::Safari, "safari-web-extension://5D4B5A1E-3C0C-4B4B-9B5D-0F1A2B3C4D5E"),
];

impl Browser {
    /// The request as this browser sends it, and `more` headers.
    fn request(&self, act: &Act, target: &Target, more: &[&str]) -> Vec<u8> {
        let body = target.fill(act.body.as_bytes());
        let is_trustworthy = act.fetch != [""; 3];
        let mut headers = vec![format!("Host: {}", act.host)];
        let agent = format!("User-Agent: {}", self.agent);
        let accept = format!("Accept: {}", act.accept);
        let [site, how, destination] = act.fetch;
        let mut metadata = Vec::new();
        if self.has_metadata && is_trustworthy {
            metadata.extend([
                format!("Sec-Fetch-Site: {site}"),
                format!("Sec-Fetch-Mode: {how}"),
                format!("Sec-Fetch-Dest: {destination}"),
            ]);
            if destination == "document" {
                metadata.push("Sec-Fetch-User: ?1".to_owned());
            }
        }
        let connection =
            if act.extra == SOCKET { "Connection: Upgrade" } else { "Connection: keep-alive" }.to_owned();
        let length = act.line.starts_with("POST").then(|| format!("Content-Length: {}", body.len()));
        let origin = (!act.origin.is_empty()).then(|| format!("Origin: {}", act.origin));
        let encoding = if is_trustworthy {
            "Accept-Encoding: gzip, deflate, br"
        } else {
            "Accept-Encoding: gzip, deflate"
        };
        let (extra, encoding) = (act.extra.iter().map(|line| (*line).to_owned()), encoding.to_owned());
        match self.family {
            Family::Chrome => {
                headers.push(connection);
                headers.extend(length);
                if is_trustworthy {
                    headers.extend(CHROME_HINTS.map(String::from));
                }
                headers.extend([agent, accept]);
                headers.extend(extra);
                headers.extend(origin);
                headers.extend(metadata);
                headers.extend([encoding, "Accept-Language: en-US,en;q=0.9".to_owned()]);
            }
            Family::Firefox => {
                headers.extend([agent, accept, "Accept-Language: en-US,en;q=0.5".to_owned(), encoding]);
                headers.extend(extra);
                headers.extend(length);
                headers.extend(origin);
                headers.push(connection);
                headers.extend(metadata.into_iter().rev());
                headers.push("Priority: u=4".to_owned());
            }
            Family::Safari => {
                headers.extend(extra);
                headers.extend([accept, encoding]);
                headers.extend(metadata);
                headers.extend(origin);
                headers.extend([agent, connection, "Accept-Language: en-GB,en;q=0.9".to_owned()]);
                headers.extend(length);
            }
        }
        headers.extend(more.iter().map(|line| (*line).to_owned()));
        let head = format!("{} HTTP/1.1\r\n{}\r\n\r\n", act.line, headers.join("\r\n"));
        [head.into_bytes(), body].concat()
    }
}

/// Names for the loopback address, and for others, by which somebody may get past a comparison. A browser writes most numbers
/// as `127.0.0.1` before it sends them; other programs send them as they are.
const HOSTS: [&str; 22] = [
    "LOCALHOST:{port}",
    "localhost.:{port}",
    "127.0.0.1.:{port}",
    "2130706433:{port}",
    "0x7f000001:{port}",
    "0177.0.0.1:{port}",
    "127.1:{port}",
    "127.000.000.001:{port}",
    "127.0.0.2:{port}",
    "0.0.0.0:{port}",
    "[::1]:{port}",
    "[::ffff:127.0.0.1]:{port}",
    "user@127.0.0.1:{port}",
    "127.0.0.1:{port}@evil.example",
    "127.0.0.1:{port}.evil.example",
    "127.0.0.1:{port},evil.example",
    "127.0.0.1:{port}#evil.example",
    "127.0.0.1:{port}/",
    "127.0.0.1.evil.example:{port}",
    "127.0.0.1",
    "127.0.0.1:80",
    "xn--localhost-:{port}",
];

/// Origins that begin, end or look like ours.
const ORIGINS: [&str; 10] = [
    "http://127.0.0.1:{port}.evil.example",
    "http://127.0.0.1:{port}@evil.example",
    "http://evil.example/http://127.0.0.1:{port}",
    "http://127.0.0.1:{port}/",
    "http://127.0.0.1:{port} http://evil.example",
    "HTTP://127.0.0.1:{port}",
    "http://LOCALHOST:{port}",
    "http://[::1]:{port}",
    "ws://127.0.0.1:{port}",
    "",
];

const TOKEN: &str = "Authorization: Bearer {token}";

/// CVE-2025-49596, CVE-2024-28224, transmission#468: whatever a page has its browser send, from each of these browsers, with and
/// without the token.
#[test]
fn p12_no_page_gets_past_the_door() {
    let bench = bench!();
    let target = Target::new(&bench);
    let mut page = Page::new("web: pages");
    for browser in &BROWSERS {
        let own_extension = EXTENSIONS.iter().find(|(family, _)| *family == browser.family);
        let extension = Act {
            name: "extension",
            origin: own_extension.map_or("null", |(_, origin)| origin),
            fetch: CORS,
            ..POST
        };
        for act in ACTS.iter().chain([&extension]) {
            let expected = act.expected[usize::from(!browser.has_metadata)];
            let got = target.attempt(&browser.request(act, &target, &[]), 1);
            page.note(format!("{}, {}", act.name, act.line), browser.name, expected, got);
            // What is only asked for its token is let in with it, and a page can attach it to nothing of that kind.
            if expected == "403" {
                let got = target.attempt(&browser.request(act, &target, &[TOKEN]), 1);
                page.note(format!("{}, {}, with the token", act.name, act.line), browser.name, "403", got);
            }
        }
    }
    page.finish(300);
    target.obeys_its_owner();
}

/// Whoever sends `Host` and `Origin` by hand: nothing but our address and `localhost`, with our port, to the letter.
#[test]
fn p12_no_other_name_is_ours() {
    let bench = bench!();
    let target = Target::new(&bench);
    let mut page = Page::new("web: names");
    for host in HOSTS {
        let text =
            format!("POST /v1/daemon/stop HTTP/1.1\r\nHost: {host}\r\n{TOKEN}\r\nContent-Length: 0\r\n\r\n");
        page.note(format!("Host: {host}"), "any program", "403", target.attempt(text.as_bytes(), 1));
    }
    for origin in ORIGINS {
        let text = format!(
            "POST /v1/daemon/stop HTTP/1.1\r\nHost: 127.0.0.1:{{port}}\r\nOrigin: {origin}\r\n{TOKEN}\r\nContent-Length: 0\r\n\r\n"
        );
        page.note(format!("Origin: {origin}"), "any program", "403", target.attempt(text.as_bytes(), 1));
    }
    page.finish(HOSTS.len() + ORIGINS.len());
    target.obeys_its_owner();
}

/// Other addresses of this machine. "0.0.0.0 day" (2024): browsers that refuse a page 127.0.0.1 let it have 0.0.0.0, which
/// leads to the same listener and counts as no trustworthy address, so that nothing but `Host` gives it away.
#[test]
fn p12_no_other_address_leads_to_it() {
    let bench = bench!();
    let target = Target::new(&bench);
    let mut page = Page::new("web: addresses");
    let port = target.daemon.address.port();
    for address in ["0.0.0.0", "127.0.0.2", "[::1]", "[::ffff:127.0.0.2]"] {
        let there = format!("{address}:{port}").parse().unwrap();
        let request = format!("POST /v1/daemon/stop HTTP/1.1\r\nHost: {there}\r\n{TOKEN}\r\n\r\n");
        let (expected, got) = match TcpStream::connect(there) {
            Err(_) => ("refused", "refused".to_owned()),
            Ok(_) if address != "0.0.0.0" => ("refused", "accepted".to_owned()),
            Ok(_) => ("403", target.judge(&Heard::of(there, &target.fill(request.as_bytes()), 1))),
        };
        page.note(format!("connect to {there}"), "0.0.0.0 day", expected, got);
    }
    page.finish(4);
    target.obeys_its_owner();
}
