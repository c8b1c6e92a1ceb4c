//! Zero values that are not stored: the server decides, not a table. It is asked for what it would store of the same object if
//! kubectl sent it.

use serde_json::{Value, json};

use super::{Compared, Exception, Reader};

/// Accepts the zero values that the server drops, and reports the others as lost.
pub fn judge(reader: &Reader<'_>, compared: &mut Compared) {
    let zeros = std::mem::take(&mut compared.zeros);
    if zeros.is_empty() {
        return;
    }
    let mut copies: Vec<Value> = zeros.iter().map(|zero| copy(&zero.object)).collect();
    copies.dedup();
    let (stored, refused) = would_store(reader, &copies);
    for zero in zeros {
        let copy = copy(&zero.object);
        let path = zero.path.join(".");
        let name = format!("{} {}", zero.object["kind"], zero.object["metadata"]["name"]).replace('"', "");
        let found = stored.iter().find(|stored| key(stored) == key(&copy));
        match found.map(|found| at(found, &zero.path)) {
            Some(None | Some(Value::Null)) => drop(compared.excepted.insert(Exception::Zero)),
            Some(Some(kept)) => compared.lost.push(format!("{name} {path}: declared {kept}, live nothing, though the server stores it")),
            None => {
                compared.lost.push(format!("{name} {path}: live nothing, and the server does not say whether it stores that: {refused}"))
            }
        }
    }
}

/// The same object under a spare name, without what can be taken only once.
fn copy(object: &Value) -> Value {
    let mut copy = object.clone();
    if !is_definition(object) {
        copy["metadata"]["name"] = json!(format!("{}-again", object["metadata"]["name"].as_str().unwrap_or_default()));
    }
    if object["kind"] == "Service" {
        for port in copy["spec"]["ports"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
            port.remove("nodePort");
        }
    }
    copy
}

/// A definition's name follows from its fields, so that none has a spare one.
fn is_definition(object: &Value) -> bool {
    object["kind"] == "CustomResourceDefinition"
}

fn would_store(reader: &Reader<'_>, copies: &[Value]) -> (Vec<Value>, String) {
    let file = reader.folder.path().join("copies.json");
    let mut out = (Vec::new(), String::new());
    for (verb, definitions) in [("create", false), ("replace", true)] {
        let items: Vec<&Value> = copies.iter().filter(|copy| is_definition(copy) == definitions).collect();
        if items.is_empty() {
            continue;
        }
        std::fs::write(&file, json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string()).unwrap();
        let path = file.display().to_string();
        let ask = || reader.some_objects(&[verb, "--dry-run=server", "--validate=ignore", "--output=json", "--filename", &path]);
        // kubectl replaces the version that it has read; a controller may write the status of a definition in between.
        let is_outrun = |refused: &str| refused.contains("the object has been modified");
        let (stored, refused) = (1..5).map(|_| ask()).find(|(_, refused)| !is_outrun(refused)).unwrap_or_else(ask);
        out.0.extend(stored);
        out.1 += &refused;
    }
    out
}

fn key(object: &Value) -> String {
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
    format!("{} {namespace} {}", object["kind"], object["metadata"]["name"])
}

fn at<'a>(object: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(object, |value, segment| match value {
        Value::Array(list) => list.get(segment.parse::<usize>().ok()?),
        other => other.get(segment),
    })
}
