//! Failure 24: an idle end meets an arriving client. Nobody notices, nothing is done twice, and nothing acknowledged is lost.
//!
//! `AILERON_TEST_SECONDS` says for how long clients come; a suite has them come for 5 s.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::time::Duration;

use aileron_tests::asker::{Books, Journal, compare};
use aileron_tests::{Bench, End, PROMPT, Running, bench};

/// Both clients, each twice, at the edge of an idle time-out.
fn clients_at_the_edge(bench: &Bench, idle: u64, time: Duration) -> Vec<Running> {
    let (journal, millis, idle) = (bench.beside("journal"), time.as_millis().to_string(), idle.to_string());
    let begin = |(manner, name): (&str, &str)| {
        let call = bench.call(env!("CARGO_BIN_EXE_helper-client")).args(["work", manner]);
        call.arg(bench.state()).arg(&journal).args([name, &millis, &idle]).start()
    };
    [("async", "a"), ("blocking", "b"), ("async", "c"), ("blocking", "d")].into_iter().map(begin).collect()
}

fn time() -> Duration {
    let text = std::env::var("AILERON_TEST_SECONDS");
    Duration::from_secs(text.map_or(5, |text| text.parse().unwrap()))
}

/// Three daemons at once, with idle time-outs of 50, 100 and 200 ms.
#[test]
fn clients_at_the_idle_edge_notice_nothing() {
    std::thread::scope(|scope| {
        let stories: Vec<_> =
            [50, 100, 200].map(|idle| scope.spawn(move || story(idle))).into_iter().collect();
        let mut launches = 0;
        for story in stories {
            let (told, daemons) = story.join().unwrap();
            println!("{told}");
            launches += daemons;
        }
        // However busy the machine: beyond the first of each there was another, so an edge was reached.
        assert!(launches > 3, "{launches} launches");
    });
}

/// What is to be told of it, and how many daemons there were.
fn story(idle: u64) -> (String, usize) {
    let bench = bench!();
    let clients = clients_at_the_edge(&bench, idle, time());
    let told: Vec<String> = clients
        .into_iter()
        .map(|client| {
            let outcome = client.finish(time() + 4 * PROMPT);
            assert_eq!(outcome.end, End::Status(0), "{outcome:?}");
            outcome.stdout
        })
        .collect();
    let journal = Journal(bench.beside("journal"));
    let books = compare(&told.concat(), &journal);
    let failed: Vec<&str> =
        told.iter().flat_map(|told| told.lines()).filter(|line| !line.ends_with(" 200")).collect();
    assert!(failed.is_empty(), "{} of {books:?}: {failed:#?}", failed.len());
    let Books { answered, posts, .. } = books;
    let launches = journal.launches();
    assert!(answered > 20 && posts > 10, "{books:?}");
    let told = format!(
        "idle {idle} ms, {} s: {answered} calls, {posts} of them POST, {launches} launches, 0 failed",
        time().as_secs()
    );
    (told, launches)
}
