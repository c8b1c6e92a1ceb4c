//! What is wrong with a manifest, shown at its place in the text.

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};
use stratos_engine::manifest::diagnostic::{Diagnostic, Report, Sources, Span};

/// Every problem with its line, and how many there are. What several reports say alike is said once.
pub fn render(reports: &[Report], colored: bool) -> String {
    let renderer = if colored { Renderer::styled() } else { Renderer::plain() };
    let mut blocks: Vec<String> = Vec::new();
    let mut files: Vec<&str> = Vec::new();
    for Report { sources, diagnostics } in reports {
        for diagnostic in diagnostics {
            let block = renderer.render(&groups(diagnostic, sources));
            if blocks.contains(&block) {
                continue;
            }
            blocks.push(block);
            if let Some(name) = diagnostic.span.map(|span| sources.name(span.file)).filter(|name| !files.contains(name)) {
                files.push(name);
            }
        }
    }
    let mut out: String = blocks.iter().map(|block| format!("{block}\n\n")).collect();
    if files.is_empty() && blocks.len() == 1 {
        // A single problem that is in no file (but on the command line) is its own summary.
        return out.trim_end().to_owned() + "\n";
    }
    out.push_str(&renderer.render(&[Group::with_title(Level::ERROR.primary_title(summary(blocks.len(), &files)))]));
    out.push('\n');
    out
}

fn groups<'a>(diagnostic: &'a Diagnostic, sources: &'a Sources) -> Vec<Group<'a>> {
    let Diagnostic { message, span, label, related, help } = diagnostic;
    let title = Level::ERROR.primary_title(message.as_str());
    let mut group = match span {
        None => Group::with_title(title),
        Some(span) => {
            // Related places in the same file belong into the same picture.
            let near = related.iter().filter(|(place, _)| place.file == span.file);
            let near = near.map(|(place, label)| AnnotationKind::Context.span(range(*place, sources)).label(label.as_str()));
            let primary = AnnotationKind::Primary.span(range(*span, sources)).label(label.as_str());
            title.element(snippet(*span, sources).annotation(primary).annotations(near))
        }
    };
    for (place, label) in related.iter().filter(|(place, _)| span.is_none_or(|span| span.file != place.file)) {
        let annotation = AnnotationKind::Context.span(range(*place, sources)).label(label.as_str());
        group = group.element(snippet(*place, sources).annotation(annotation));
    }
    if let Some(help) = help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    vec![group]
}

fn snippet<'a>(span: Span, sources: &'a Sources) -> Snippet<'a, Annotation<'a>> {
    Snippet::source(sources.text(span.file)).path(sources.name(span.file))
}

/// A range that lies in the text and cuts no character, whatever the span says.
fn range(span: Span, sources: &Sources) -> std::ops::Range<usize> {
    let text = sources.text(span.file);
    let boundary = |at: u32| text.floor_char_boundary((at as usize).min(text.len()));
    boundary(span.start)..boundary(span.end.max(span.start))
}

/// `2 problems in stratos.toml`.
fn summary(count: usize, files: &[&str]) -> String {
    let count = if count == 1 { "1 problem".to_owned() } else { format!("{count} problems") };
    if files.is_empty() { count } else { format!("{count} in {}", files.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn each_problem_shows_its_line_and_the_last_line_counts_them() {
        let mut sources = Sources::default();
        let text = "[apps.web]\nimagee = \"nginx\"\nreplicas = \"ü\"\n";
        let file = sources.add("stratos.toml", text);
        let at = |word: &str| {
            let start = text.find(word).unwrap() as u32;
            Span { file, start, end: start + word.len() as u32 }
        };
        let diagnostics = vec![
            Diagnostic::new("unknown key `imagee`", at("imagee")).labelled("not a key of an app").with_help("did you mean `image`?"),
            Diagnostic::new("`replicas` is a number", at("\"ü\"")).related_to(at("[apps.web]"), "in this app"),
            Diagnostic::new("no environment is declared", None),
        ];
        let report = Report { sources: Arc::new(sources), diagnostics };
        insta::assert_snapshot!(render(&[report.clone(), report], false));
    }

    #[test]
    fn a_span_past_the_end_or_inside_a_character_does_not_panic() {
        let mut sources = Sources::default();
        let file = sources.add("a.toml", "ü");
        for (start, end) in [(1, 1), (0, 1), (5, 9), (2, 1)] {
            let diagnostics = vec![Diagnostic::new("wrong", Span { file, start, end })];
            assert!(render(&[Report { sources: Arc::new(sources.clone()), diagnostics }], false).contains("wrong"));
        }
    }
}
