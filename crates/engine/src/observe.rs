//! Stage 4: what each platform really holds. The only caller of [`Platform::observe`]. Reads the network.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::desired::document::Leaf;
use crate::desired::name::Name;
use crate::desired::owner::Owner;
use crate::desired::path::Path;
use crate::desired::resource::{Resource, ResourceId};
use crate::platform::{Gap, ObservedResource, Platform, PlatformError, Scope, Sink, Wanted};
use crate::render::secret::{Attributes, Fingerprint, Salt, Secrets};
use crate::retry::Retry;

/// What an environment really holds.
#[derive(Debug, Default)]
pub struct Observed {
    /// By id; also what is not ours, where it has a name that is wanted.
    pub resources: BTreeMap<ResourceId, Box<ObservedResource>>,
    /// What could not be read.
    pub gaps: Vec<Gap>,
    /// Sentences about what is there, for the user.
    pub notes: Vec<String>,
}

/// Reads what is ours, and what has a name that we want.
pub async fn observe(platform: &dyn Platform, scope: &Scope, wanted: &Wanted<'_>) -> Result<Observed, PlatformError> {
    let mut retry = Retry::default();
    let sink = loop {
        let mut sink = Sink::default();
        match platform.observe(scope, wanted, &mut sink).await {
            Ok(()) => break sink,
            Err(error) => retry.after(error, |_, _| {}).await?,
        }
    };
    Ok(Observed { resources: sink.resources, gaps: sink.gaps, notes: sink.notes })
}

/// Reads only these resources.
pub async fn observe_only(platform: &dyn Platform, owner: &Owner, wanted: &BTreeSet<ResourceId>) -> Result<Observed, PlatformError> {
    let wanted = wanted.iter().map(|id| (id.clone(), None)).collect();
    observe(platform, &Scope { owner: owner.clone(), apps: Some(BTreeSet::new()) }, &wanted).await
}

impl Observed {
    /// The attributes of everything that is there and has some.
    pub fn attributes(&self) -> Attributes {
        let with_some = self.resources.values().filter(|live| !live.attributes.is_empty());
        with_some.map(|live| (live.id.clone(), live.attributes.clone())).collect()
    }

    /// Adds what the environment held under an earlier name, as if that were its own: the platform reads it under the names
    /// that it has now, and only what Stratos itself wrote down still says the name before.
    pub fn take_over(&mut self, earlier: Observed, before: &Name, now: &Name) {
        let Self { resources, gaps, notes } = earlier;
        self.notes.extend(notes);
        for mut resource in resources.into_values() {
            let renamed = |id: &mut ResourceId| {
                if id.environment == *before {
                    id.environment = now.clone();
                }
            };
            renamed(&mut resource.id);
            resource.depends_on.iter_mut().for_each(renamed);
            for (_, leaf) in resource.document.leaves_mut() {
                if let Leaf::Ref(text) = leaf {
                    *text = Arc::new(text.with_ids(renamed));
                }
            }
            self.resources.insert(resource.id.clone(), resource);
        }
        let known: Vec<Gap> = self.gaps.clone();
        self.gaps.extend(gaps.into_iter().filter(|gap| !known.contains(gap)));
    }

    /// The salt of this environment: that of any live fingerprint, or a new one.
    pub fn salt(&self) -> Salt {
        let leaves = self.resources.values().filter(|r| r.ownership.marks().is_some()).flat_map(|r| r.document.leaves());
        let live = leaves.filter_map(|(_, leaf)| match leaf {
            Leaf::Secret { fingerprint, .. } => fingerprint.as_ref().map(Fingerprint::salt),
            _ => None,
        });
        live.min().unwrap_or_else(Salt::random)
    }

    /// Makes secret leaves comparable: a live value that the platform returned is compared as it is and dropped, without
    /// any derivation; elsewhere the desired leaf gets its fingerprint, with the salt of the live one.
    pub fn seal(&mut self, desired: &mut [Resource], secrets: &Secrets, salt: Salt) {
        let mut attributes = None;
        for resource in desired {
            let before = resource.moved_from.as_deref().filter(|_| !self.resources.contains_key(&resource.id));
            let at = before.unwrap_or(&resource.id);
            let Some(live) = self.resources.get(at) else { continue };
            if !resource.document.leaves().iter().any(|(_, leaf)| matches!(leaf, Leaf::Secret { .. })) && live.secret_values.is_empty() {
                continue;
            }
            // Most environments hold no secret at all.
            let attributes = &*attributes.get_or_insert_with(|| self.attributes());
            let Some(live) = self.resources.get_mut(at) else { continue };
            for (path, leaf) in resource.document.leaves_mut() {
                let Leaf::Secret { text: Some(text), fingerprint } = leaf else { continue };
                if let Some((_, value)) = live.secret_values.iter().find(|(at, _)| at == path) {
                    if secrets.resolve(text, attributes).is_ok_and(|wanted| wanted != *value) {
                        live.secrets_moved.push(path.clone());
                    }
                } else if let Some(Leaf::Secret { fingerprint: seen, .. }) = live.document.get(path) {
                    *fingerprint = secrets.fingerprint(text, seen.as_ref().map_or(salt, Fingerprint::salt)).ok();
                }
            }
            let openly = |(path, value): &(Path, Zeroizing<String>)| {
                let declared = matches!(resource.document.get(path), Some(Leaf::Text(text)) if **text == ***value);
                declared.then(|| path.clone())
            };
            live.said_openly = live.secret_values.iter().filter_map(openly).collect();
            live.secret_values.clear();
        }
    }
}
