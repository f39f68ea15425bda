//! What a program sends that breaks the rules of HTTP, to be understood in two ways or to cost more than it may.
//!
//! There is no proxy between a client and its daemon, so smuggling gains nobody anything today. But what an embedder's user puts
//! in front is not for us to say, and a request that is refused must not have another one in its body.

mod slow;
mod table;

use aileron_tests::attack::{Page, Target};
use aileron_tests::bench;

use table::{ATTEMPTS, Attempt, CUT_SHORT, large};

/// Each on a connection of its own, the large ones after the others.
#[test]
fn p12_no_odd_request_is_acted_upon() {
    let bench = bench!();
    let target = Target::new(&bench);
    let mut page = Page::new("wire: odd requests");
    for Attempt { name, origin, bytes, expected } in ATTEMPTS {
        let wanted = if *expected == "closed" { 0 } else { expected.split(' ').count() };
        page.note(*name, *origin, expected, target.attempt(bytes, wanted));
    }
    for (name, bytes, expected) in large() {
        let wanted = usize::from(expected != "closed");
        page.note(name, "RFC 9110, sections 4.1, 5.4 and 15.5.14", expected, target.attempt(&bytes, wanted));
    }
    page.note("a body cut short", "RFC 9112, 8", "400", target.attempt(CUT_SHORT, 0));
    page.finish(ATTEMPTS.len());
    target.obeys_its_owner();
}
