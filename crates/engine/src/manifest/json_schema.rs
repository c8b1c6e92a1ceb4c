//! The JSON Schemas in `schemas/`, for editors and other programs. They are generated from the types; a test fails when they
//! are stale.

use std::collections::BTreeSet;

use schemars::Schema;
use serde_json::{Map, Value, json};

use super::schema::{ManifestFile, Override};
use crate::plan::Plan;
use crate::render::cartridge::CartridgeFile;

/// The files in `schemas/`: name and content.
pub fn published() -> Vec<(&'static str, String)> {
    vec![("manifest.json", manifest_schema()), ("cartridge.json", cartridge_schema()), ("plan.json", plan_schema())]
}

/// The schema of `stratos.toml`.
///
/// It allows more than the types say, where only rendering tells: inside an app a template may stand for any scalar, and no
/// key is required, since a cartridge or the app below an override may give it. TOML has no null.
pub fn manifest_schema() -> String {
    let mut schema = schemars::schema_for!(ManifestFile).to_value();
    each_schema(&mut schema, &mut |object| {
        tidy(object);
        without_null(object);
        object.shift_remove("default");
    });
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".into(), "stratos.toml".into());
        root.insert("required".into(), json!(["project"]));
        if let Some(definitions) = root.get_mut("$defs").and_then(Value::as_object_mut) {
            allow_templates(definitions);
        }
    }
    pretty(schema)
}

/// The schema of `cartridge.toml`. TOML has no null.
pub fn cartridge_schema() -> String {
    let mut schema = schemars::schema_for!(CartridgeFile).to_value();
    each_schema(&mut schema, &mut |object| {
        tidy(object);
        without_null(object);
    });
    pretty(schema)
}

/// The schema of a saved plan and of `stratos plan --output json`.
pub fn plan_schema() -> String {
    let mut schema = schemars::schema_for!(Plan).to_value();
    each_schema(&mut schema, &mut tidy);
    pretty(schema)
}

/// Written in the order that `schemars` gives to keywords: what a schema is comes before what it is made of.
fn pretty(schema: Value) -> String {
    let text = match Schema::try_from(schema) {
        Ok(schema) => serde_json::to_string_pretty(&schema),
        Err(error) => Err(error),
    };
    text.unwrap_or_else(|error| unreachable!("a schema of our own types is an object: {error}")) + "\n"
}

/// Calls with each schema in a schema, inner ones first. What only holds schemas by name is none itself: a property may be called
/// `default`.
fn each_schema(schema: &mut Value, call: &mut impl FnMut(&mut Map<String, Value>)) {
    let Some(object) = schema.as_object_mut() else { return };
    for (key, value) in object.iter_mut() {
        match (key.as_str(), value) {
            ("properties" | "patternProperties" | "$defs", Value::Object(named)) => {
                named.values_mut().for_each(|inner| each_schema(inner, call))
            }
            ("items" | "additionalProperties", inner) => each_schema(inner, call),
            ("anyOf" | "oneOf" | "allOf" | "prefixItems", Value::Array(choices)) => {
                choices.iter_mut().for_each(|inner| each_schema(inner, call))
            }
            _ => {}
        }
    }
    call(object);
}

/// Removes what is only for us, and moves the description of a variant to its only key, where an editor shows it.
fn tidy(object: &mut Map<String, Value>) {
    object.shift_remove("x-expected");
    // The formats of Rust's number types are not JSON Schema's; the limits say the same.
    let own = |format: &str| ["uint", "int", "double"].iter().any(|own| format.starts_with(own));
    if object.get("format").and_then(Value::as_str).is_some_and(own) {
        object.shift_remove("format");
    }
    let Some(description) = object.get("description").cloned() else { return };
    let only = object.get_mut("properties").and_then(Value::as_object_mut).filter(|properties| properties.len() == 1);
    for property in only.into_iter().flat_map(|properties| properties.values_mut()).filter_map(Value::as_object_mut) {
        property.entry("description").or_insert(description.clone());
    }
}

fn without_null(object: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|word| word != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
        choices.retain(|choice| choice.get("type").is_none_or(|word| word != "null"));
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            object.shift_remove("anyOf");
            for (key, value) in only {
                object.entry(key).or_insert(value);
            }
        }
    }
}

/// The definition that stands for a template.
const TEMPLATE: &str = "Template";

/// Lets a template stand for each scalar in the definitions that an app is made of.
fn allow_templates(definitions: &mut Map<String, Value>) {
    let mut inside = BTreeSet::new();
    reachable("App", definitions, &mut inside);
    let scalars: BTreeSet<String> = definitions.iter().filter(|(_, schema)| is_scalar(schema)).map(|(name, _)| name.clone()).collect();
    for name in inside.iter().filter(|name| !scalars.contains(*name)) {
        if let Some(definition) = definitions.get_mut(name) {
            position(definition, &scalars);
            if let Some(definition) = definition.as_object_mut() {
                definition.shift_remove("required");
            }
        }
    }
    let template = json!({
        "description": "A template, such as \"{{ vars.tag }}\": filled in for each environment.",
        "type": "string",
        "pattern": "\\{[{%#]"
    });
    definitions.insert(TEMPLATE.into(), template);
}

fn reachable(name: &str, definitions: &Map<String, Value>, found: &mut BTreeSet<String>) {
    if !found.insert(name.to_owned()) {
        return;
    }
    let mut names = Vec::new();
    if let Some(definition) = definitions.get(name) {
        each_schema(&mut definition.clone(), &mut |object| names.extend(reference(object).map(str::to_owned)));
    }
    names.iter().for_each(|name| reachable(name, definitions, found));
}

fn reference(object: &Map<String, Value>) -> Option<&str> {
    object.get("$ref").and_then(Value::as_str).and_then(|reference| reference.strip_prefix("#/$defs/"))
}

/// Whether a schema allows scalars alone.
fn is_scalar(schema: &Value) -> bool {
    let scalar = |word: &Value| word.as_str().is_some_and(|word| !matches!(word, "object" | "array"));
    if let Some(choices) = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array) {
        return choices.iter().all(is_scalar);
    }
    match schema.get("type") {
        Some(Value::Array(types)) => types.iter().all(scalar),
        Some(word) => scalar(word),
        None => false,
    }
}

/// Whether a schema allows every text, and so a template too.
fn allows_all_text(schema: &Value) -> bool {
    let text =
        schema.get("type").is_some_and(|types| types == "string" || types.as_array().is_some_and(|types| types.contains(&json!("string"))));
    text && ["pattern", "const", "enum"].iter().all(|key| schema.get(key).is_none())
}

/// Walks the places of a schema where a value stands.
fn position(schema: &mut Value, scalars: &BTreeSet<String>) {
    if allows_all_text(schema) {
        return;
    }
    let Some(object) = schema.as_object_mut() else { return };
    let named = reference(object).map(str::to_owned);
    if named.as_deref().is_some_and(|name| name == "Text" || !scalars.contains(name)) {
        return;
    }
    let template = json!({ "$ref": format!("#/$defs/{TEMPLATE}") });
    if named.is_some() || is_scalar(&Value::Object(object.clone())) {
        let description = object.shift_remove("description");
        let plain = Value::Object(std::mem::take(object));
        object.extend(description.map(|description| ("description".to_owned(), description)));
        object.insert("anyOf".into(), json!([plain, template]));
        return;
    }
    if let Some(choices) = object.get_mut("anyOf").and_then(Value::as_array_mut) {
        let takes_scalars = choices.iter().any(is_scalar);
        choices.iter_mut().filter(|choice| !is_scalar(choice)).for_each(|choice| position(choice, scalars));
        choices.extend(takes_scalars.then_some(template));
    }
    for key in ["items", "additionalProperties"] {
        object.get_mut(key).into_iter().for_each(|inner| position(inner, scalars));
    }
    for key in ["properties", "patternProperties"] {
        let inner = object.get_mut(key).and_then(Value::as_object_mut).into_iter().flatten();
        // Where an app goes is read before anything is rendered.
        inner
            .filter(|(key, _)| !Override::NOT_HERE.contains(&key.as_str()) || *key == "override")
            .for_each(|(_, inner)| position(inner, scalars));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_property_is_described() {
        for (file, text) in published() {
            let mut schema: Value = serde_json::from_str(&text).unwrap();
            each_schema(&mut schema, &mut |object| {
                for (key, property) in object.get("properties").and_then(Value::as_object).into_iter().flatten() {
                    let described = property.get("description").and_then(Value::as_str).is_some_and(|text| !text.is_empty());
                    assert!(described, "{file}: `{key}` has no description");
                }
            });
        }
    }

    #[test]
    fn templates_are_allowed_inside_apps_alone() {
        let schema: Value = serde_json::from_str(&manifest_schema()).unwrap();
        let template = json!({ "$ref": "#/$defs/Template" });
        let has_template = |pointer: &str| schema.pointer(pointer).unwrap().to_string().contains(&template.to_string());
        assert!(has_template("/$defs/App/properties/replicas"));
        assert!(has_template("/$defs/App/properties/depends_on"));
        assert!(has_template("/$defs/Port"));
        assert!(has_template("/$defs/Probe/properties/interval"));
        assert!(has_template("/$defs/Override/properties/replicas"));
        assert!(!has_template("/$defs/App/properties/environments"));
        assert!(!has_template("/$defs/App/properties/image"));
        assert!(!has_template("/$defs/Environment"));
        assert!(!has_template("/$defs/Name"));
    }

    #[test]
    fn nothing_of_ours_is_published() {
        assert!(!manifest_schema().contains("x-expected"));
        assert!(!manifest_schema().contains("null"));
    }
}
