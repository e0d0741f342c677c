//! The credentials file of the official SDKs, `~/.alibabacloud/credentials`, in the form of an INI file.

use std::path::PathBuf;

use super::environment as variable;
use super::error::{CredentialsError, FileError};
use super::fields::{self, Fields, RoleFields};
use super::recipe::{AssumedRole, OidcRole, Recipe, Surroundings};
use crate::secret::{Secret, SecretSource};

/// Go's SDK reads the first one, Python's the second.
const NAMES: [&str; 2] = [".alibabacloud/credentials", ".alibabacloud/credentials.ini"];

const ROLE: RoleFields = RoleFields {
    arn: "role_arn",
    session_name: &["role_session_name"],
    duration: "role_session_expiration",
};

/// How the chosen profile comes by credentials.
pub(super) fn recipe(around: &Surroundings) -> Result<Recipe, CredentialsError> {
    let path = place(around)?;
    let wanted = around.environment.text(variable::PROFILE);
    let read = || {
        let text = fields::read(&path)?;
        let fields = section(&text, wanted.unwrap_or("default"))?;
        of_profile(&fields, around)
    };
    read().map_err(|source| CredentialsError::File {
        path: path.clone(),
        source,
    })
}

/// The file that is named, else the first one that is there, else the first one.
fn place(around: &Surroundings) -> Result<PathBuf, CredentialsError> {
    if let Some(path) = around.environment.text(variable::CREDENTIALS_FILE) {
        return Ok(path.into());
    }
    let [first, second] = NAMES.map(|name| around.environment.in_home(name));
    let (first, second) = (first?, second?);
    Ok(if !first.exists() && second.exists() {
        second
    } else {
        first
    })
}

fn of_profile(fields: &Fields, around: &Surroundings) -> Result<Recipe, FileError> {
    let kind = fields.need("type")?;
    match kind {
        "access_key" => Ok(Recipe::access_key(fields.access_key(None)?)),
        "ecs_ram_role" => Ok(around.role_of_the_machine(fields.text("role_name"))),
        "ram_role_arn" => Ok(Recipe::AssumeRole(Box::new(AssumedRole {
            role: fields.role(&ROLE)?,
            external_id: fields.text("external_id").map(str::to_owned),
            sts: fields.sts(around)?,
            signer: Recipe::access_key(fields.access_key(None)?),
        }))),
        "oidc_role_arn" => Ok(Recipe::Oidc(OidcRole {
            role: fields.role(&ROLE)?,
            provider_arn: fields.need("oidc_provider_arn")?.to_owned(),
            token: SecretSource::File(fields.need("oidc_token_file_path")?.into()),
            sts: fields.sts(around)?,
        })),
        other => Err(fields.kind(other, "is not followed")),
    }
}

/// The fields of a section. What follows a `#` is a comment, as is a line that begins with `;`.
fn section(text: &str, wanted: &str) -> Result<Fields, FileError> {
    let mut found = false;
    let mut inside = false;
    let mut values = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(name) = line.strip_prefix('[') {
            let name = name.strip_suffix(']');
            let name = name.ok_or(FileError::Form("INI file"))?;
            inside = name.trim() == wanted;
            found |= inside;
        } else if inside
            && !line.starts_with(';')
            && let Some((name, value)) = line.split_once('=')
        {
            values.push((name.trim().to_owned(), Secret::new(value.trim())));
        }
    }
    if found {
        Ok(Fields::new(wanted, values))
    } else {
        Err(FileError::NoProfile(wanted.to_owned()))
    }
}

#[cfg(test)]
mod tests;
