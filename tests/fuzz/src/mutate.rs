//! Damage: what disks, other versions, other programs and enemies do to a small JSON document.

use crate::corpus::Corpus;

/// No input grows beyond this, in bytes: readers stop at 64 KiB, and short inputs find the same faults sooner.
const LONGEST: usize = 8 * 1024;

/// What parsers of numbers, strings and documents trip over.
pub(crate) const DOCUMENT: &[&[u8]] = &[
    b"null",
    b"true",
    b"false",
    b"0",
    b"-0",
    b"-1",
    b"1",
    b"65535",
    b"65536",
    b"4294967295",
    b"4294967296",
    b"9007199254740991",
    b"9007199254740992",
    b"18446744073709551615",
    b"18446744073709551616",
    b"1e308",
    b"1e999",
    b"-1e-999",
    b"0.1",
    b"1.0",
    b"01",
    b"\"\"",
    b"\"\\u0000\"",
    b"\"\\ud800\"",
    b"\"\\ud83d\\ude00\"",
    b"\\",
    b"\"",
    b"{}",
    b"[]",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"\n",
    b"\r\n",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\xc3\x28",
    b"NaN",
    b"http://",
    b"http://127.0.0.1:0",
    b"http://[::1]:1",
    b"http://127.0.0.1:99999",
    b"http://10.0.0.1:80",
    b"http://localhost:80",
];

/// Damages `input` once, and with falling likelihood up to eight times. `corpus` lends parts of other inputs, `tokens` is
/// what the parser at hand trips over.
pub fn mutate(input: &mut Vec<u8>, tokens: &[&[u8]], corpus: &Corpus, random: &mut fastrand::Rng) {
    for _ in 0..=random.u8(..).trailing_zeros().min(7) {
        damage(input, tokens, corpus, random);
    }
    input.truncate(LONGEST);
}

fn damage(input: &mut Vec<u8>, tokens: &[&[u8]], corpus: &Corpus, random: &mut fastrand::Rng) {
    let at = random.usize(..=input.len());
    let range = at..(at + random.usize(..=32)).min(input.len());
    match random.u8(..14) {
        0 => input.truncate(at),
        1 if at < input.len() => input[at] ^= 1 << random.u8(..8),
        2 if at < input.len() => input[at] = random.u8(..),
        3 => input.insert(at, random.u8(..)),
        4 => drop(input.drain(range)),
        5 => {
            let part = input[range].to_vec();
            input.splice(at..at, part);
        }
        6 | 7 => {
            let token = tokens[random.usize(..tokens.len())];
            input.splice(at..at, token.iter().copied());
        }
        8 | 9 => replace_value(input, tokens, random),
        10 => {
            // Depth: a parser that recurses runs out of stack.
            let open = if random.bool() { b"[".as_slice() } else { b"{\"a\":".as_slice() };
            let times = 1 << random.u8(..11);
            input.splice(at..at, open.repeat(times));
        }
        11 => {
            let other = corpus.any(random);
            let from = random.usize(..=other.len());
            let to = (from + random.usize(..=256)).min(other.len());
            input.splice(range, other[from..to].iter().copied());
        }
        12 => {
            let filler = vec![random.u8(..); random.usize(..=1024)];
            input.splice(at..at, filler);
        }
        _ => repeat_member(input, random),
    }
}

/// Puts a token in the place of a value, so that the document stays one: `"pid": 42` becomes `"pid": 1e999`.
fn replace_value(input: &mut Vec<u8>, tokens: &[&[u8]], random: &mut fastrand::Rng) {
    let Some((from, to)) = some_value(input, random) else { return };
    let token = tokens[random.usize(..tokens.len())];
    input.splice(from..to, token.iter().copied());
}

/// Says a member twice, or takes it out.
fn repeat_member(input: &mut Vec<u8>, random: &mut fastrand::Rng) {
    let Some((_, to)) = some_value(input, random) else { return };
    let from = input[..to].iter().rposition(|byte| matches!(byte, b',' | b'{')).map_or(0, |found| found + 1);
    let member = input[from..to].to_vec();
    if random.bool() {
        input.splice(to..to, std::iter::once(b',').chain(member));
    } else {
        input.drain(from..to);
    }
}

/// Where a value that follows a colon begins and ends.
fn some_value(input: &[u8], random: &mut fastrand::Rng) -> Option<(usize, usize)> {
    let colons: Vec<usize> = (0..input.len()).filter(|at| input[*at] == b':').collect();
    let from = colons.get(random.usize(..colons.len().max(1)))? + 1;
    let length = input[from..].iter().position(|byte| matches!(byte, b',' | b'}' | b'\n'));
    Some((from, from + length.unwrap_or(input.len() - from)))
}
