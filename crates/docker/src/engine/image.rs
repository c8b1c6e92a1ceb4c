//! Images: on the engine before anything is stopped for them.

use bollard::models::ImageInspect;
use bollard::query_parameters::CreateImageOptions;
use futures::StreamExt;
use stratos_engine::platform::{PlatformError, PlatformErrorKind};

use super::DockerPlatform;
use crate::failure::{failure, is_not_found};

/// The image under a name, pulled where the engine does not have it. A tag that is there is not asked for again.
pub(crate) async fn present(platform: &DockerPlatform, reference: &str) -> Result<ImageInspect, PlatformError> {
    let docker = &platform.connection.docker;
    let attempted = || format!("looking for the image {reference}");
    match docker.inspect_image(reference).await {
        Ok(image) => return Ok(image),
        Err(error) if is_not_found(&error) => pull(platform, reference).await?,
        Err(error) => return Err(failure(attempted(), &error)),
    }
    docker.inspect_image(reference).await.map_err(|error| failure(attempted(), &error))
}

async fn pull(platform: &DockerPlatform, reference: &str) -> Result<(), PlatformError> {
    let attempted = format!("pulling the image {reference}");
    let credentials = match &platform.config.credentials {
        Some(credentials) => credentials.for_image(reference).await?,
        None => None,
    };
    let (name, tag) = split(reference);
    let options = CreateImageOptions { from_image: Some(name.to_owned()), tag: Some(tag.to_owned()), ..CreateImageOptions::default() };
    let mut progress = platform.connection.docker.create_image(Some(options), None, credentials);
    while let Some(step) = progress.next().await {
        let step = step.map_err(|error| explained(failure(attempted.as_str(), &error)))?;
        if let Some(detail) = step.error_detail {
            let why = detail.message.unwrap_or_else(|| "the engine does not say why".to_owned());
            return Err(explained(PlatformError::new(PlatformErrorKind::Rejected, attempted, why)));
        }
    }
    Ok(())
}

/// A pull that the registry refused is not worth repeating; one that did not get there is.
fn explained(error: PlatformError) -> PlatformError {
    let why = error.why.to_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| why.contains(word));
    // Some registries ask who it is, and the engine then says that it was told nothing.
    const UNKNOWN_USER: [&str; 3] = ["denied", "unauthorized", "auth credentials"];
    let error = if any(&["not found", "unknown", "no such"]) || any(&UNKNOWN_USER) {
        PlatformError { kind: PlatformErrorKind::Rejected, ..error }
    } else {
        error
    };
    let hint = if any(&UNKNOWN_USER) {
        "`docker login` makes credentials known; they are sent along with a pull"
    } else {
        "is the name right, and can the engine reach the registry? `docker pull` with the same name tells more"
    };
    if error.hint.is_none() || error.kind == PlatformErrorKind::Rejected { error.with_hint(hint) } else { error }
}

/// The name and the tag or digest; a digest is stronger than a tag.
fn split(reference: &str) -> (&str, &str) {
    if let Some((name, digest)) = reference.split_once('@') {
        return (split(name).0, digest);
    }
    match reference.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (reference, "latest"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_split_where_its_tag_or_digest_begins() {
        assert_eq!(split("web"), ("web", "latest"));
        assert_eq!(split("host:5000/web"), ("host:5000/web", "latest"));
        assert_eq!(split("host:5000/web:1.2"), ("host:5000/web", "1.2"));
        assert_eq!(split("host:5000/web:1.2@sha256:aa"), ("host:5000/web", "sha256:aa"));
    }
}
