//! The search: breadth first, so that the first violation is a shortest one, and complete.
//!
//! Of each state that was seen its fingerprint is kept, the state it was first reached from, and which states follow from it by
//! fair steps. A trace is had by taking the same steps again.

use std::time::{Duration, Instant};

use crate::canon::{canonical, fingerprint};
use crate::property::Property;
use crate::state::State;
use crate::world::{Names, Sink, Who, World};

/// What a search found.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The violation, if there is one: which property, and the fingerprints on the way to it.
    pub violation: Option<(Property, Vec<u64>)>,
    /// How many states were seen, up to symmetry.
    pub states: usize,
    /// How many steps lead from one to another.
    pub transitions: u64,
    /// The length of the longest shortest way.
    pub depth: u32,
    /// How long it took.
    pub took: Duration,
    /// Whether it gave up before everything was seen.
    pub cut_off: bool,
    /// How many states have a client that would launch and all slots taken.
    pub crowded: u64,
}

/// Index of a state; there are fewer than four billion.
type Index = u32;

const NOBODY: Index = Index::MAX;

/// The states that were seen, by fingerprint: an open hash table of indices.
struct Seen {
    fingerprints: Vec<u64>,
    slots: Vec<Index>,
}

impl Seen {
    fn new() -> Self {
        Self { fingerprints: Vec::new(), slots: vec![NOBODY; 1 << 16] }
    }

    /// The state's index, and whether it is new.
    fn insert(&mut self, fingerprint: u64) -> (Index, bool) {
        if self.fingerprints.len() * 10 > self.slots.len() * 7 {
            self.grow();
        }
        let mut slot = self.slot_of(fingerprint);
        loop {
            match self.slots[slot] {
                NOBODY => break,
                index if self.fingerprints[index as usize] == fingerprint => return (index, false),
                _ => slot = (slot + 1) & (self.slots.len() - 1),
            }
        }
        let index = Index::try_from(self.fingerprints.len()).expect("fewer than four billion states");
        self.slots[slot] = index;
        self.fingerprints.push(fingerprint);
        (index, true)
    }

    fn slot_of(&self, fingerprint: u64) -> usize {
        usize::try_from(fingerprint).unwrap_or(usize::MAX) & (self.slots.len() - 1)
    }

    fn grow(&mut self) {
        self.slots = vec![NOBODY; self.slots.len() * 2];
        for (index, fingerprint) in (0..).zip(&self.fingerprints) {
            let mut slot = self.slot_of(*fingerprint);
            while self.slots[slot] != NOBODY {
                slot = (slot + 1) & (self.slots.len() - 1);
            }
            self.slots[slot] = index;
        }
    }
}

/// Everything known so far. It is itself what takes the steps of the state that is looked at.
struct Search {
    seen: Seen,
    parents: Vec<Index>,
    /// The fair steps of all states, one after another, and where those of each state end.
    fair: Vec<Index>,
    fair_ends: Vec<usize>,
    frontier: Vec<State>,
    current: Index,
    transitions: u64,
    fair_here: bool,
    violation: Option<(Property, Index)>,
}

impl Sink for Search {
    fn take(&mut self, who: Who, next: State, _: impl FnOnce(&dyn Names) -> String) {
        self.transitions += 1;
        let next = canonical(&next);
        let (index, new) = self.seen.insert(fingerprint(&next));
        if who.is_fair() {
            self.fair.push(index);
            self.fair_here = true;
        }
        if !new {
            return;
        }
        self.parents.push(self.current);
        self.frontier.push(next);
        if let Some(property) = next.broken {
            self.violation.get_or_insert((property, index));
        }
    }
}

impl Search {
    fn new(first: State) -> Self {
        let mut search = Self {
            seen: Seen::new(),
            parents: Vec::new(),
            fair: Vec::new(),
            fair_ends: Vec::new(),
            frontier: Vec::new(),
            current: NOBODY,
            transitions: 0,
            fair_here: false,
            violation: None,
        };
        search.take(Who::Chance, first, |_| String::new());
        search.transitions = 0;
        search
    }

    fn way_to(&self, mut index: Index) -> Vec<u64> {
        let mut way = Vec::new();
        while index != NOBODY {
            way.push(self.seen.fingerprints[index as usize]);
            index = self.parents[index as usize];
        }
        way.reverse();
        way
    }

    /// A state from which nothing that happens by itself ever leads to rest; of those the first that was seen.
    fn restless(&self) -> Option<Index> {
        let back = Back::of(&self.fair, &self.fair_ends);
        // At rest is who has no fair step.
        let begins = std::iter::once(&0).chain(&self.fair_ends);
        let mut comes_to_rest: Vec<bool> =
            begins.zip(&self.fair_ends).map(|(begin, end)| begin == end).collect();
        let is_at_rest = comes_to_rest.iter().zip(0..).filter(|(rests, _)| **rests);
        let mut queue: Vec<Index> = is_at_rest.map(|(_, index)| index).collect();
        while let Some(index) = queue.pop() {
            for before in back.before(index) {
                if !std::mem::replace(&mut comes_to_rest[*before as usize], true) {
                    queue.push(*before);
                }
            }
        }
        let first = comes_to_rest.iter().position(|rests| !rests)?;
        Some(Index::try_from(first).expect("an index was found"))
    }
}

/// The fair steps, backwards.
struct Back {
    sources: Vec<Index>,
    ends: Vec<usize>,
}

impl Back {
    fn of(fair: &[Index], fair_ends: &[usize]) -> Self {
        let mut ends = vec![0; fair_ends.len() + 1];
        for target in fair {
            ends[*target as usize + 1] += 1;
        }
        for index in 1..ends.len() {
            ends[index] += ends[index - 1];
        }
        // Where the sources of each state begin; moved on to where they end as they are filled in.
        ends.pop();
        let mut sources = vec![0; fair.len()];
        let mut source: Index = 0;
        for (position, target) in fair.iter().enumerate() {
            while fair_ends[source as usize] <= position {
                source += 1;
            }
            let end = &mut ends[*target as usize];
            sources[*end] = source;
            *end += 1;
        }
        Self { sources, ends }
    }

    fn before(&self, index: Index) -> &[Index] {
        let index = index as usize;
        let begin = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.sources[begin..self.ends[index]]
    }
}

/// How far a search is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// The number of steps from the first moment.
    pub depth: u32,
    /// States seen so far.
    pub states: usize,
    /// Time since it began.
    pub took: Duration,
}

/// Searches everything that can be reached, to the first violation or to `most` states. `tell` hears of each level.
pub fn search(world: &World, most: usize, mut tell: impl FnMut(Progress)) -> Outcome {
    let begun = Instant::now();
    let mut search = Search::new(canonical(&world.first()));
    let (mut depth, mut crowded, mut next_index) = (0, 0, 0);
    let mut cut_off = false;
    while search.violation.is_none() && !cut_off {
        let level = std::mem::take(&mut search.frontier);
        if level.is_empty() {
            break;
        }
        for state in &level {
            search.current = next_index;
            next_index += 1;
            search.fair_here = false;
            world.successors(state, &mut search);
            crowded += u64::from(world.is_crowded(state));
            search.fair_ends.push(search.fair.len());
            if search.violation.is_some() {
                break;
            }
        }
        cut_off = search.seen.fingerprints.len() > most;
        tell(Progress { depth, states: search.seen.fingerprints.len(), took: begun.elapsed() });
        depth += u32::from(!search.frontier.is_empty());
    }
    if search.violation.is_none() && !cut_off {
        search.violation = search.restless().map(|index| (Property::NoRest, index));
    }
    Outcome {
        violation: search.violation.map(|(property, index)| (property, search.way_to(index))),
        states: search.seen.fingerprints.len(),
        transitions: search.transitions,
        depth,
        took: begun.elapsed(),
        cut_off,
        crowded,
    }
}
