//! Reading an HTTP/1 answer to the end that its head announces (RFC 9112, section 6.3). Pure.
//!
//! An answer that is cut short is never taken for a whole one, unless its head leaves nothing but the end of the stream to
//! tell its end by.

use std::io;

/// Whether an answer has a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// As its head says.
    Expected,
    /// Never: it answers a `HEAD`.
    None,
}

/// What of a head matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// Of the head itself, in bytes.
    pub(crate) length: usize,
    framing: Framing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
    UntilEnd,
}

pub(crate) fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "what answers does not speak HTTP")
}

/// The head at the beginning of `bytes`, once it is whole.
pub(crate) fn head(bytes: &[u8], body: Body) -> io::Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = response.parse(bytes).map_err(|_| malformed())? else {
        return Ok(None);
    };
    let status = response.code.ok_or_else(malformed)?;
    let value = |name: &str| {
        let mut named = response.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
        let first = named.next().map(|header| String::from_utf8_lossy(header.value).trim().to_owned());
        // Two lengths are a way to have two readers see two answers.
        if named.next().is_some() { Err(malformed()) } else { Ok(first) }
    };
    let framing = if body == Body::None || status < 200 || matches!(status, 204 | 304) {
        Framing::Length(0)
    } else if let Some(encoding) = value("transfer-encoding")? {
        if !encoding.eq_ignore_ascii_case("chunked") {
            return Err(malformed());
        }
        Framing::Chunked
    } else if let Some(length) = value("content-length")? {
        Framing::Length(body_length(length.as_bytes()).ok_or_else(malformed)?)
    } else {
        Framing::UntilEnd
    };
    Ok(Some(Head { status, length, framing }))
}

/// `Content-Length` is digits, and not whatever else is a number somewhere, like `+2` (RFC 9110, section 8.6).
pub(crate) fn body_length(value: &[u8]) -> Option<usize> {
    let digits = std::str::from_utf8(value).ok()?.trim();
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// No line with the size of a chunk is longer, in bytes.
const MAX_CHUNK_LINE: usize = 1024;

/// Reads a body piece by piece.
#[derive(Debug)]
pub(crate) struct Reader {
    framing: Framing,
    /// Of this chunk, or of the whole body, in bytes. In a chunked body, `None` before the size of a chunk is known.
    left: Option<usize>,
}

impl Reader {
    pub(crate) fn of(head: &Head) -> Self {
        let left = match head.framing {
            Framing::Length(length) => Some(length),
            Framing::UntilEnd => Some(usize::MAX),
            Framing::Chunked => None,
        };
        Self { framing: head.framing, left }
    }

    /// Whether the end of the stream is the end of the body.
    pub(crate) fn ends_with_stream(&self) -> bool {
        self.framing == Framing::UntilEnd
    }

    /// Moves what belongs to the body from `read` to `body`; `true` once the body is whole.
    pub(crate) fn take(&mut self, read: &mut Vec<u8>, body: &mut Vec<u8>) -> io::Result<bool> {
        loop {
            if let Some(left) = &mut self.left {
                let count = read.len().min(*left);
                body.extend(read.drain(..count));
                *left -= count;
                match (self.framing, *left) {
                    (Framing::Chunked, 0) => {}
                    (_, left) => return Ok(left == 0),
                }
                // A chunk ends with a line break of its own.
                match read.get(..2) {
                    Some(b"\r\n") => drop(read.drain(..2)),
                    Some(_) => return Err(malformed()),
                    None => return Ok(false),
                }
                self.left = None;
            }
            match httparse::parse_chunk_size(read).map_err(|_| malformed())? {
                httparse::Status::Partial if read.len() > MAX_CHUNK_LINE => return Err(malformed()),
                httparse::Status::Partial => return Ok(false),
                // However it came: in one piece it is no better than in many.
                httparse::Status::Complete((line, _)) if line > MAX_CHUNK_LINE => return Err(malformed()),
                // The connection is not used again, so what trails behind the last chunk is not read.
                httparse::Status::Complete((_, 0)) => return Ok(true),
                httparse::Status::Complete((line, size)) => {
                    read.drain(..line);
                    self.left = Some(usize::try_from(size).map_err(|_| malformed())?);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a reader makes of `bytes` that come in pieces of `step`: the body, and whether it is whole.
    fn read(bytes: &[u8], step: usize) -> io::Result<(Vec<u8>, bool, bool)> {
        let mut pending = Vec::new();
        let mut pieces = bytes.chunks(step);
        let head = loop {
            if let Some(head) = head(&pending, Body::Expected)? {
                break head;
            }
            pending.extend_from_slice(pieces.next().expect("a whole head"));
        };
        pending.drain(..head.length);
        let (mut reader, mut body) = (Reader::of(&head), Vec::new());
        loop {
            if reader.take(&mut pending, &mut body)? {
                return Ok((body, true, reader.ends_with_stream()));
            }
            match pieces.next() {
                Some(piece) => pending.extend_from_slice(piece),
                None => return Ok((body, false, reader.ends_with_stream())),
            }
        }
    }

    #[test]
    fn an_answer_is_whole_at_its_last_byte_and_not_before() {
        let answers: [(&[u8], &[u8]); 3] = [
            (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", b"ok"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n, world...\r\n0\r\n", b"hello, world..."),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n", b""),
        ];
        for (bytes, expected) in answers {
            for step in 1..=bytes.len() {
                assert_eq!(read(bytes, step).unwrap(), (expected.to_vec(), true, false), "{step}");
            }
            let head = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
            for end in head..bytes.len() {
                assert!(!read(&bytes[..end], 1).unwrap().1, "{end}");
            }
        }
    }

    #[test]
    fn without_a_length_the_stream_ends_it() {
        let bytes = b"HTTP/1.0 200 OK\r\n\r\nuntil the end";
        assert_eq!(read(bytes, 7).unwrap(), (b"until the end".to_vec(), false, true));
    }

    #[test]
    fn some_answers_have_no_body_whatever_they_say() {
        for bytes in [
            &b"HTTP/1.1 204 No Content\r\n\r\n"[..],
            b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
        ] {
            assert_eq!(read(bytes, 99).unwrap(), (Vec::new(), true, false));
        }
        let answered = head(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", Body::None).unwrap().unwrap();
        assert_eq!(answered.framing, Framing::Length(0));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_not_read() {
        for bytes in [
            &b"SSH-2.0-OpenSSH\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokx",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n",
        ] {
            assert!(read(bytes, bytes.len()).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
    }
}
