//! The fields of a change as people read them. Pure.

use std::collections::{HashMap, HashSet};

use stratos_engine::compare::FieldChange;
use stratos_engine::desired::document::Leaf;
use stratos_engine::desired::name::Name;
use stratos_engine::desired::path::Path;
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::desired::text::{Segment, Text};
use stratos_engine::plan::Plan;
use stratos_engine::plan::change::{Action, Change, Reason};

use super::words::{printable, short};

/// A field as it is shown: its name, and what it was and will be.
pub struct Row<'a> {
    /// The dotted name.
    pub name: String,
    /// On one line.
    pub values: String,
    /// Both sides of text of several lines, which is shown as a difference instead.
    pub lines: Option<(&'a str, &'a str)>,
}

/// What the fields of a plan's changes say of other changes of it.
pub struct Fields<'a> {
    /// Content that takes the place of other content (see [`Reason::Succeeds`]), by the field that leads to it. The
    /// difference of the two is shown there, and once: a file that changed is that, however a platform keeps it.
    contents: HashMap<(&'a ResourceId, &'a Path), &'a Change>,
    /// What is made, or made anew: its addresses are known afterwards.
    anew: HashSet<&'a ResourceId>,
}

impl<'a> Fields<'a> {
    /// Those of a plan.
    pub fn of(plan: &'a Plan) -> Self {
        let succeeding = plan.changes.iter().filter_map(|change| match &change.reason {
            // Where the two do not differ visibly (secrets), the field shows what it refers to, as any other.
            Reason::Succeeds { user, path, .. } if !change.differences.is_empty() => Some(((user, path), change)),
            _ => None,
        });
        let succeeding: HashMap<_, _> = succeeding.collect();
        let fields = plan.changes.iter().flat_map(|change| change.differences.iter().map(|field| (&change.id, &field.path)));
        let contents = fields.filter_map(|of| succeeding.get(&of).map(|content| (of, *content))).collect();
        let anew = plan.changes.iter().filter(|change| matches!(change.action, Action::Create | Action::Replace(_)));
        Self { contents, anew: anew.map(|change| &change.id).collect() }
    }

    /// The fields of a change as they are shown. The items of a new list stand together on one line.
    pub fn rows(&self, change: &'a Change) -> Vec<Row<'a>> {
        let creates = change.action == Action::Create;
        let mut out: Vec<Row<'_>> = Vec::new();
        if matches!(&change.reason, Reason::Succeeds { user, path, .. } if self.contents.contains_key(&(user, path))) {
            return out;
        }
        let mut list: Option<(String, Vec<String>)> = None;
        for field in &change.differences {
            if let Some(content) = self.contents.get(&(&change.id, &field.path)) {
                out.extend(list.take().map(list_row));
                out.extend(self.content_rows(field, content));
                continue;
            }
            let (parent, item) = name_of(&field.path);
            let lines = lines_of(field);
            let values = self.values(field, creates, &change.id.environment);
            if let (true, Some(_), None) = (creates, item, lines) {
                match &mut list {
                    Some((name, items)) if *name == parent => items.push(values),
                    _ => {
                        out.extend(list.take().map(list_row));
                        list = Some((parent, vec![values]));
                    }
                }
                continue;
            }
            out.extend(list.take().map(list_row));
            let name = item.map_or(parent.clone(), |item| format!("{parent}[{item}]"));
            out.push(Row { name, values, lines });
        }
        out.extend(list.map(list_row));
        out
    }

    /// The rows of a field that leads to other content now.
    fn content_rows(&self, field: &FieldChange, content: &'a Change) -> impl Iterator<Item = Row<'a>> {
        let several = content.differences.len() > 1;
        content.differences.iter().map(move |inner| Row {
            name: if several { format!("{}: {}", field.path, inner.path) } else { field.path.to_string() },
            values: self.values(inner, false, &content.id.environment),
            lines: lines_of(inner),
        })
    }

    /// A field's change on one line: `old → new`, or the new value of a creation.
    fn values(&self, field: &FieldChange, creates: bool, environment: &Name) -> String {
        match (&field.old, &field.new) {
            (None, Some(new)) if creates => self.value(new, environment),
            (Some(Leaf::Secret { .. }), Some(Leaf::Secret { .. })) => "(secret) → (secret, changed)".into(),
            // A digest says something only beside another one of the same tag.
            (Some(Leaf::Image(old)), Some(Leaf::Image(new))) if old.reference != new.reference => {
                format!("{} → {}", old.reference, new.reference)
            }
            (old, new) => {
                let unset = || "(not set)".to_owned();
                let old = old.as_ref().map_or_else(unset, |leaf| value(leaf, environment));
                format!("{old} → {}", new.as_ref().map_or_else(unset, |leaf| self.value(leaf, environment)))
            }
        }
    }

    /// A value as it will be.
    fn value(&self, leaf: &Leaf, environment: &Name) -> String {
        let Leaf::Ref(text) = leaf else { return value(leaf, environment) };
        if !text.attributes().any(|(of, _)| self.anew.contains(of)) {
            return value(leaf, environment);
        }
        match text.segments() {
            [Segment::Attribute { of, name }] => format!("(known after apply: {name} of {})", short(of, environment)),
            _ => format!("{} (known after apply)", reference(text, environment)),
        }
    }
}

fn list_row<'a>((name, items): (String, Vec<String>)) -> Row<'a> {
    Row { name, values: format!("[{}]", items.join(", ")), lines: None }
}

/// A path's dotted name and, where it ends in one, the position in a list. Positions are padded in paths, so that they sort.
fn name_of(path: &Path) -> (String, Option<usize>) {
    let text = path.to_string();
    let item = text.strip_suffix(']').and_then(|text| text.rsplit_once('['));
    match item.and_then(|(parent, item)| Some((parent, item.parse().ok()?))) {
        Some((parent, item)) => (parent.to_owned(), Some(item)),
        None => (text, None),
    }
}

/// How many digits of a digest are shown: enough to tell two apart. The plan as JSON has all of them.
const DIGEST_DIGITS: usize = 12;

/// A value for people who know the environment that it is in.
fn value(leaf: &Leaf, environment: &Name) -> String {
    match leaf {
        Leaf::Image(image) => match &image.digest {
            Some(digest) => {
                let digits = digest.rsplit(':').next().unwrap_or_default();
                format!("{}@{}", image.reference, digits.get(..DIGEST_DIGITS).unwrap_or(digits))
            }
            None => image.to_string(),
        },
        Leaf::Ref(text) => reference(text, environment),
        other => other.to_string(),
    }
}

/// A text with what it takes from other resources.
fn reference(text: &Text, environment: &Name) -> String {
    let words = |segment: &Segment| match segment {
        Segment::Literal(text) => printable(text).into_owned(),
        Segment::Secret { .. } => "(secret)".into(),
        Segment::Attribute { of, name } => format!("${{{}.{name}}}", short(of, environment)),
    };
    text.segments().iter().map(words).collect()
}

/// Both sides of a change of text of several lines; a side that is not there is empty.
fn lines_of(field: &FieldChange) -> Option<(&str, &str)> {
    fn side(leaf: &Option<Leaf>) -> Option<&str> {
        match leaf {
            None => Some(""),
            Some(Leaf::Text(text)) => Some(text),
            Some(_) => None,
        }
    }
    let (old, new) = (side(&field.old)?, side(&field.new)?);
    let several = |text: &str| text.trim_end_matches('\n').contains('\n');
    (several(old) || several(new)).then_some((old, new))
}
