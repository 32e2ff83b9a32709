//! The fleet as a directed graph of named devices: meter → power devices → pools.

use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};

/// A node of the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Device {
    /// The utility meter of a site: where its cap applies.
    Meter {
        /// `<site>.meter`, or the name of the utility in the site's power tree.
        name: String,
        /// Site number.
        site: usize,
    },
    /// A device of a power tree below the meter.
    Power {
        /// `<site>.<device>`
        name: String,
        /// Site number.
        site: usize,
        /// Number in the site's facility.
        device: usize,
    },
    /// A pool hanging from one of them.
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
    /// By site: the devices of its power tree, the meter among them; empty without a tree.
    devices: Vec<Vec<NodeIndex>>,
}

impl FleetGraph {
    /// Add the meter of the next site.
    pub fn add_meter(&mut self, name: String) {
        let site = self.meters.len();
        self.meters.push(self.graph.add_node(Device::Meter { name, site }));
        self.devices.push(Vec::new());
    }

    /// Add the power tree of the next site: for every device its name and the device that feeds it. `root` is
    /// the meter. Parents that do not exist are ignored.
    pub fn add_tree(&mut self, names: &[String], parents: &[Option<usize>], root: usize) {
        let site = self.meters.len();
        let nodes: Vec<NodeIndex> = names
            .iter()
            .cloned()
            .enumerate()
            .map(|(device, name)| {
                let power = Device::Power { name: name.clone(), site, device };
                self.graph.add_node(if device == root { Device::Meter { name, site } } else { power })
            })
            .collect();
        for (node, parent) in nodes.iter().zip(parents) {
            if let Some(parent) = parent.and_then(|parent| nodes.get(parent)) {
                self.graph.add_edge(*parent, *node, 0);
            }
        }
        let Some(&meter) = nodes.get(root) else { return };
        self.meters.push(meter);
        self.devices.push(nodes);
    }

    /// Hang the next pool from a device of the last site's power tree, else from its meter; ignored without
    /// one.
    pub fn add_pool(&mut self, name: String, replicas: usize, feed: Option<usize>) {
        let Some(&meter) = self.meters.last() else { return };
        let devices = self.devices.last().map_or(&[][..], Vec::as_slice);
        let feed = feed.and_then(|feed| devices.get(feed)).copied().unwrap_or(meter);
        let pool = self.pools.len();
        let node = self.graph.add_node(Device::Pool { name, pool });
        self.graph.add_edge(feed, node, replicas);
        self.pools.push(node);
        // Devices above it feed these replicas, too; a tree has one way up.
        let mut at = feed;
        while at != meter
            && let Some(edge) = self.graph.first_edge(at, Direction::Incoming)
            && let Some((above, _)) = self.graph.edge_endpoints(edge)
        {
            self.graph[edge] += replicas;
            at = above;
        }
    }

    /// Replicas that a device of a site's power tree feeds.
    pub fn replicas_below(&self, site: usize, device: usize) -> usize {
        let node = self.devices.get(site).and_then(|devices| devices.get(device));
        node.map_or(0, |node| self.graph.edges(*node).map(|edge| *edge.weight()).sum())
    }

    /// Name of a device of a site's power tree, `<site>.<device>`.
    pub fn device_name(&self, site: usize, device: usize) -> Option<&str> {
        Some(self.name(*self.devices.get(site)?.get(device)?))
    }

    /// Name of a pool, `<site>.<pool>`.
    pub fn pool_name(&self, pool: usize) -> &str {
        self.name(self.pools[pool])
    }

    /// Name of the device that limits a pool's power: the nearest meter above it.
    pub fn power_device_of(&self, pool: usize) -> &str {
        let mut node = self.pools[pool];
        while let Some(above) = self.graph.neighbors_directed(node, Direction::Incoming).next() {
            node = above;
            if matches!(self.graph[node], Device::Meter { .. }) {
                break;
            }
        }
        self.name(node)
    }

    fn name(&self, node: NodeIndex) -> &str {
        match &self.graph[node] {
            Device::Meter { name, .. } | Device::Power { name, .. } | Device::Pool { name, .. } => name,
        }
    }
}
