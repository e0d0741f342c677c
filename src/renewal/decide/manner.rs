//! How a generation gets to a target: uploaded, or bound to the copy in the cloud's certificate store.
//!
//! One upload is enough for all targets in a cloud. What is said to be stored already, or may be, is
//! looked for before it is uploaded; once it was refused under every name it is only looked for.

use crate::renewal::record::{Issued, StoredCopy, StoredPlace};
use crate::renewal::spec::{Method, TargetSpec};
use crate::renewal::trouble::Trouble;

/// How a generation gets to a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    /// Where the target takes it from.
    pub origin: Origin,
    /// Upload it to the cloud's certificate store and bind it from there, not in the call that installs.
    pub store_first: bool,
    /// Encode the PEM in the most conservative form.
    pub reformat: bool,
    /// Which of the deterministic names to use.
    pub renames: u8,
}

/// Where a target takes a generation from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// From an upload, which stores a copy under the name.
    #[default]
    Upload,
    /// From the copy that is known.
    Copy {
        /// Its name.
        cert_name: String,
        /// Where it is.
        place: StoredPlace,
    },
    /// From a copy that is to be looked for.
    Search(Search),
}

/// What is looked for in a cloud's certificate store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// The name that the copy is known to have; nothing for the one that we give it.
    pub cert_name: Option<String>,
    /// Whether a copy under any other name will do: it was said that there is one.
    pub by_content: bool,
    /// Where it was said not to be.
    pub missing: Option<StoredPlace>,
    /// Whether it is uploaded if it is not found.
    pub else_upload: bool,
}

impl Manner {
    /// Whether something may be uploaded to the certificate store itself.
    pub(in crate::renewal) fn may_store(&self) -> bool {
        self.store_first && self.origin.may_upload()
    }

    /// How `issued` gets to a target of `cloud` after what went wrong there.
    pub(super) fn of(
        issued: &Issued,
        cloud: &str,
        spec: &TargetSpec,
        trouble: Option<&Trouble>,
    ) -> Self {
        let own = trouble.filter(|trouble| trouble.generation == Some(issued.generation));
        let copy = match spec.method {
            Method::Auto | Method::Cas => issued.stored.get(cloud),
            Method::Upload => None,
        };
        Self {
            origin: Origin::of(copy, own),
            store_first: spec.method == Method::Cas,
            // A target that wants another form wants it from the next generation as well.
            reformat: trouble.is_some_and(|trouble| trouble.reformat),
            renames: own.map_or(0, |trouble| trouble.renames),
        }
    }
}

impl Origin {
    /// Whether an upload may come of it.
    pub(crate) fn may_upload(&self) -> bool {
        match self {
            Self::Upload => true,
            Self::Copy { .. } => false,
            Self::Search(search) => search.else_upload,
        }
    }

    fn of(copy: Option<&StoredCopy>, own: Option<&Trouble>) -> Self {
        if let Some(StoredCopy {
            cert_name,
            place: Some(place),
        }) = copy
        {
            return Self::Copy {
                cert_name: cert_name.clone(),
                place: place.clone(),
            };
        }
        let may_be_stored = own.is_some_and(|trouble| trouble.bind);
        let bind_only = own.is_some_and(|trouble| trouble.exhausted.is_some());
        if copy.is_none() && !may_be_stored && !bind_only {
            return Self::Upload;
        }
        Self::Search(Search {
            cert_name: copy.map(|copy| copy.cert_name.clone()),
            by_content: own.is_some_and(|trouble| trouble.same_content),
            missing: own.and_then(|trouble| trouble.missing.clone()),
            else_upload: !bind_only,
        })
    }
}

#[cfg(test)]
mod tests;
