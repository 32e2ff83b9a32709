//! Requests per replica, with the least loaded replica at hand.

/// Waiting and running requests by replica.
#[derive(Debug, Clone)]
pub struct Loads {
    loads: Vec<u32>,
    /// A tournament over (load, number), both in one word: node 1 is the winner, leaf r is `leaves + r`; empty if
    /// nobody asks.
    winners: Vec<u64>,
    leaves: usize,
}

/// Added to the load of a replica that is closed: more than any load.
const CLOSED: u32 = 1 << 31;

/// Order among replicas: the load first, then the number.
#[inline]
fn rank(load: u32, replica: usize) -> u64 {
    (u64::from(load) << 32) | replica as u64
}

impl Loads {
    /// All zero. `ranked`: keep the least loaded replica up to date.
    pub fn new(replicas: usize, ranked: bool) -> Self {
        let leaves = replicas.next_power_of_two();
        let mut loads = Self { loads: vec![0; replicas], winners: Vec::new(), leaves };
        if ranked {
            loads.winners = vec![u64::MAX; 2 * leaves];
            for replica in 0..replicas {
                loads.winners[leaves + replica] = rank(0, replica);
            }
            for node in (1..leaves).rev() {
                loads.winners[node] = loads.winners[2 * node].min(loads.winners[2 * node + 1]);
            }
        }
        loads
    }

    /// A replica is open to nobody: its load is more than any.
    pub fn close(&mut self, replica: usize) {
        self.loads[replica] |= CLOSED;
        self.replay(replica);
    }

    /// A replica is open again.
    pub fn open(&mut self, replica: usize) {
        self.loads[replica] &= !CLOSED;
        self.replay(replica);
    }

    /// Whether a replica is open.
    #[inline]
    pub fn is_open(&self, replica: usize) -> bool {
        self.loads[replica] < CLOSED
    }

    /// Load of a replica, `1 << 31` more where it is closed.
    pub fn of(&self, replica: usize) -> u32 {
        self.loads[replica]
    }

    /// One more.
    #[inline]
    pub fn add(&mut self, replica: usize) {
        self.loads[replica] += 1;
        self.replay(replica);
    }

    /// One less.
    #[inline]
    pub fn remove(&mut self, replica: usize) {
        self.loads[replica] -= 1;
        self.replay(replica);
    }

    /// The least loaded replica of all, the lowest number of equals; needs `ranked`.
    pub fn least(&self) -> Option<usize> {
        self.winners.get(1).map(|&winner| winner as u32 as usize)
    }

    /// Number of replicas.
    pub fn len(&self) -> usize {
        self.loads.len()
    }

    /// Whether there is no replica.
    pub fn is_empty(&self) -> bool {
        self.loads.is_empty()
    }

    #[inline]
    fn replay(&mut self, replica: usize) {
        if !self.winners.is_empty() {
            self.replay_ranked(replica);
        }
    }

    fn replay_ranked(&mut self, replica: usize) {
        let mut node = self.leaves + replica;
        let mut winner = rank(self.loads[replica], replica);
        loop {
            if std::mem::replace(&mut self.winners[node], winner) == winner || node <= 1 {
                return;
            }
            winner = winner.min(self.winners[node ^ 1]);
            node /= 2;
        }
    }
}
