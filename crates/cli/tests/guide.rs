//! The guide to embedding quotes the example, piece by piece: what it shows is what is there.

/// The pieces of Rust in the guide that show what tally has no use for, by their first lines.
const NOT_OF_TALLY: [&str; 5] = [
    "let client = Client::new(state_dir, launch, options).with_timeout(Duration::from_secs(10));",
    "async fn save(context: &Context, store: &Store, what: &str) -> Result<(), Failure> {",
    "async fn next_change(State(feed): State<Feed>) -> Response {",
    "    let daemon = context.clone();",
    "    let app = async |_: Context| Ok(Some(Plain(hyper::service::service_fn(answer))));",
];

#[test]
fn the_guide_quotes_the_example() {
    let guide = include_str!("../../../docs/embedding.md");
    let tally = include_str!("../examples/tally.rs");
    let mut quoted = 0;
    let mut others = Vec::new();
    for piece in guide.split("```rust\n").skip(1) {
        let piece = piece.split("```").next().expect("a piece has an end");
        let first = piece.lines().next().expect("a piece is not empty");
        if NOT_OF_TALLY.contains(&first) {
            others.push(first);
        } else {
            assert!(tally.contains(piece), "not in tally.rs:\n{piece}");
            quoted += 1;
        }
    }
    assert!(quoted >= 6, "only {quoted} pieces are of tally.rs");
    assert_eq!(others.len(), NOT_OF_TALLY.len(), "{others:?}");
    assert!(tally.lines().count() <= 150, "an example is short");
}
