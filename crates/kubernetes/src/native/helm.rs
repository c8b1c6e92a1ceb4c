//! Charts are rendered by the `helm` of this machine.
//!
//! A chart is data of a repository, and `helm` is somebody's program: it gets the chart alone, in a folder that is made for it, an
//! environment without the user's settings, plugins and clusters, a time and a size. It asks no cluster (`lookup` finds nothing).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use stratos_engine::desired::text::Text;
use stratos_engine::manifest::diagnostic::Diagnostic;
use stratos_engine::render::native::{Bundle, Generated, Native, printed};
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use super::chart::{Chart, From, Hooks};
use super::part::Part;
use super::stand_in::{StandIns, Turn};

/// For a chart to be rendered, or to be fetched. The largest published ones are rendered within seconds.
const PATIENCE: Duration = Duration::from_secs(120);
/// The most that a chart may print: more than YAML is read of.
const MOST: u64 = 32 * 1024 * 1024;
/// So much of what `helm` says when it fails is repeated.
const LONGEST: usize = 2000;
/// What a request into the network may need of the environment.
const NETWORK: [&str; 8] =
    ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"];

/// The `helm` of this machine, if it has one. It is looked for when it is needed.
#[derive(Clone, Default)]
pub struct Helm {
    path: OsString,
    network: Vec<(&'static str, OsString)>,
    patience: Option<Duration>,
}

impl Helm {
    /// The one that these environment variables lead to.
    pub fn new(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let network = NETWORK.iter().filter_map(|name| Some((*name, variable(name)?)));
        Self { path: variable("PATH").unwrap_or_default(), network: network.collect(), patience: None }
    }

    /// The same with less time, or more.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience: Some(patience), ..self }
    }

    fn program(&self) -> Option<PathBuf> {
        let named = std::env::split_paths(&self.path).filter(|folder| folder.is_absolute()).map(|folder| folder.join("helm"));
        named.into_iter().find(|program| program.is_file())
    }
}

/// The files that a part's chart makes; none where it names no chart. What is wrong with its keys is said where the part is
/// translated.
pub(crate) async fn generate(helm: &Helm, namespace: &str, app: &str, part: &Native) -> Result<Generated, Vec<Diagnostic>> {
    let Some(chart) = Part::read(part, &mut Vec::new()).chart else { return Ok(Generated::default()) };
    if chart.values.iter().any(|values| part.files(&values.pattern).is_err()) {
        return Ok(Generated::default());
    }
    let stand_ins = chart.stand_ins(part);
    let rendering = Rendering { helm, namespace, app, part, chart: &chart, stand_ins: &stand_ins };
    rendering.both().await.map_err(|(message, help)| {
        // A chart may say what it was given.
        let message = Text::from_rendered(&stand_ins.show(&message)).map_or(message, |text| text.to_string());
        vec![Diagnostic { help, ..Diagnostic::new(message, chart.at) }]
    })
}

/// What went wrong, and what to do.
type Failed = (String, Option<String>);

/// A chart that is to be rendered.
struct Rendering<'a> {
    helm: &'a Helm,
    namespace: &'a str,
    app: &'a str,
    part: &'a Native,
    chart: &'a Chart,
    stand_ins: &'a StandIns,
}

/// A chart in a folder of its own.
struct Staged {
    folder: TempDir,
    chart: PathBuf,
    /// What it calls itself, which its messages and its output begin with.
    name: Option<String>,
}

impl Rendering<'_> {
    async fn both(&self) -> Result<Generated, Failed> {
        let Some(program) = self.helm.program() else {
            let chart = self.chart.name();
            let message = format!("the chart `{chart}` cannot be rendered: there is no program `helm` on PATH");
            let instead = "or write what the chart makes into a file of `manifests`: `helm template";
            return Err((
                message,
                Some(format!("install Helm (https://helm.sh/docs/intro/install), {instead} {} {chart}`", self.release())),
            ));
        };
        let staged = self.staged(&program).await?;
        let (first, second) =
            futures::future::try_join(self.once(&program, &staged, Turn::First), self.once(&program, &staged, Turn::Second)).await?;
        let again = if first == second { Vec::new() } else { self.files(&staged, &second) };
        Ok(Generated { files: self.files(&staged, &first), again })
    }

    fn release(&self) -> &str {
        self.chart.release.as_deref().unwrap_or(self.app)
    }

    /// Puts the chart, and nothing else, into a folder.
    async fn staged(&self, program: &Path) -> Result<Staged, Failed> {
        let name = self.chart.name();
        let failed = |why: String| (format!("the chart `{name}` cannot be read: {why}"), None);
        let unwritten = |error: std::io::Error| failed(format!("there is no folder for it to be rendered in: {error}"));
        let folder = tempfile::Builder::new().prefix("stratos-helm-").tempdir().map_err(unwritten)?;
        let archive = folder.path().join("chart.tgz");
        match &self.chart.from {
            From::Folder(path) => match self.part.bundle(path).map_err(failed)? {
                Bundle::File(bytes) => {
                    std::fs::write(&archive, bytes).map_err(unwritten)?;
                    Ok(Staged { folder, chart: archive, name: None })
                }
                Bundle::Folder(files) if !files.contains_key("Chart.yaml") => Err(failed("it has no `Chart.yaml`".to_owned())),
                Bundle::Folder(files) => {
                    let chart = folder.path().join("chart");
                    let called = files.get("Chart.yaml").map(|bytes| String::from_utf8_lossy(bytes)).as_deref().and_then(called);
                    write(&chart, &files).map_err(unwritten)?;
                    Ok(Staged { folder, chart, name: called })
                }
            },
            From::Remote { chart, repo, version } => {
                let pulled = folder.path().join("pulled");
                std::fs::create_dir(&pulled).map_err(unwritten)?;
                let run = self.run(program, pull(chart, repo.as_deref(), version, &pulled), &folder, &self.helm.network);
                run.await.map_err(|why| (format!("the chart `{chart}` {version} cannot be fetched: {why}"), None))?;
                let found = std::fs::read_dir(&pulled).map_err(unwritten)?.filter_map(Result::ok).map(|entry| entry.path());
                let found = found.filter(|path| path.extension().is_some_and(|extension| extension == "tgz")).min();
                let chart = found.ok_or_else(|| failed("nothing was fetched".to_owned()))?;
                Ok(Staged { folder, chart, name: None })
            }
        }
    }

    /// What the chart prints.
    async fn once(&self, program: &Path, staged: &Staged, turn: Turn) -> Result<String, Failed> {
        let folder = staged.folder.path();
        let unwritten = |error: std::io::Error| (format!("the values of the chart cannot be written: {error}"), None);
        let mut values = Vec::new();
        let named = self.chart.values.iter().flat_map(|named| self.part.files(&named.pattern).unwrap_or_default());
        let mut texts: Vec<String> = named.map(|file| self.stand_ins.hide(&file.text, turn)).collect();
        texts.push(self.stand_ins.hide_all(&self.chart.set, turn).to_string());
        for (index, text) in texts.iter().enumerate() {
            let path = folder.join(format!("values-{turn:?}-{index}.yaml"));
            std::fs::write(&path, text).map_err(unwritten)?;
            values.push(path);
        }
        let arguments = template(self.chart, self.release(), self.namespace, &values, &staged.chart);
        let printed = self.run(program, arguments, &staged.folder, &[]).await;
        printed.map_err(|why| {
            let why = self.real_places(staged, &why);
            let missing = why.contains("missing in charts/ directory");
            let help =
                missing.then(|| format!("`helm dependency build {}` fetches them: they belong into the repository", self.chart.name()));
            (format!("the chart `{}` cannot be rendered: {why}", self.chart.name()), help)
        })
    }

    /// Runs `helm`. The error is the rest of a sentence.
    async fn run(
        &self,
        program: &Path,
        arguments: Vec<OsString>,
        folder: &TempDir,
        network: &[(&'static str, OsString)],
    ) -> Result<String, String> {
        let patience = self.helm.patience.unwrap_or(PATIENCE);
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(network.iter().map(|(name, value)| (name, value)));
        for variable in ["HOME", "TMPDIR", "HELM_CONFIG_HOME", "HELM_DATA_HOME", "HELM_CACHE_HOME"] {
            command.env(variable, folder.path());
        }
        // Nothing is there: neither a cluster nor a plugin.
        command.env("KUBECONFIG", folder.path().join("no-kubeconfig")).env("HELM_PLUGINS", folder.path().join("no-plugins"));
        command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| format!("{} cannot be run: {error}", program.display()))?;
        let (Some(mut out), Some(mut err)) = (child.stdout.take(), child.stderr.take()) else { return Err("it prints nothing".to_owned()) };
        let done = async {
            let mut said = Vec::new();
            let listened = async {
                (&mut err).take(LONGEST as u64 * 8).read_to_end(&mut said).await?;
                tokio::io::copy(&mut err, &mut tokio::io::sink()).await
            };
            let mut text = Vec::new();
            let read = async {
                // Whoever prints without an end finds nobody who reads.
                let read = (&mut out).take(MOST + 1).read_to_end(&mut text).await;
                drop(out);
                read
            };
            let (read, listened) = futures::future::join(read, listened).await;
            read.and(listened)?;
            Ok::<_, std::io::Error>((child.wait().await?, text, said))
        };
        let done = tokio::time::timeout(patience, done).await;
        let (status, text, said) = match done {
            Ok(done) => done.map_err(|error| format!("nothing is heard of `helm`: {error}"))?,
            Err(_) => return Err(format!("`helm` did not end within {patience:?}")),
        };
        if text.len() as u64 > MOST {
            return Err(format!("it is more than {} MiB of text", MOST / 1024 / 1024));
        }
        if !status.success() {
            let said = sentences(&String::from_utf8_lossy(&said));
            return Err(if said.is_empty() { format!("`helm` failed ({status})") } else { said });
        }
        printed(text).map_err(|why| format!("what it makes {why}"))
    }

    /// What was printed, by the files of the chart.
    fn files(&self, staged: &Staged, printed: &str) -> Vec<(String, String)> {
        let mut files: BTreeMap<&str, String> = BTreeMap::new();
        let mut source = "";
        for document in documents(printed) {
            source = document.lines().find_map(|line| line.strip_prefix("# Source: ")).unwrap_or(source);
            files.entry(source).or_default().push_str(document);
        }
        let named = |(source, text): (&str, String)| {
            let source = source.split_once('/').map_or(source, |(_, path)| path);
            (format!("{} (rendered)", self.place(staged, source)), self.stand_ins.show(&text))
        };
        files.into_iter().map(named).collect()
    }

    /// The path of a chart's file as people know it.
    fn place(&self, staged: &Staged, path: &str) -> String {
        let chart = match staged.name {
            Some(_) => self.chart.name().trim_start_matches("./").trim_end_matches('/'),
            None => self.chart.name(),
        };
        format!("{chart}/{path}")
    }

    /// What `helm` says with the paths of the repository: it knows the folder that the chart was put in, and its name.
    fn real_places(&self, staged: &Staged, text: &str) -> String {
        let text = text.replace(&format!("{}/", staged.chart.display()), &self.place(staged, ""));
        let text = text.replace(&format!("{}/", staged.folder.path().display()), "");
        let Some(name) = &staged.name else { return text };
        let mut out = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(at) = rest.find(name.as_str()) {
            let (before, after) = (&rest[..at], &rest[at + name.len()..]);
            let begins = !before.ends_with(|c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c));
            out.push_str(before);
            match after.strip_prefix('/').filter(|path| begins && ["templates/", "charts/"].iter().any(|folder| path.starts_with(folder))) {
                Some(path) => {
                    out.push_str(&self.place(staged, ""));
                    rest = path;
                }
                None => {
                    out.push_str(name);
                    rest = after;
                }
            }
        }
        out + rest
    }
}

/// The arguments for `helm template`. What the manifest says is never taken for an option.
fn template(chart: &Chart, release: &str, namespace: &str, values: &[PathBuf], path: &Path) -> Vec<OsString> {
    let mut out: Vec<OsString> = ["template", "--include-crds", "--skip-tests"].map(Into::into).into();
    out.push(format!("--namespace={namespace}").into());
    out.extend((chart.hooks == Some(Hooks::Skip)).then(|| "--no-hooks".into()));
    out.extend(chart.kube_version.iter().map(|version| format!("--kube-version={version}").into()));
    out.extend(chart.api_versions.iter().map(|version| format!("--api-versions={version}").into()));
    for file in values {
        let mut argument = OsString::from("--values=");
        argument.push(file);
        out.push(argument);
    }
    out.extend(["--".into(), release.into(), path.into()]);
    out
}

/// The arguments for `helm pull`.
fn pull(chart: &str, repo: Option<&str>, version: &str, into: &Path) -> Vec<OsString> {
    let mut out: Vec<OsString> = vec!["pull".into(), format!("--version={version}").into()];
    out.extend(repo.map(|repo| format!("--repo={repo}").into()));
    out.extend(["--destination".into(), into.into(), "--".into(), chart.into()]);
    out
}

/// The name in a `Chart.yaml`.
fn called(text: &str) -> Option<String> {
    let documents = super::yaml::documents(text).ok()?;
    documents.first()?.get("name")?.as_str().filter(|name| !name.is_empty()).map(str::to_owned)
}

fn write(folder: &Path, files: &BTreeMap<String, Vec<u8>>) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (path, bytes) in files {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, bytes)?;
    }
    Ok(())
}

/// The documents of a text, each with the line that it begins with.
fn documents(text: &str) -> impl Iterator<Item = &str> {
    let begins = |line: &str| line.trim_end() == "---";
    let mut starts = vec![0];
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if begins(line) && at > 0 {
            starts.push(at);
        }
        at += line.len();
    }
    starts.push(text.len());
    (1..starts.len()).map(move |index| &text[starts[index - 1]..starts[index]])
}

/// What `helm` says when it fails, without what it says each time.
fn sentences(said: &str) -> String {
    let lines = said
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("level=WARN") && !line.starts_with("Use --debug flag"));
    let said = lines.map(|line| line.strip_prefix("Error: ").unwrap_or(line)).collect::<Vec<_>>().join("\n");
    said.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn documents_are_split_at_their_marks_alone() {
        let text = "---\n# Source: web/templates/a.yaml\na: |\n  ---\n---\n# Source: web/templates/b.yaml\nb: c\n";
        assert_eq!(documents(text).collect::<Vec<_>>(), [&text[..46], &text[46..]]);
        assert_eq!(documents("").collect::<String>(), "");
    }

    #[test]
    fn what_is_said_each_time_is_left_out() {
        let said = "level=WARN msg=old\nError: template: web/templates/a.yaml:3:4: nil\n\nUse --debug flag to render out invalid YAML\n";
        assert_eq!(sentences(said), "template: web/templates/a.yaml:3:4: nil");
    }
}
