//! The fleet as a directed graph of named devices: meter → pool → replicas.

use petgraph::graph::{DiGraph, NodeIndex};

/// A node of the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Device {
    /// The utility meter of a site: where its cap applies.
    Meter {
        /// `<site>.meter`
        name: String,
        /// Site number.
        site: usize,
    },
    /// A pool hanging from it.
    Pool {
        /// `<site>.<pool>`
        name: String,
        /// Pool number.
        pool: usize,
    },
}

/// Devices and what feeds what; edges carry the number of replicas below.
#[derive(Debug, Clone, Default)]
pub struct FleetGraph {
    graph: DiGraph<Device, usize>,
    pools: Vec<NodeIndex>,
    meters: Vec<NodeIndex>,
}

impl FleetGraph {
    /// Add the meter of the next site.
    pub fn add_meter(&mut self, name: String) {
        let site = self.meters.len();
        self.meters.push(self.graph.add_node(Device::Meter { name, site }));
    }

    /// Hang the next pool from the last meter; ignored without one.
    pub fn add_pool(&mut self, name: String, replicas: usize) {
        let Some(&meter) = self.meters.last() else { return };
        let pool = self.pools.len();
        let node = self.graph.add_node(Device::Pool { name, pool });
        self.graph.add_edge(meter, node, replicas);
        self.pools.push(node);
    }

    /// Name of a pool, `<site>.<pool>`.
    pub fn pool_name(&self, pool: usize) -> &str {
        self.name(self.pools[pool])
    }

    /// Name of the device that limits a pool's power: the nearest meter above it.
    pub fn power_device_of(&self, pool: usize) -> &str {
        let mut node = self.pools[pool];
        while let Some(above) = self.graph.neighbors_directed(node, petgraph::Direction::Incoming).next() {
            node = above;
            if matches!(self.graph[node], Device::Meter { .. }) {
                break;
            }
        }
        self.name(node)
    }

    fn name(&self, node: NodeIndex) -> &str {
        match &self.graph[node] {
            Device::Meter { name, .. } | Device::Pool { name, .. } => name,
        }
    }
}
