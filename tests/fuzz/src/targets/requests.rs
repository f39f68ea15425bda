//! What a daemon reads: of whoever connects, of who started it, and of the daemon before it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use aileron_discovery::protocol::control::DaemonOptions;
use aileron_server::{Config, MAX_TIMEOUT, fuzzing};
use http::request::Parts;

use super::{Outcome, accepted, refused, refused_as};

/// What guards and settings trip over.
pub(super) const TOKENS: &[&[u8]] = &[
    b"\n",
    b"\n\n",
    b":",
    b"@",
    b"%",
    b"%00",
    b"//",
    b"/",
    b"?",
    b"#",
    b".",
    b"+",
    b" ",
    b"=",
    b",",
    b"\t",
    b"\0",
    b"\xff",
    b"null",
    b"none",
    b"same-origin",
    b"same-site",
    b"http://",
    b"https://",
    b"localhost",
    b"LOCALHOST",
    b"localhost:4711",
    b"127.0.0.1:4711",
    b"127.1:4711",
    b"[::1]:4711",
    b"[::ffff:127.0.0.1]:4711",
    b"0:4711",
    b"evil.example",
    b"evil.example:4711",
    b"127.0.0.1:4711.evil.example",
    b"04711",
    b"70247",
    b"\nhost: 127.0.0.1:4711",
    b"\nhost: evil.example:4711",
    b"\norigin: http://127.0.0.1:4711",
    b"\norigin: http://evil.example",
    b"\nsec-fetch-site: none",
    b"\nsec-fetch-site: cross-site",
    b"\nauthorization: Bearer 0123456789abcdef",
    b"Bearer ",
    b"/healthz",
    b"/v1/daemon/stop",
    b"/v1/handshake",
    b"info",
    b"debug",
    b"off",
    b"6",
    b"2000000",
    b"18446744073709551616",
];

/// The token in the corpus.
const TOKEN: &str = "0123456789abcdef";

const PORT: u16 = 4711;

/// The target and the fields of a head, a line each.
pub(super) fn request_head(bytes: &[u8]) -> Outcome {
    let Some(head) = head(bytes) else { return refused_as("no request") };
    let v4 = Ipv4Addr::LOCALHOST.into();
    let v6 = Ipv6Addr::LOCALHOST.into();
    let admitted = [v4, v6].map(|ip: IpAddr| {
        let admitted = fuzzing::is_addressed(SocketAddr::new(ip, PORT), &head);
        if admitted {
            is_ours_alone(ip, &head);
        }
        admitted
    });
    let shown = fuzzing::bearer(&head) == Some(TOKEN.as_bytes());
    let is_right = values(&head, "authorization") == [format!("Bearer {TOKEN}").as_bytes()];
    assert_eq!(shown, is_right, "the token is shown once, in one way");
    let area = fuzzing::area(head.uri.path());
    let is_open = matches!(
        head.uri.path(),
        "/healthz" | "/v1/handshake" | "/v1/daemon" | "/v1/daemon/stop" | "/v1/daemon/events"
    );
    assert_eq!(area == "App", !is_open, "only our own routes have rules of their own");
    let counts = ["host", "origin", "sec-fetch-site"].map(|name| values(&head, name).len().min(2));
    let what = (admitted, counts, head.uri.authority().is_some(), shown, area);
    Outcome { what: format!("{what:?}"), accepted: admitted.contains(&true) }
}

fn head(bytes: &[u8]) -> Option<Parts> {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let mut request = http::Request::builder().uri(lines.next()?);
    for line in lines.filter(|line| !line.is_empty()) {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let value = line[colon + 1..].trim_ascii();
        request = request.header(&line[..colon], http::HeaderValue::from_bytes(value).ok()?);
    }
    Some(request.body(()).ok()?.into_parts().0)
}

fn values<'a>(head: &'a Parts, name: &str) -> Vec<&'a [u8]> {
    head.headers.get_all(name).iter().map(http::HeaderValue::as_bytes).collect()
}

/// P12: what an admitted request says of where it goes and where it comes from names this machine and this port.
fn is_ours_alone(ip: IpAddr, head: &Parts) {
    let [host] = values(head, "host")[..] else { panic!("a request with one `Host`, and no other") };
    let authority = head.uri.authority().map(|authority| authority.as_str().as_bytes());
    let origins = values(head, "origin");
    let origins =
        origins.into_iter().map(|origin| origin.strip_prefix(b"http://").unwrap_or(b"none of ours"));
    for name in [host].into_iter().chain(authority).chain(origins) {
        assert!(names_us(ip, name), "`{}` is admitted", name.escape_ascii());
    }
    for site in values(head, "sec-fetch-site") {
        assert!(matches!(site, b"same-origin" | b"none"), "`{}` is admitted", site.escape_ascii());
    }
}

/// Said in another way than the guard does.
fn names_us(ip: IpAddr, name: &[u8]) -> bool {
    let Some((host, port)) = std::str::from_utf8(name).ok().and_then(|name| name.rsplit_once(':')) else {
        return false;
    };
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let literal = literal.split('%').next().unwrap_or_default();
    digits
        && port.trim_start_matches('0') == PORT.to_string()
        && (host == "localhost" || literal.parse() == Ok(ip))
}

/// `WATCHDOG_USEC` and `WATCHDOG_PID`, a line each.
pub(super) fn watchdog(bytes: &[u8]) -> Outcome {
    const PID: u32 = 7;
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split('\n');
    let (interval, pid) = (lines.next(), lines.next());
    let Some(found) = fuzzing::watchdog(interval, pid, PID) else {
        return refused_as((interval.map(|text| text.parse::<u64>().is_ok()), pid.is_some()));
    };
    assert!(!found.is_zero(), "a watchdog of nothing would have the keeper spin");
    assert_eq!(interval.and_then(|text| text.parse().ok()), Some(found.as_micros()), "as long as it says");
    assert!(pid.is_none_or(|pid| pid.parse() == Ok(PID)), "it is meant for another process");
    accepted((pid.is_some(), found.as_secs().min(3)))
}

pub(super) fn log_level(bytes: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(bytes);
    let Some(levels) = fuzzing::levels(&text) else { return refused_as(text.matches('=').count().min(3)) };
    for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let level = item.split_once('=').map_or(item, |(_, level)| level);
        let names = ["", "off", "error", "warn", "info", "debug", "trace"];
        let known = names.iter().any(|name| level.eq_ignore_ascii_case(name))
            || level.parse().is_ok_and(|number: u64| number <= 5);
        assert!(known, "`{level}` is taken for a level");
    }
    accepted((levels.matches(',').count().min(3), levels.contains('=')))
}

/// What a daemon of any version ran with, and its successor will.
pub(super) fn daemon_options(bytes: &[u8]) -> Outcome {
    let options = match serde_json::from_slice::<DaemonOptions>(bytes) {
        Ok(options) => options,
        Err(error) => return refused(&error),
    };
    let Ok(config) = Config::from_options(&options) else { return refused_as("no address") };
    assert_eq!(
        Config::from_options(&config.to_options()).as_ref(),
        Ok(&config),
        "a restart keeps what there was"
    );
    let can_work = config.check().is_ok();
    if can_work {
        assert!(config.bind.ip().is_loopback(), "only loopback is bound");
        assert!(config.drain_timeout <= MAX_TIMEOUT, "an end has an end");
    }
    accepted((
        can_work,
        config.idle_timeout.is_some(),
        config.lock_poll_interval.is_some(),
        config.bind.is_ipv6(),
    ))
}
