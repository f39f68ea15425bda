//! Symmetry: states that differ only in which slot a process has, or in which number a file has, are one state.
//!
//! Processes are sorted by what they are doing, files are numbered in the order of first mention. Where two processes do the same
//! and differ only in who refers to them the order is arbitrary, which costs some states and no soundness.

use std::hash::{Hash, Hasher};

use crate::state::{At, CLIENTS, Client, DAEMONS, Daemon, Ino, Record, State, Step};

/// The representative of a state's class.
pub fn canonical(state: &State) -> State {
    let mut state = *state;
    sort_daemons(&mut state);
    sort_clients(&mut state);
    number_locks(&mut state);
    number_gates(&mut state);
    state
}

/// 64 bits of the representative. Among a hundred million states two share one with a probability of 3 in 10,000.
pub fn fingerprint(state: &State) -> u64 {
    let State { here, aside, daemons, clients, outside, broken } = state;
    let mut mixer = Mixer::default();
    (here, aside.there, outside, broken.is_some()).hash(&mut mixer);
    if aside.there {
        aside.hash(&mut mixer);
    }
    // Slots that are not in use are the last ones, and clients with nothing to do are all alike.
    for daemon in daemons.iter().take_while(|daemon| daemon.at != At::Unused) {
        daemon.hash(&mut mixer);
    }
    mixer.write_u8(u8::MAX);
    for client in clients {
        if matches!(client.at, Step::Idle | Step::Done) {
            (client.at, client.rounds, client.kind).hash(&mut mixer);
        } else {
            client.hash(&mut mixer);
        }
    }
    mixer.finish()
}

/// Where a file is, apart from its number.
fn place(state: &State, file: Ino) -> u8 {
    let names = [0, state.here.lock, state.here.moved_lock, state.aside.lock, state.aside.moved_lock];
    index_of(&names, file)
}

fn gate_place(state: &State, file: Ino) -> u8 {
    index_of(&[0, state.here.gate, state.aside.gate], file)
}

fn index_of(names: &[Ino], file: Ino) -> u8 {
    let at = names.iter().position(|name| *name == file).unwrap_or(names.len());
    u8::try_from(at).expect("there are few names")
}

fn sort_daemons(state: &mut State) {
    let key = |slot: &usize| {
        let daemon = state.daemons[*slot];
        let mentioned = Record::Of(small(*slot));
        let records = [state.here.record, state.aside.record].map(|record| record == mentioned);
        (Daemon { fd: place(state, daemon.fd), launcher: u8::from(daemon.launcher != 0), ..daemon }, records)
    };
    let mut order: [usize; DAEMONS] = std::array::from_fn(|slot| slot);
    if order.is_sorted_by_key(key) {
        return;
    }
    order.sort_by_key(key);
    let daemons = order.map(|slot| state.daemons[slot]);
    let renamed = |record: &mut Record| {
        if let Record::Of(old) = *record {
            let new =
                order.iter().position(|slot| *slot == usize::from(old)).expect("an order has all slots");
            *record = Record::Of(small(new));
        }
    };
    state.daemons = daemons;
    for dir in [&mut state.here, &mut state.aside] {
        renamed(&mut dir.record);
        renamed(&mut dir.temporary);
    }
    for client in &mut state.clients {
        renamed(&mut client.of);
    }
}

fn sort_clients(state: &mut State) {
    let key = |client: &usize| {
        let client = state.clients[*client];
        Client { gate: gate_place(state, client.gate), probe: place(state, client.probe), ..client }
    };
    let mut order: [usize; CLIENTS] = std::array::from_fn(|client| client);
    if order.is_sorted_by_key(key) {
        return;
    }
    order.sort_by_key(key);
    state.clients = order.map(|client| state.clients[client]);
    for daemon in &mut state.daemons {
        if daemon.launcher != 0 {
            let old = usize::from(daemon.launcher - 1);
            let new = order.iter().position(|client| *client == old).expect("an order has all clients");
            daemon.launcher = small(new) + 1;
        }
    }
}

/// Gives numbers in the order of first mention.
struct Numbers {
    new: [Ino; 16],
    last: Ino,
}

impl Numbers {
    fn renumber(&mut self, file: &mut Ino) {
        if *file == 0 {
            return;
        }
        let new = &mut self.new[usize::from(*file)];
        if *new == 0 {
            self.last += 1;
            *new = self.last;
        }
        *file = *new;
    }
}

fn number_locks(state: &mut State) {
    let mut numbers = Numbers { new: [0; 16], last: 0 };
    for dir in [&mut state.here, &mut state.aside] {
        numbers.renumber(&mut dir.lock);
        numbers.renumber(&mut dir.moved_lock);
    }
    state.daemons.iter_mut().for_each(|daemon| numbers.renumber(&mut daemon.fd));
    state.clients.iter_mut().for_each(|client| numbers.renumber(&mut client.probe));
}

fn number_gates(state: &mut State) {
    let mut numbers = Numbers { new: [0; 16], last: 0 };
    numbers.renumber(&mut state.here.gate);
    numbers.renumber(&mut state.aside.gate);
    state.clients.iter_mut().for_each(|client| numbers.renumber(&mut client.gate));
}

fn small(number: usize) -> u8 {
    u8::try_from(number).expect("there are few slots")
}

/// Bytes to 64 bits: each eight are multiplied in, and the end is that of `MurmurHash3`.
#[derive(Default)]
struct Mixer {
    hash: u64,
    pending: u64,
    count: u32,
}

impl Mixer {
    fn byte(&mut self, byte: u8) {
        self.pending = self.pending << 8 | u64::from(byte);
        self.count += 1;
        if self.count.is_multiple_of(8) {
            self.mix();
        }
    }

    fn mix(&mut self) {
        self.hash = (self.hash.rotate_left(29) ^ self.pending).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.hash ^= self.hash >> 32;
        self.pending = 0;
    }
}

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.byte(*byte);
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.byte(byte);
    }

    /// A discriminant, of which one byte tells all.
    fn write_isize(&mut self, discriminant: isize) {
        self.byte(discriminant.to_le_bytes()[0]);
    }

    /// The length of an array, which is always the same.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        let mut last = Self { hash: self.hash, pending: self.pending, count: self.count };
        last.mix();
        let mut hash = last.hash ^ u64::from(last.count);
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        hash ^ (hash >> 33)
    }
}
