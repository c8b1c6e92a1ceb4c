//! Pins the tags of images to digests: what a registry is asked for, and what a plan says where it was not told.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;

use super::read::ChosenEnvironment;
use super::{Request, Unanswered};
use crate::desired::document::{Image, Leaf};
use crate::desired::resource::Resource;

/// References that no registry told a digest for.
pub type Unpinned = BTreeMap<Arc<str>, Unanswered>;

/// A note names this many images of one cause.
const NAMED: usize = 3;

/// Pins the images of what is written: to what is live where the tag is the same, else to what the registry says now.
pub async fn pin_chosen(request: &Request<'_>, chosen: &mut [ChosenEnvironment]) -> Unpinned {
    chosen.iter_mut().for_each(keep_live);
    let changes = chosen.iter_mut().flat_map(|environment| &mut environment.chosen.changes);
    pin(request, changes.filter_map(|change| change.desired.as_mut())).await
}

/// A tag that is live already stays at the digest that is live.
fn keep_live(environment: &mut ChosenEnvironment) {
    for change in &mut environment.chosen.changes {
        let before = change.fence.before.as_ref().and_then(|seen| environment.observed.resources.get(&seen.id));
        let Some((desired, live)) = change.desired.as_mut().zip(before) else { continue };
        for (path, leaf) in desired.document.leaves_mut() {
            if let (Leaf::Image(wanted), Some(Leaf::Image(live))) = (leaf, live.document.get(path))
                && wanted.digest.is_none()
                && live.has_the_name_of(wanted)
            {
                wanted.digest.clone_from(&live.digest);
            }
        }
    }
}

/// Pins what has no digest yet to what the registry says now, asking for each reference once.
pub async fn pin(request: &Request<'_>, resources: impl Iterator<Item = &mut Resource>) -> Unpinned {
    let Some(registry) = request.registry else { return Unpinned::new() };
    let mut images: BTreeMap<Arc<str>, Vec<&mut Image>> = BTreeMap::new();
    for (_, leaf) in resources.flat_map(|resource| resource.document.leaves_mut()) {
        if let Leaf::Image(image) = leaf
            && image.digest.is_none()
        {
            images.entry(image.reference.clone()).or_default().push(image);
        }
    }
    let answers = join_all(images.keys().map(|reference| registry.digest(reference))).await;
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
