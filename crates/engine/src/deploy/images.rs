//! Pins the tags of images to digests: what a registry is asked for, and what a plan says where it was not told.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;

use super::read::ChosenEnvironment;
use super::{Request, Unanswered};
use crate::compare::{Difference, Differences};
use crate::desired::document::{Document, Image, Leaf};
use crate::desired::resource::Resource;

/// References that no registry told a digest for.
pub type Unpinned = BTreeMap<Arc<str>, Unanswered>;

/// A note names this many images of one cause.
const NAMED: usize = 3;

/// Pins the images of what is written: to what is live where the tag is the same, else to what the registry says now.
pub async fn pin_chosen(request: &Request<'_>, chosen: &mut [ChosenEnvironment]) -> Unpinned {
    let asked: Unpinned = chosen.iter_mut().flat_map(|environment| std::mem::take(&mut environment.unpinned)).collect();
    let changes = chosen.iter_mut().flat_map(|ChosenEnvironment { chosen, observed, .. }| {
        chosen.changes.iter_mut().filter_map(|change| {
            let before = change.fence.before.as_ref().and_then(|seen| observed.resources.get(&seen.id));
            Some((change.desired.as_mut()?, before.map(|live| &live.document)))
        })
    });
    let images = changes.flat_map(|(desired, live)| unpinned(desired, live)).collect();
    pin(request, images, &asked).await
}

/// The same for what differs, before the platform is asked what it would store: a dry run has to send what an apply would.
pub async fn pin_differing(request: &Request<'_>, differences: &mut Differences) -> Unpinned {
    let differing = differences.differences.iter_mut().filter_map(|difference| match difference {
        Difference::Differs { desired, observed, .. } => Some((desired, &observed.document)),
        _ => None,
    });
    let images = differing.flat_map(|(desired, live)| unpinned(desired, Some(live))).collect();
    pin(request, images, &Unpinned::new()).await
}

/// Pins all images of these resources to what the registry says now.
pub async fn refresh(request: &Request<'_>, resources: &mut [Resource]) -> Unpinned {
    let images = resources.iter_mut().flat_map(|resource| unpinned(resource, None)).collect();
    pin(request, images, &Unpinned::new()).await
}

/// The images of a resource that a registry is to be asked about. A tag that is live already stays at the digest that is live; one that is
/// live without a digest stays so where another text in its field makes the resource anew: a Job does not run again for a digest.
fn unpinned<'a>(desired: &'a mut Resource, live: Option<&'a Document>) -> impl Iterator<Item = &'a mut Image> {
    let replaces = desired.shape.replaces;
    desired.document.leaves_mut().filter_map(move |(path, leaf)| {
        let Leaf::Image(wanted) = leaf else { return None };
        if let Some(Leaf::Image(live)) = live.and_then(|live| live.get(path))
            && wanted.digest.is_none()
            && live.has_the_name_of(wanted)
        {
            wanted.digest.clone_from(&live.digest);
            if replaces.iter().any(|(pattern, _)| path.matches(pattern)) {
                return None;
            }
        }
        wanted.digest.is_none().then_some(&mut **wanted)
    })
}

/// Pins images to what the registry says now, asking for each reference once, and never for those that it did not tell before.
async fn pin(request: &Request<'_>, unpinned: Vec<&mut Image>, asked: &Unpinned) -> Unpinned {
    let Some(registry) = request.registry else { return Unpinned::new() };
    let mut images: BTreeMap<Arc<str>, Vec<&mut Image>> = BTreeMap::new();
    for image in unpinned {
        images.entry(image.reference.clone()).or_default().push(image);
    }
    let answers = join_all(images.keys().map(|reference| async move {
        match asked.get(reference) {
            Some(why) => Err(why.clone()),
            None => registry.digest(reference).await,
        }
    }))
    .await;
    let mut unpinned = Unpinned::new();
    for ((reference, images), answer) in images.into_iter().zip(answers) {
        match answer {
            Ok(digest) => images.into_iter().for_each(|image| image.digest = Some(digest.as_str().into())),
            Err(why) => _ = unpinned.insert(reference, why),
        }
    }
    unpinned
}

/// A sentence for each cause. What is not pinned was not refreshed either, and is not said twice.
pub fn notes(unpinned: Unpinned, mut unrefreshed: Unpinned) -> Vec<String> {
    unrefreshed.retain(|reference, _| !unpinned.contains_key(reference));
    [(unpinned, "not pinned"), (unrefreshed, "not refreshed")].into_iter().flat_map(|(images, what)| sentences(images, what)).collect()
}

fn sentences(images: Unpinned, what: &str) -> Vec<String> {
    let mut causes: BTreeMap<Unanswered, Vec<Arc<str>>> = BTreeMap::new();
    for (reference, why) in images {
        causes.entry(why).or_default().push(reference);
    }
    let sentence = |(why, references): (Unanswered, Vec<Arc<str>>)| match references.as_slice() {
        [one] => format!("image {one}: {what}: {why}"),
        all if all.len() <= NAMED => format!("images {}: {what}: {why}", all.join(", ")),
        all => format!("images {} and {} more: {what}: {why}", all[..NAMED - 1].join(", "), all.len() + 1 - NAMED),
    };
    causes.into_iter().map(sentence).collect()
}
