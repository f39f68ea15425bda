//! What the files of `/proc` say, given their text. Pure: the reading is `sys`'s.
//!
//! The kernel writes these files, and others choose what is in them: a program its name and its arguments, whoever started
//! it the environment, an administrator the control group.

use std::ffi::OsString;

/// The fields of `/proc/PID/stat` from the third on: the second is the command in parentheses, which may itself
/// contain spaces and parentheses, so fields are counted from the *last* closing one. A zombie counts as gone.
pub(crate) fn stat_fields(stat: &[u8]) -> Option<Vec<String>> {
    let text = String::from_utf8_lossy(stat);
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<String> = rest.split_ascii_whitespace().map(String::from).collect();
    let dead = matches!(fields.first().map(String::as_str), Some("Z" | "X") | None);
    (!dead).then_some(fields)
}

/// Field 22: ticks after boot at which the process started.
pub(crate) fn start_time(fields: &[String]) -> Option<u64> {
    fields.get(19)?.parse().ok()
}

/// Field 4: the parent.
pub(crate) fn parent(fields: &[String]) -> Option<u32> {
    fields.get(1)?.parse().ok()
}

/// Field 3 of whoever is stopped, by a signal or by a tracer.
pub(crate) fn is_paused(fields: &[String]) -> bool {
    matches!(fields.first().map(String::as_str), Some("T" | "t"))
}

/// `lock:\t1: FLOCK  ADVISORY  WRITE 4711 08:01:123456 0 EOF` gives the inode number.
pub(crate) fn exclusive_flock(line: &str) -> Option<u64> {
    let words: Vec<&str> = line.strip_prefix("lock:")?.split_ascii_whitespace().collect();
    let [_, "FLOCK", _, "WRITE", _, file, ..] = words.as_slice() else { return None };
    file.rsplit(':').next()?.parse().ok()
}

/// The words of `cmdline` or `environ`, each of which ends with a NUL.
pub(crate) fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.strip_suffix(b"\0").unwrap_or(text).split(|byte| *byte == 0)
}

/// The value in `NAME=VALUE`, if that is the name.
pub(crate) fn value_of<'a>(word: &'a [u8], name: &str) -> Option<&'a [u8]> {
    word.strip_prefix(name.as_bytes())?.strip_prefix(b"=")
}

/// The line of the unified hierarchy, `0::PATH`, or systemd's own where that says nothing.
pub(crate) fn control_group(text: &str) -> String {
    let path_of = |prefix: &str, line: &str| {
        let (number, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        (controllers == prefix && (number == "0") == prefix.is_empty()).then(|| path.to_owned())
    };
    let unified = text.lines().find_map(|line| path_of("", line)).filter(|path| path != "/");
    let found = unified.or_else(|| text.lines().find_map(|line| path_of("name=systemd", line)));
    found.unwrap_or_else(|| "/".to_owned())
}

/// The value of `--state-dir`, in either spelling.
pub(crate) fn named_by_option(arguments: &[OsString]) -> Option<OsString> {
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if word == "--state-dir" {
            return words.next().cloned().filter(|value| !value.is_empty());
        }
        if let Some(value) = word.to_str().and_then(|word| word.strip_prefix("--state-dir=")) {
            return Some(value.into()).filter(|value: &OsString| !value.is_empty());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flock_line_gives_the_inode() {
        assert_eq!(exclusive_flock("lock:\t1: FLOCK  ADVISORY  WRITE 41 fe:00:1234 0 EOF"), Some(1234));
        assert_eq!(exclusive_flock("lock:\t1: FLOCK  ADVISORY  READ 41 fe:00:1234 0 EOF"), None);
        assert_eq!(exclusive_flock("lock:\t1: POSIX  ADVISORY  WRITE 41 fe:00:1234 0 EOF"), None);
        assert_eq!(exclusive_flock("pos:\t0"), None);
    }

    #[test]
    fn the_directory_is_named_in_either_spelling() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        for line in
            ["a --state-dir /x daemon serve", "a --state-dir=/x daemon serve", "a daemon run --state-dir /x"]
        {
            assert_eq!(named_by_option(&words(line)), Some("/x".into()), "{line}");
        }
        assert_eq!(named_by_option(&words("a daemon serve --state-dir")), None);
        assert_eq!(named_by_option(&words("a --state-dir= daemon serve")), None);
    }
}
