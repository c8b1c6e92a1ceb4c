//! What an edit must not touch: comments that do not belong to what is removed, and the lines that stay.

use similar::{ChangeTag, TextDiff};
use toml_edit::{DocumentMut, Item, Table, Value};

/// Removes an entry of a section, with the comment directly above it. A comment that a blank line separates from it belongs to
/// what surrounds it, and stays. False where there is no such entry.
pub(super) fn remove(document: &mut DocumentMut, section: &str, name: &str) -> bool {
    let removed = match document.get_mut(section) {
        Some(Item::Table(entries)) => entries.remove(name),
        Some(Item::Value(Value::InlineTable(entries))) => entries.remove(name).map(Item::Value),
        _ => None,
    };
    let Some(removed) = removed else { return false };
    let Item::Table(removed) = removed else { return true };
    let mut headers = Vec::new();
    each_header(&removed, &mut |table| headers.push((position(table), prefix(table).to_owned())));
    headers.sort();
    let after = headers.last().map_or(0, |(position, _)| *position);
    let kept: String = headers.iter().map(|(_, prefix)| detached(prefix)).collect();
    if kept.trim().is_empty() {
        return true;
    }
    match next_table(document.as_table_mut(), after) {
        Some(next) => {
            let prefix = format!("{}{}", kept, prefix(next).trim_start_matches('\n'));
            next.decor_mut().set_prefix(prefix);
        }
        None => {
            let trailing = format!("{kept}{}", document.trailing().as_str().unwrap_or_default());
            document.set_trailing(trailing);
        }
    }
    true
}

/// The part of what stands above a header that a blank line separates from it.
fn detached(prefix: &str) -> &str {
    prefix.rfind("\n\n").map_or("", |at| &prefix[..at + 2])
}

fn prefix(table: &Table) -> &str {
    table.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default()
}

fn position(table: &Table) -> isize {
    table.position().unwrap_or(-1)
}

/// Calls with each table below and including this one that has a header of its own in the text.
fn each_header<'a>(table: &'a Table, call: &mut impl FnMut(&'a Table)) {
    if !table.is_implicit() && !table.is_dotted() {
        call(table);
    }
    for (_, item) in table {
        match item {
            Item::Table(inner) => each_header(inner, call),
            Item::ArrayOfTables(tables) => tables.iter().for_each(|inner| each_header(inner, call)),
            Item::None | Item::Value(_) => {}
        }
    }
}

/// The position of the last table in the text.
pub(super) fn last_position(root: &Table) -> isize {
    let mut last = 0;
    each_header(root, &mut |table| last = last.max(position(table)));
    last
}

/// The table whose header is the first behind a position.
fn next_table(root: &mut Table, after: isize) -> Option<&mut Table> {
    let mut next: Option<isize> = None;
    each_header(root, &mut |table| {
        let here = position(table);
        if here > after && next.is_none_or(|next| here < next) {
            next = Some(here);
        }
    });
    table_at(root, next?)
}

fn table_at(table: &mut Table, wanted: isize) -> Option<&mut Table> {
    if !table.is_implicit() && !table.is_dotted() && position(table) == wanted {
        return Some(table);
    }
    table.iter_mut().find_map(|(_, item)| match item {
        Item::Table(inner) => table_at(inner, wanted),
        Item::ArrayOfTables(tables) => tables.iter_mut().find_map(|inner| table_at(inner, wanted)),
        Item::None | Item::Value(_) => None,
    })
}

/// The edited text with every line that did not change exactly as it was, and new lines with the line end that the text uses.
///
/// toml_edit writes all line ends anew; a file from Windows would come out changed in each line.
pub(super) fn as_written(original: &str, edited: &str) -> String {
    let crlf = original.matches("\r\n").count();
    let line_end = if crlf * 2 > original.matches('\n').count() { "\r\n" } else { "\n" };
    if crlf == 0 {
        return edited.to_owned();
    }
    let lines: Vec<&str> = original.split_inclusive('\n').collect();
    let before: Vec<String> = lines.iter().map(|line| line.replace("\r\n", "\n")).collect();
    let before: Vec<&str> = before.iter().map(String::as_str).collect();
    let after: Vec<&str> = edited.split_inclusive('\n').collect();
    let mut out = String::with_capacity(original.len() + edited.len());
    for change in TextDiff::from_slices(&before, &after).iter_all_changes() {
        match (change.tag(), change.old_index()) {
            (ChangeTag::Equal, Some(index)) => out.push_str(lines[index]),
            (ChangeTag::Delete, _) => {}
            (ChangeTag::Insert | ChangeTag::Equal, _) => match change.value().strip_suffix('\n') {
                Some(line) => out.extend([line, line_end]),
                None => out.push_str(change.value()),
            },
        }
    }
    out
}
