//! `stratos add`

use indexmap::IndexMap;
use stratos_engine::desired::name::Name;
use stratos_engine::manifest::edit;
use stratos_engine::manifest::schema::{Environment, PlatformKind, Scalar, ValueType};
use stratos_engine::render::cartridge::Parameter;
use stratos_engine::render::cartridge::catalogue::Catalogue;
use toml_edit::{Array, InlineTable, Value};

use super::Context;
use super::edit::ManifestText;
use super::error::{Exit, Failure};
use super::global::assignment;
use super::session::connector;
use crate::connect;

const EXAMPLES: &str = "\
Examples:
  stratos add env dev --platform local
  stratos add env myswarm --platform swarm https://swarm-host/
  stratos add env here --platform docker               the engine that `docker` uses
  stratos add env myk8s --platform kubernetes https://kubernetes-master/
  stratos add env staging --platform kubernetes --option context=staging
  stratos add env prod --platform kubernetes --namespace shop --after myswarm
  stratos add app redis --parameter 'password={{ secrets.redis }}'   from its cartridge
  stratos add app web --image nginx:1.27 --port http=80:8080
  stratos add app web --port http=8080 -- ./web --port '$(PORT_HTTP)'
Comments, order and everything else in stratos.toml stay as they are.";

/// Add an environment or an app to stratos.toml.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Env(EnvArgs),
    App(AppArgs),
}

/// Add an environment: a place where apps run.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
struct EnvArgs {
    /// The environment's name.
    #[arg(value_name = "NAME")]
    name: Name,

    /// Where the platform is; the default depends on the platform.
    #[arg(value_name = "URL")]
    url: Option<String>,

    /// The kind of platform: local, docker, swarm, kubernetes, aws-ecs, mesos or cloudfoundry.
    #[arg(long, value_name = "KIND")]
    platform: String,

    /// The platform's own division that everything goes into, where it has one.
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,

    /// Apply it only when everything in these environments is done and healthy.
    #[arg(long, value_name = "ENV", value_delimiter = ',')]
    after: Vec<Name>,

    /// Let only those apps come here that name it.
    #[arg(long)]
    opt_in: bool,

    /// A setting of the platform's connection (repeat it for more).
    #[arg(long = "option", value_name = "KEY=VALUE", value_parser = assignment)]
    options: Vec<(String, String)>,
}

/// Add an app: something that runs.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
struct AppArgs {
    /// The app's name.
    #[arg(value_name = "NAME")]
    name: Name,

    /// The container image.
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,

    /// A cartridge: a name from the catalogue, or a folder.
    #[arg(long, value_name = "CARTRIDGE")]
    cartridge: Option<String>,

    /// A parameter of the cartridge (repeat it for more).
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = assignment)]
    parameters: Vec<(String, String)>,

    /// A port that it listens on, and where it is published (repeat it for more).
    #[arg(long = "port", value_name = "NAME=PORT[:PUBLISH]", value_parser = port)]
    ports: Vec<PortArgument>,

    /// How many instances run.
    #[arg(long, value_name = "N")]
    replicas: Option<u32>,

    /// The environments that it runs in; the default is all of them.
    #[arg(long = "in", value_name = "ENV", value_delimiter = ',')]
    environments: Vec<Name>,

    /// The program and its arguments, behind `--`.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// `http=8080:80`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PortArgument {
    name: Name,
    port: u16,
    publish: Option<u16>,
}

fn port(text: &str) -> Result<PortArgument, String> {
    let (name, numbers) = text.split_once('=').ok_or("expected NAME=PORT or NAME=PORT:PUBLISH, such as http=8080")?;
    let number = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0).ok_or(format!("{text:?} is not a port from 1 to 65535"));
    let name = Name::new(name).map_err(|error| error.to_string())?;
    let (port, publish) = match numbers.split_once(':') {
        Some((port, publish)) => (number(port)?, Some(number(publish)?)),
        None => (number(numbers)?, None),
    };
    Ok(PortArgument { name, port, publish })
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let manifest = ManifestText::read()?;
    let (what, name, changed) = match &args.what {
        What::Env(args) => ("environment", &args.name, add_environment(&manifest, args)?),
        What::App(args) => ("app", &args.name, add_app(&manifest, args)?),
    };
    let said = if changed { format!("Added the {what} {name}.") } else { format!("The {what} {name} is there already, just so.") };
    context.output.note(&said);
    if let What::Env(args) = &args.what {
        say_how_it_is_reached(&manifest, args, context);
    }
    if let What::App(AppArgs { name, cartridge, parameters, image: None, command, .. }) = &args.what
        && command.is_empty()
    {
        let missing = missing_parameters(cartridge.as_deref().unwrap_or(name), parameters);
        for (parameter, description) in missing {
            context.output.note(&format!("It needs a value before it can be planned: parameters.{parameter}. {description}"));
        }
    }
    Ok(Exit::Success)
}

/// How the environment's platform will be reached, where there is more than one way. Nothing is sent.
fn say_how_it_is_reached(manifest: &ManifestText, args: &EnvArgs, context: &Context) {
    let Some(environment) = environment(args) else { return };
    match connector(manifest.folder()).describe(&environment) {
        None => {}
        Some(Ok(how)) => context.output.note(&how),
        Some(Err(error)) => {
            let hint = error.hint.map_or_else(String::new, |hint| format!(" ({hint})"));
            context.output.note(&format!("It cannot be reached from this machine yet: {}{hint}", error.why));
        }
    }
}

/// The environment as it will be read. None where there is no such platform, which is reported when it is added.
fn environment(args: &EnvArgs) -> Option<Environment> {
    let EnvArgs { name: _, url, platform, namespace, after, opt_in, options } = args;
    let scalar = |value: &str| match edit::scalar(value) {
        Value::Integer(number) => Scalar::Integer(*number.value()),
        Value::Boolean(flag) => Scalar::Bool(*flag.value()),
        _ => Scalar::String(value.to_owned()),
    };
    Some(Environment {
        platform: PlatformKind::ALL.into_iter().find(|kind| kind.as_str() == platform)?,
        url: url.clone(),
        namespace: namespace.clone(),
        after: after.clone(),
        opt_in: *opt_in,
        variables: IndexMap::new(),
        options: options.iter().map(|(key, value)| (key.clone(), scalar(value))).collect(),
    })
}

fn add_environment(manifest: &ManifestText, args: &EnvArgs) -> Result<bool, Failure> {
    if let Some(problem) = environment(args).and_then(|environment| connect::check(&environment).into_iter().next()) {
        let failure = Failure::usage(problem.message);
        return Err(match problem.help {
            Some(help) => failure.with_hint(help),
            None => failure,
        });
    }
    let EnvArgs { name, url, platform, namespace, after, opt_in, options } = args;
    let text = |key: &'static str, value: &Option<String>| value.as_ref().map(|value| (vec![key], Value::from(value)));
    let mut fields: Vec<(Vec<&str>, Value)> = Vec::new();
    fields.extend(text("url", url));
    fields.extend(text("namespace", namespace));
    if !after.is_empty() {
        fields.push((vec!["after"], names(after)));
    }
    if *opt_in {
        fields.push((vec!["opt_in"], true.into()));
    }
    fields.extend(options.iter().map(|(key, value)| (vec!["options", key], edit::scalar(value))));
    manifest.edit(|text| edit::add_environment(text, name, platform, &fields))
}

fn names(names: &[Name]) -> Value {
    names.iter().map(Name::as_str).collect::<Array>().into()
}

fn add_app(manifest: &ManifestText, args: &AppArgs) -> Result<bool, Failure> {
    let AppArgs { name, image, cartridge, parameters, ports, replicas, environments, command } = args;
    let nothing_runs = image.is_none() && cartridge.is_none() && command.is_empty();
    let by_name = nothing_runs.then(|| cartridge_of(name)).transpose()?;
    let mut fields: Vec<(Vec<&str>, Value)> = Vec::new();
    if let Some(cartridge) = cartridge.as_deref().or(by_name.as_deref()) {
        fields.push((vec!["cartridge"], cartridge.into()));
    }
    let described = match fields.first() {
        Some((_, cartridge)) if !parameters.is_empty() => described(manifest, cartridge.as_str().unwrap_or_default())?,
        _ => IndexMap::new(),
    };
    for (parameter, value) in parameters {
        let kind = described.get(parameter).map(|parameter| parameter.r#type);
        fields.push((vec!["parameters", parameter], parameter_value(value, kind)));
    }
    if let Some(image) = image {
        fields.push((vec!["image"], image.into()));
    }
    if !command.is_empty() {
        fields.push((vec!["command"], command.iter().collect::<Array>().into()));
    }
    if !environments.is_empty() {
        fields.push((vec!["environments"], names(environments)));
    }
    if let Some(replicas) = replicas {
        fields.push((vec!["replicas"], i64::from(*replicas).into()));
    }
    for PortArgument { name, port, publish } in ports {
        let port_number = i64::from(*port);
        let value = match publish {
            None => port_number.into(),
            Some(publish) => InlineTable::from_iter([("port", port_number), ("publish", i64::from(*publish))]).into(),
        };
        fields.push((vec!["ports", name], value));
    }
    manifest.edit(|text| edit::add_app(text, name, &fields))
}

/// The cartridge of an app's own name, where nothing else says what runs.
pub fn cartridge_of(name: &Name) -> Result<String, Failure> {
    let catalogue = Catalogue::embedded();
    if catalogue.names().any(|there| there == name.as_str()) {
        return Ok(name.to_string());
    }
    let names: Vec<&str> = catalogue.names().collect();
    Err(Failure::usage(format!("nothing says what the app {name} runs, and there is no cartridge of that name"))
        .with_hint(format!("give it an image (--image), a command (behind `--`), or a cartridge (--cartridge): {}", names.join(", "))))
}

/// The parameters that a cartridge of the catalogue needs and that are not given, with their descriptions. A cartridge
/// that is a folder says so itself, when it is rendered.
pub fn missing_parameters(cartridge: &str, given: &[(String, String)]) -> Vec<(String, String)> {
    let Ok(cartridge) = Catalogue::embedded().get(cartridge) else { return Vec::new() };
    let needed = cartridge.parameters.into_iter().filter(|(_, parameter)| parameter.default.is_none());
    let missing = needed.filter(|(name, _)| given.iter().all(|(there, _)| there != name));
    missing.map(|(name, parameter)| (name, parameter.description)).collect()
}

/// The parameters that a cartridge describes.
fn described(manifest: &ManifestText, cartridge: &str) -> Result<IndexMap<String, Parameter>, Failure> {
    Ok(Catalogue::embedded().find(cartridge, manifest.folder())?.parameters)
}

/// A parameter's value in the type that its cartridge wants: the version 10.1 is text although it looks like a number. What
/// does not fit is kept as text, and reported as such when the manifest is read.
fn parameter_value(text: &str, kind: Option<ValueType>) -> Value {
    match (kind, text.trim().parse::<Value>()) {
        (Some(ValueType::Integer | ValueType::Number), Ok(value)) if value.is_integer() || value.is_float() => value,
        (Some(ValueType::Boolean), Ok(value)) if value.is_bool() => value,
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read() {
        let http = |port, publish| Ok(PortArgument { name: Name::new("http").unwrap(), port, publish });
        assert_eq!(port("http=8080"), http(8080, None));
        assert_eq!(port("http=8080:80"), http(8080, Some(80)));
        for wrong in ["8080", "http=0", "http=70000", "http=80:", "HTTP=80", "http="] {
            assert!(port(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_parameter_has_the_type_that_its_cartridge_wants() {
        let value = |text, kind| parameter_value(text, kind).to_string();
        assert_eq!(value("10.1", Some(ValueType::String)), "\"10.1\"");
        assert_eq!(value("8", Some(ValueType::Integer)), "8");
        assert_eq!(value("0.5", Some(ValueType::Number)), "0.5");
        assert_eq!(value("true", Some(ValueType::Boolean)), "true");
        assert_eq!(value("yes", Some(ValueType::Boolean)), "\"yes\"");
        assert_eq!(value("8", None), "\"8\"");
    }
}
