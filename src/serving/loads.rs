//! Requests per replica, with the least loaded replica at hand.

/// Waiting and running requests by replica.
#[derive(Debug, Clone)]
pub struct Loads {
    loads: Vec<u32>,
    /// A tournament over (load, number): node 1 is the winner, leaf r is `leaves + r`; empty if nobody asks.
    winners: Vec<u32>,
    leaves: usize,
}

impl Loads {
    /// All zero. `ranked`: keep the least loaded replica up to date.
    pub fn new(replicas: usize, ranked: bool) -> Self {
        let leaves = replicas.next_power_of_two();
        let mut loads = Self { loads: vec![0; replicas], winners: Vec::new(), leaves };
        if ranked {
            loads.winners = vec![u32::MAX; 2 * leaves];
            for replica in 0..replicas {
                loads.winners[leaves + replica] = replica as u32;
            }
            for node in (1..leaves).rev() {
                loads.winners[node] = loads.play(node);
            }
        }
        loads
    }

    /// Load of a replica.
    pub fn of(&self, replica: usize) -> u32 {
        self.loads[replica]
    }

    /// One more.
    pub fn add(&mut self, replica: usize) {
        self.loads[replica] += 1;
        self.replay(replica);
    }

    /// One less.
    pub fn remove(&mut self, replica: usize) {
        self.loads[replica] -= 1;
        self.replay(replica);
    }

    /// The least loaded replica of all, the lowest number of equals; needs `ranked`.
    pub fn least(&self) -> Option<usize> {
        self.winners.get(1).map(|&r| r as usize)
    }

    /// Number of replicas.
    pub fn len(&self) -> usize {
        self.loads.len()
    }

    /// Whether there is no replica.
    pub fn is_empty(&self) -> bool {
        self.loads.is_empty()
    }

    fn replay(&mut self, replica: usize) {
        if self.winners.is_empty() {
            return;
        }
        let mut node = (self.leaves + replica) / 2;
        while node >= 1 {
            self.winners[node] = self.play(node);
            node /= 2;
        }
    }

    fn play(&self, node: usize) -> u32 {
        let (left, right) = (self.winners[2 * node], self.winners[2 * node + 1]);
        if right == u32::MAX || (left != u32::MAX && self.loads[left as usize] <= self.loads[right as usize])
        {
            left
        } else {
            right
        }
    }
}
