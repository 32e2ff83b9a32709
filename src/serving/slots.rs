//! In-flight requests in a pool of slots, linked into queues and running lists.

use crate::workload::Request;

/// No slot.
pub const NONE: u32 = u32::MAX;

/// Where a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The slot is free.
    Free,
    /// In the queue of its replica.
    Waiting,
    /// Its prompt is being processed.
    Prefill,
    /// Emitting tokens.
    Decoding,
}

/// A request in flight.
#[derive(Debug, Clone, Copy)]
pub struct Slot {
    /// The request.
    pub request: Request,
    /// Where it is.
    pub stage: Stage,
    /// Place of its priority among the queues, 0 first.
    pub priority: u8,
    /// Whether it was ever admitted.
    pub admitted: bool,
    /// Whether it was decoding when it last lost its replica.
    pub was_decoding: bool,
    /// Its replica.
    pub replica: u32,
    /// Tokens to process before it emits its next token: its prompt, after preemption also what it had emitted.
    pub need: u32,
    /// Tokens emitted when it last began to decode, or when it was preempted.
    pub emitted: u32,
    /// Iteration number of its replica after which it is done; valid while decoding.
    pub finish_iter: u64,
    /// First token [fs]; negative before.
    pub first_token_fs: i128,
    /// Last token before preemption [fs].
    pub last_token_fs: i128,
    /// Neighbours in the list it stands in.
    pub prev: u32,
    /// See `prev`.
    pub next: u32,
}

/// All slots; freed ones are used again.
#[derive(Debug, Default)]
pub struct Slots {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

impl Slots {
    /// Take a slot for a request that waits at a replica.
    pub fn take(&mut self, request: Request, priority: usize, replica: u32) -> u32 {
        let slot = Slot {
            request,
            stage: Stage::Waiting,
            priority: priority as u8,
            admitted: false,
            was_decoding: false,
            replica,
            need: request.prompt_tok,
            emitted: 0,
            finish_iter: 0,
            first_token_fs: -1,
            last_token_fs: 0,
            prev: NONE,
            next: NONE,
        };
        match self.free.pop() {
            Some(id) => {
                self.slots[id as usize] = slot;
                id
            }
            None => {
                self.slots.push(slot);
                (self.slots.len() - 1) as u32
            }
        }
    }

    /// Give a slot back.
    pub fn give_back(&mut self, id: u32) {
        self.slots[id as usize].stage = Stage::Free;
        self.free.push(id);
    }

    /// All requests in flight, with their slots.
    pub fn in_flight(&self) -> impl Iterator<Item = (u32, &Slot)> {
        (0..).zip(&self.slots).filter(|(_, slot)| slot.stage != Stage::Free)
    }
}

impl std::ops::Index<u32> for Slots {
    type Output = Slot;
    fn index(&self, id: u32) -> &Slot {
        &self.slots[id as usize]
    }
}

impl std::ops::IndexMut<u32> for Slots {
    fn index_mut(&mut self, id: u32) -> &mut Slot {
        &mut self.slots[id as usize]
    }
}

/// A doubly linked list of slots.
#[derive(Debug, Clone, Copy)]
pub struct List {
    /// First.
    pub head: u32,
    /// Last.
    pub tail: u32,
}

impl Default for List {
    fn default() -> Self {
        Self { head: NONE, tail: NONE }
    }
}

impl List {
    /// Whether nothing stands in it.
    pub fn is_empty(&self) -> bool {
        self.head == NONE
    }

    /// Append.
    pub fn push_back(&mut self, slots: &mut Slots, id: u32) {
        slots[id].prev = self.tail;
        slots[id].next = NONE;
        if self.tail == NONE {
            self.head = id;
        } else {
            slots[self.tail].next = id;
        }
        self.tail = id;
    }

    /// Prepend.
    pub fn push_front(&mut self, slots: &mut Slots, id: u32) {
        slots[id].prev = NONE;
        slots[id].next = self.head;
        if self.head == NONE {
            self.tail = id;
        } else {
            slots[self.head].prev = id;
        }
        self.head = id;
    }

    /// Take out of the middle.
    pub fn remove(&mut self, slots: &mut Slots, id: u32) {
        let (prev, next) = (slots[id].prev, slots[id].next);
        if prev == NONE {
            self.head = next;
        } else {
            slots[prev].next = next;
        }
        if next == NONE {
            self.tail = prev;
        } else {
            slots[next].prev = prev;
        }
    }
}
