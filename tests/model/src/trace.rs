//! A way through the states, taken again with words.

use std::cell::RefCell;
use std::fmt::Write as _;

use crate::canon::{canonical, fingerprint};
use crate::property::Property;
use crate::state::{At, State};
use crate::world::{Begin, Names, Sink, Who, World};

/// Gives names that stay: slots and numbers are used again, names are not.
#[derive(Default)]
struct Register {
    daemons: Naming,
    locks: Naming,
    gates: Naming,
}

#[derive(Default)]
struct Naming {
    names: RefCell<Vec<(usize, u32)>>,
    last: std::cell::Cell<u32>,
}

impl Naming {
    fn of(&self, thing: usize) -> u32 {
        let mut names = self.names.borrow_mut();
        if let Some((_, name)) = names.iter().find(|(named, _)| *named == thing) {
            return *name;
        }
        self.last.set(self.last.get() + 1);
        names.push((thing, self.last.get()));
        self.last.get()
    }

    fn keep(&self, is_in_use: impl Fn(usize) -> bool) {
        self.names.borrow_mut().retain(|(thing, _)| is_in_use(*thing));
    }
}

impl Names for Register {
    fn daemon(&self, slot: usize) -> String {
        format!("D{}", self.daemons.of(slot))
    }

    fn client(&self, client: usize) -> String {
        format!("C{}", client + 1)
    }

    fn lock(&self, file: u8) -> String {
        format!("lock file {}", self.locks.of(usize::from(file)))
    }

    fn gate(&self, file: u8) -> String {
        format!("gate file {}", self.gates.of(usize::from(file)))
    }
}

impl Register {
    /// A step in words, told before the names of what goes with it are forgotten.
    fn line(&self, who: Who, what: impl FnOnce(&dyn Names) -> String) -> String {
        let actor = match who {
            Who::Daemon(slot) => self.daemon(slot),
            Who::Client(client) => self.client(client),
            Who::Adversary | Who::Chance => "–".to_owned(),
        };
        format!("{actor:<3} {}", what(self))
    }

    /// Names what is there now, in an order that readers expect, and forgets what is gone.
    fn refresh(&self, state: &State) {
        self.daemons.keep(|slot| state.daemons[slot].at != At::Unused);
        let mut locks =
            vec![state.here.lock, state.here.moved_lock, state.aside.lock, state.aside.moved_lock];
        locks.extend(state.daemons.iter().map(|daemon| daemon.fd));
        locks.extend(state.clients.iter().map(|client| client.probe));
        let mut gates = vec![state.here.gate, state.aside.gate];
        gates.extend(state.clients.iter().map(|client| client.gate));
        for (naming, files) in [(&self.locks, locks), (&self.gates, gates)] {
            naming.keep(|file| files.iter().any(|used| usize::from(*used) == file));
            for file in files.into_iter().filter(|file| *file != 0) {
                naming.of(usize::from(file));
            }
        }
        for slot in state.living() {
            self.daemons.of(slot);
        }
    }
}

/// Looks for the step to a given state.
struct Finder<'a> {
    wanted: u64,
    register: &'a Register,
    found: Option<(State, String)>,
}

impl Sink for Finder<'_> {
    fn take(&mut self, who: Who, next: State, what: impl FnOnce(&dyn Names) -> String) {
        if self.found.is_some() || fingerprint(&canonical(&next)) != self.wanted {
            return;
        }
        self.found = Some((next, self.register.line(who, what)));
    }
}

/// The steps on the way, in words, one a line and numbered.
///
/// # Panics
///
/// When the way is not one of this world's.
pub fn tell(world: &World, property: Property, way: &[u64]) -> String {
    let register = Register::default();
    let mut state = world.first();
    register.refresh(&state);
    let mut text = match world.config.begin {
        Begin::Empty => " 0.     there is no directory\n".to_owned(),
        Begin::Serving => " 0.     D1 serves; it holds lock file 1, and its record is published\n".to_owned(),
    };
    for (number, wanted) in (1..).zip(&way[1..]) {
        let mut finder = Finder { wanted: *wanted, register: &register, found: None };
        world.successors(&state, &mut finder);
        let (next, line) = finder.found.expect("the search came this way");
        writeln!(text, "{number:>2}. {line}").expect("a string takes everything");
        register.refresh(&next);
        state = next;
    }
    if property == Property::NoRest {
        go_round(world, &register, state, way.len(), &mut text);
    }
    writeln!(text, "    ⇒ {}", property.says()).expect("a string takes everything");
    text
}

/// Goes on by steps that happen by themselves, until one leads to where it has been: none of them leads to rest.
fn go_round(world: &World, register: &Register, mut state: State, mut number: usize, text: &mut String) {
    let mut been = vec![fingerprint(&canonical(&state))];
    loop {
        let mut walker = Walker { been: &been, register, found: None };
        world.successors(&state, &mut walker);
        let Some((next, line, is_new)) = walker.found else { return };
        writeln!(text, "{number:>2}. {line}").expect("a string takes everything");
        if !is_new {
            let at = been.iter().position(|seen| *seen == fingerprint(&canonical(&next)));
            let back = number - been.len() + at.expect("it has been there");
            writeln!(text, "    … and is where it was after {back}").expect("a string takes everything");
            return;
        }
        register.refresh(&next);
        been.push(fingerprint(&canonical(&next)));
        (state, number) = (next, number + 1);
    }
}

/// Takes a step that happens by itself, a new one if there is one.
struct Walker<'a> {
    been: &'a [u64],
    register: &'a Register,
    found: Option<(State, String, bool)>,
}

impl Sink for Walker<'_> {
    fn take(&mut self, who: Who, next: State, what: impl FnOnce(&dyn Names) -> String) {
        let is_new = !self.been.contains(&fingerprint(&canonical(&next)));
        if who.is_fair() && self.found.as_ref().is_none_or(|(.., found_new)| is_new && !found_new) {
            self.found = Some((next, self.register.line(who, what), is_new));
        }
    }
}
