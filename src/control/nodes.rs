//! What the nodes of a site drew over the measured window: for each pool, how long its nodes drew how much.

use std::ops::Range;

use super::meter::{nanoseconds, short_nanoseconds, short_watts};
use crate::fleet::Pool;
use crate::physics::energy::short;
use crate::physics::histogram::Histogram;

/// The replicas of a node, or the nodes of a replica.
#[derive(Debug, Clone, Copy)]
struct Group {
    pool: u16,
    /// Integrated since [fs].
    since_fs: i128,
    watts_nw: i64,
}

/// Nodes of one pool.
#[derive(Debug, Clone)]
struct PoolNodes {
    first_replica: usize,
    first_group: usize,
    /// Replicas of a node; 1 where a replica has whole nodes.
    replicas: usize,
    /// Nodes of a replica, which share its watts evenly; 1 where a node has whole replicas.
    nodes: usize,
    /// From when to when they are there [fs]: before and after they count in no share.
    there_fs: Range<i128>,
    /// Watts of a group, weighted by nanoseconds, and the most.
    spread: Histogram,
    most_nw: i64,
}

/// The nodes of a site.
#[derive(Debug, Clone, Default)]
pub struct NodeMeters {
    groups: Vec<Group>,
    pools: Vec<PoolNodes>,
}

impl NodeMeters {
    /// Nodes of the pools of a site whose replicas all draw nothing yet.
    pub fn new(pools: &[Pool]) -> Self {
        let mut meters = Self::default();
        for (number, pool) in pools.iter().enumerate() {
            let (of_node, of_replica) = (pool.gpus_per_node.max(1), pool.gpus_per_replica.max(1));
            let nodes = PoolNodes {
                first_replica: pool.replicas.start,
                first_group: meters.groups.len(),
                replicas: (of_node / of_replica).max(1) as usize,
                nodes: (of_replica / of_node).max(1) as usize,
                there_fs: pool.installed_fs.clone(),
                spread: Histogram::default(),
                most_nw: 0,
            };
            let groups = pool.replicas.len().div_ceil(nodes.replicas);
            let none = Group { pool: number as u16, since_fs: pool.installed_fs.start, watts_nw: 0 };
            meters.groups.resize(nodes.first_group + groups, none);
            meters.pools.push(nodes);
        }
        meters
    }

    /// Number of the group of a replica; `pool`: of its site.
    pub fn group(&self, pool: usize, replica: usize) -> usize {
        let nodes = &self.pools[pool];
        nodes.first_group + (replica - nodes.first_replica) / nodes.replicas
    }

    /// A group draws so much more from now on [nW].
    #[inline]
    pub fn change(&mut self, now_fs: i128, group: usize, change_nw: i64) {
        if change_nw != 0 {
            self.settle_one(now_fs, group);
            self.groups[group].watts_nw += change_nw;
        }
    }

    #[inline]
    fn settle_one(&mut self, now_fs: i128, group: usize) {
        let group = &mut self.groups[group];
        let duration_fs = now_fs - group.since_fs;
        let weight = match short(duration_fs) {
            Some(0) => return,
            Some(short_fs) => short_nanoseconds(short_fs),
            None if duration_fs < 0 => return,
            None => nanoseconds(duration_fs),
        };
        group.since_fs = now_fs;
        let pool = &mut self.pools[usize::from(group.pool)];
        pool.spread.record_n(short_watts(group.watts_nw), weight);
        pool.most_nw = pool.most_nw.max(group.watts_nw);
    }

    /// Integrate everything up to an instant.
    pub fn settle(&mut self, now_fs: i128) {
        for group in 0..self.groups.len() {
            let there_fs = &self.pools[usize::from(self.groups[group].pool)].there_fs;
            self.settle_one(now_fs.min(there_fs.end), group);
        }
    }

    /// Forget what was: the measured window opens.
    pub fn open_window(&mut self, now_fs: i128) {
        for group in &mut self.groups {
            group.since_fs = now_fs.max(self.pools[usize::from(group.pool)].there_fs.start);
        }
        for pool in &mut self.pools {
            pool.spread.reset();
            pool.most_nw = 0;
        }
    }

    /// Watts that a node of a pool does not exceed for each of these shares of the time that its nodes are there,
    /// ascending; none if they never are.
    pub fn watts(&self, pool: usize, shares: &[f64]) -> Vec<f64> {
        let PoolNodes { spread, nodes, most_nw, .. } = &self.pools[pool];
        if spread.total() == 0 {
            return Vec::new();
        }
        // Cells are up to 0.1 % wide: no percentile is above the maximum.
        let watts = |watts: u64| (watts as f64).min(*most_nw as f64 * 1e-9) / *nodes as f64;
        spread.values_at(shares).into_iter().map(watts).collect()
    }
}
