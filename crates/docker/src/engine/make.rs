//! New containers: from a document, or as copies of what runs.

use std::collections::BTreeSet;

use bollard::models::{ContainerCreateBody, EndpointSettings, NetworkConnectRequest, NetworkingConfig};
use bollard::query_parameters::{CreateContainerOptions, DownloadFromContainerOptions, UploadToContainerOptions};
use bytes::Bytes;
use futures::StreamExt;
use stratos_engine::desired::document::{Document, DocumentBuilder, Leaf};
use stratos_engine::desired::owner::Marks;
use stratos_engine::desired::resource::{Resource, ResourceId};
use stratos_engine::platform::{ApplyContext, PlatformError, PlatformErrorKind};

use super::archive::{self, Archive};
use super::live::Member;
use super::names::is_short_id;
use super::record::{RECORD, RESOURCE, Record};
use super::translate::VOLUME;
use super::{DockerPlatform, body, containers, goal, image, network, volume};
use crate::container::{self, Container, secrets};
use crate::failure::failure;
use crate::labels;

/// Where new containers come from.
pub(crate) enum Maker {
    /// A document, ready to be made.
    Template(Box<Template>),
    /// The containers that are there: a restart.
    Copies(Vec<Member>),
}

/// A container in which only the number of the instance is missing.
pub(crate) struct Template {
    body: ContainerCreateBody,
    files: Option<Bytes>,
    document: Document,
    marks: Marks,
    /// The names of the volumes that it needs.
    volumes: BTreeSet<String>,
}

impl Template {
    /// Pulls the image, and fills in what is secret.
    ///
    /// # Errors
    /// Where the image cannot be had, or a text cannot be made whole.
    pub async fn new(platform: &DockerPlatform, desired: &Resource, context: &ApplyContext<'_>) -> Result<Self, PlatformError> {
        let id = &desired.id;
        let wrong = |why: String| PlatformError::new(PlatformErrorKind::Rejected, format!("preparing {id}"), why);
        let document = goal::of_one(&desired.document);
        let whole = container::whole(context);
        let container = Container::read(&document, &whole).map_err(wrong)?;
        let reference = container.image.as_ref().map(ToString::to_string).ok_or_else(|| wrong("it has no image".to_owned()))?;
        let image = image::present(platform, &reference).await?;
        let mut resolved = DocumentBuilder::default();
        container.write(&|source| Leaf::Text(source.into()), &mut resolved);
        let record = Record::new(&document, &resolved.build(), &image, &needs(desired));
        let mut body = body::body(&document, container).map_err(wrong)?;
        let mut marks = desired.marks.clone();
        marks.revision = context.revision.map(str::to_owned).or(marks.revision);
        let all_labels = body.labels.get_or_insert_default();
        all_labels.extend(labels::of(&marks));
        all_labels.insert(RESOURCE.to_owned(), id.name.to_string());
        all_labels.extend(secrets::label(&document));
        let record = serde_json::to_string(&record).map_err(|error| wrong(error.to_string()))?;
        all_labels.insert(RECORD.to_owned(), record);
        let files = body::files(&document, &whole).map_err(wrong)?;
        let volumes = desired.depends_on.iter().filter(|id| &*id.kind == VOLUME.kind).map(|id| id.name.to_string()).collect();
        Ok(Self { body, files, document, marks, volumes })
    }
}

/// What it needs, of this environment.
fn needs(desired: &Resource) -> Vec<ResourceId> {
    desired.depends_on.iter().filter(|id| id.environment == desired.id.environment).cloned().collect()
}

impl Maker {
    /// Makes the container of one instance and starts it. Returns its id.
    ///
    /// # Errors
    /// Where it could not be made or started; then it is taken away again.
    pub async fn make(&self, platform: &DockerPlatform, name: &str, number: u32) -> Result<String, PlatformError> {
        let (mut body, files) = match self {
            Self::Template(template) => {
                for (volume, resource) in body::volumes(&template.document, number, &template.volumes) {
                    volume::present(platform, &volume, &resource, &template.marks, &Document::default()).await?;
                }
                (body::for_instance(&template.body, number), template.files.clone())
            }
            Self::Copies(members) => {
                let Some(member) = members.iter().find(|member| member.number == number) else {
                    let attempted = format!("starting {name} anew");
                    return Err(PlatformError::new(PlatformErrorKind::Conflict, attempted, "there is nothing that it could be a copy of"));
                };
                (copy(member), files_of(platform, member).await?)
            }
        };
        let more = more_networks(&mut body);
        let docker = &platform.connection.docker;
        let options = CreateContainerOptions { name: Some(name.to_owned()), ..CreateContainerOptions::default() };
        let created = docker
            .create_container(Some(options), body)
            .await
            .map_err(|error| failure(format!("creating the container {name}"), &error))?;
        match finish(platform, &created.id, name, more, files).await {
            Ok(()) => Ok(created.id),
            Err(error) => {
                containers::remove(platform, &created.id, name).await?;
                Err(error)
            }
        }
    }
}

/// Takes the networks out of a request that are not the one in which the container is made: an engine before API 1.44 takes one.
fn more_networks(body: &mut ContainerCreateBody) -> Vec<(String, EndpointSettings)> {
    let first = body.host_config.as_ref().and_then(|host| host.network_mode.clone());
    let Some(all) = body.networking_config.as_mut().and_then(|config| config.endpoints_config.as_mut()) else { return Vec::new() };
    let mut more: Vec<(String, EndpointSettings)> = all.extract_if(|name, _| Some(name) != first.as_ref()).collect();
    more.sort_by(|(one, _), (other, _)| one.cmp(other));
    more
}

/// Attaches it to its further networks, writes its files, and starts it.
async fn finish(
    platform: &DockerPlatform,
    id: &str,
    name: &str,
    networks: Vec<(String, EndpointSettings)>,
    files: Option<Bytes>,
) -> Result<(), PlatformError> {
    let docker = &platform.connection.docker;
    for (to, endpoint) in networks {
        let request = NetworkConnectRequest { container: id.to_owned(), endpoint_config: Some(endpoint) };
        let connected = network::connect(platform, &to, request).await?;
        connected.map_err(|error| failure(format!("attaching {name} to the network {to}"), &error))?;
    }
    if let Some(files) = files {
        let options = UploadToContainerOptions { path: "/".to_owned(), ..UploadToContainerOptions::default() };
        let uploaded = docker.upload_to_container(id, Some(options), bollard::body_full(files)).await;
        uploaded.map_err(|error| failure(format!("writing the files of {name}"), &error))?;
    }
    let started = network::start(platform, id).await?;
    started.map_err(|error| {
        let error = failure(format!("starting the container {name}"), &error);
        let any = |words: &[&str]| words.iter().any(|word| error.why.contains(word));
        if any(&["executable file not found", "no such file or directory"]) {
            let hint = "is the first word of `command` a program of the image?";
            return PlatformError { kind: PlatformErrorKind::Rejected, ..error }.with_hint(hint);
        }
        // Another process has made the network at the same moment, and one of the two is about to go.
        let kind = if any(&["is ambiguous", "Could not attach to network"]) { PlatformErrorKind::Conflict } else { error.kind };
        PlatformError { kind, ..error }
    })
}

/// The request that makes another one like it.
fn copy(member: &Member) -> ContainerCreateBody {
    let config = member.inspected.config.clone().unwrap_or_default();
    let networks = member.inspected.network_settings.as_ref().and_then(|settings| settings.networks.clone()).unwrap_or_default();
    let endpoint = |(name, endpoint): (String, EndpointSettings)| {
        let aliases = endpoint.aliases.unwrap_or_default().into_iter().filter(|alias| !is_short_id(&member.id, alias)).collect();
        (name, EndpointSettings { aliases: Some(aliases), ..EndpointSettings::default() })
    };
    ContainerCreateBody {
        hostname: config.hostname.filter(|name| !is_short_id(&member.id, name)),
        domainname: config.domainname,
        user: config.user,
        exposed_ports: config.exposed_ports,
        tty: config.tty,
        open_stdin: config.open_stdin,
        env: config.env,
        cmd: config.cmd,
        healthcheck: config.healthcheck,
        image: config.image,
        working_dir: config.working_dir,
        entrypoint: config.entrypoint,
        labels: config.labels,
        stop_signal: config.stop_signal,
        stop_timeout: config.stop_timeout,
        host_config: member.inspected.host_config.clone(),
        networking_config: Some(NetworkingConfig { endpoints_config: Some(networks.into_iter().map(endpoint).collect()) }),
        ..ContainerCreateBody::default()
    }
}

/// The files that were put into a container, as they are in it now: what is secret is nowhere else.
async fn files_of(platform: &DockerPlatform, member: &Member) -> Result<Option<Bytes>, PlatformError> {
    let mut archive = Archive::default();
    let attempted = |file: &str| format!("reading {file} in the container {}", member.name);
    let wrong = |file: &str, error: std::io::Error| PlatformError::new(PlatformErrorKind::Internal, attempted(file), error.to_string());
    for (path, _) in member.document.leaves().iter().filter(|(path, _)| path.matches("files.*.content")) {
        let Some(file) = path.segments().nth(1) else { continue };
        let options = DownloadFromContainerOptions { path: file.to_owned() };
        let mut stream = platform.connection.docker.download_from_container(&member.id, Some(options));
        let mut bytes = Vec::new();
        while let Some(chunk) = stream.next().await {
            bytes.extend_from_slice(&chunk.map_err(|error| failure(attempted(file), &error))?);
        }
        for found in archive::files(&bytes).map_err(|error| wrong(file, error))? {
            archive.add(file, &found.content, found.mode, found.owner).map_err(|error| wrong(file, error))?;
        }
    }
    archive.finish().map_err(|error| wrong("files", error))
}
