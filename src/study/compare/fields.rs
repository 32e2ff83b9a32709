//! Which fields of resolved scenarios are not the same.

use serde_json::{Map, Value};

/// Left aside: names are shown with each scenario, and all run under the same seeds.
const ASIDE: [&str; 2] = ["name", "seed"];

/// A field that is not the same in all scenarios.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Path, as of `--set`.
    pub path: String,
    /// Names of the entries of lists on the way, e.g. `dallas.large`; empty without any.
    pub place: String,
    /// By scenario; none where the field does not exist.
    pub values: Vec<Option<Value>>,
}

/// Every difference, as deep in the trees as it lies.
pub(super) fn changes(trees: &[Value]) -> Vec<Change> {
    let mut out = Vec::new();
    let at = |tree: &Value| match tree {
        Value::Object(map) => {
            Value::Object(map.iter().filter(|(key, _)| !ASIDE.contains(&key.as_str())).map(own).collect())
        }
        other => other.clone(),
    };
    let trees: Vec<Value> = trees.iter().map(at).collect();
    let all: Vec<Option<&Value>> = trees.iter().map(Some).collect();
    walk(&all, &mut Vec::new(), &mut Vec::new(), &mut out);
    out
}

fn own((key, value): (&String, &Value)) -> (String, Value) {
    (key.clone(), value.clone())
}

fn walk<'a>(
    values: &[Option<&'a Value>],
    path: &mut Vec<String>,
    names: &mut Vec<&'a str>,
    out: &mut Vec<Change>,
) {
    if values.windows(2).all(|pair| pair[0] == pair[1]) {
        return;
    }
    if let Some(maps) = values.iter().map(|value| (*value)?.as_object()).collect::<Option<Vec<_>>>()
        && !other_variants(&maps)
    {
        let mut keys: Vec<&String> = Vec::new();
        for key in maps.iter().flat_map(|map| map.keys()) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        for key in keys {
            path.push(key.clone());
            walk(&maps.iter().map(|map| map.get(key)).collect::<Vec<_>>(), path, names, out);
            path.pop();
        }
        return;
    }
    if let Some(lists) = values.iter().map(|value| (*value)?.as_array()).collect::<Option<Vec<_>>>() {
        for index in 0..lists.iter().map(|list| list.len()).max().unwrap_or(0) {
            let entries: Vec<Option<&Value>> = lists.iter().map(|list| list.get(index)).collect();
            let name = entries.iter().flatten().find_map(|entry| entry.get("name")?.as_str());
            path.push(index.to_string());
            names.extend(name);
            walk(&entries, path, names, out);
            if name.is_some() {
                names.pop();
            }
            path.pop();
        }
        return;
    }
    out.push(Change {
        path: path.join("."),
        place: names.join("."),
        values: values.iter().map(|value| value.cloned()).collect(),
    });
}

/// Choices are maps with one key: another choice is told whole.
fn other_variants(maps: &[&Map<String, Value>]) -> bool {
    maps.iter().all(|map| map.len() == 1) && maps.windows(2).any(|pair| !pair[0].keys().eq(pair[1].keys()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_are_told_where_they_lie() {
        let a = json!({"name": "a", "seed": 1, "routing": {"random": {}}, "fleet": {"sites": [
            {"name": "dallas", "power": {"cap_mw": 9.0}, "pools": [{"name": "large", "nodes": 4}]}]}});
        let b = json!({"name": "b", "seed": 2, "routing": {"round_robin": {}}, "fleet": {"sites": [
            {"name": "dallas", "power": {"cap_mw": null}, "pools": [{"name": "large", "nodes": 5},
            {"name": "small", "nodes": 1}]}]}});
        let found = changes(&[a.clone(), b]);
        let told: Vec<(&str, &str)> = found.iter().map(|c| (c.path.as_str(), c.place.as_str())).collect();
        assert_eq!(
            told,
            [
                ("fleet.sites.0.pools.0.nodes", "dallas.large"),
                ("fleet.sites.0.pools.1", "dallas.small"),
                ("fleet.sites.0.power.cap_mw", "dallas"),
                ("routing", ""),
            ]
        );
        assert_eq!(found[0].values, [Some(json!(4)), Some(json!(5))]);
        assert_eq!(found[1].values[0], None);
        assert_eq!(found[3].values[1], Some(json!({"round_robin": {}})));
        assert!(changes(&[a.clone(), a]).is_empty());
    }
}
