//! What happened to the copies in the clouds' certificate stores.

use super::Bound;
use crate::name::TargetId;
use crate::renewal::record::{Record, StoredCopy};
use crate::retry::Class;

impl Record {
    /// Takes in that a copy of a generation was stored in a cloud.
    pub(super) fn store_copy(&mut self, cloud: String, generation: u32, copy: StoredCopy) {
        let issued = self.issued.as_mut();
        if let Some(issued) = issued.filter(|issued| issued.generation == generation) {
            issued.stored.insert(cloud, copy);
        }
    }

    /// Forgets what is known of the copy of a generation in a target's cloud: where it is, if it is said
    /// not to be there, and all of it if it is to be made anew under another name.
    pub(super) fn fail_to_bind(
        &mut self,
        target: &TargetId,
        generation: u32,
        bound: Option<&Bound>,
        class: Class,
    ) {
        let Some(bound) = bound else {
            return;
        };
        if let Some(known) = self.targets.get_mut(target) {
            known.miss_copy(bound, class);
        }
        let issued = self.issued.as_mut();
        let Some(issued) = issued.filter(|issued| issued.generation == generation) else {
            return;
        };
        if class == Class::Rename {
            issued.stored.remove(&target.cloud);
        } else if bound.is_missing {
            issued.forget_place(&target.cloud, &bound.place);
        }
    }
}
