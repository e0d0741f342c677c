//! The profiles of the official command line tool, `~/.aliyun/config.json`. The tool writes the file;
//! here it is only read.

use std::path::PathBuf;

use serde_json::Value;

use super::environment as variable;
use super::error::{CredentialsError, FileError};
use super::fields::{self, Fields, RoleFields};
use super::recipe::{AssumedRole, OidcRole, Recipe, Surroundings};
use crate::secret::{Secret, SecretSource};

const ROLE: RoleFields = RoleFields {
    arn: "ram_role_arn",
    // The tool and the SDKs do not agree on the name.
    session_name: &["ram_session_name", "role_session_name"],
    duration: "expired_seconds",
};

/// How the chosen profile comes by credentials.
pub(super) fn recipe(around: &Surroundings) -> Result<Recipe, CredentialsError> {
    let path = match around.environment.text(variable::CONFIG_FILE) {
        Some(path) => PathBuf::from(path),
        None => around.environment.in_home(".aliyun/config.json")?,
    };
    let read = || {
        let profiles = Profiles::parse(&fields::read(&path)?)?;
        let wanted = around.environment.text(variable::PROFILE);
        let wanted = wanted.unwrap_or(&profiles.current);
        profiles.recipe(wanted, around, &mut Vec::new())
    };
    let mut recipe = read().map_err(|source| CredentialsError::File {
        path: path.clone(),
        source,
    })?;
    if let Recipe::AtHand {
        credentials,
        account,
    } = &mut recipe
        && credentials.security_token.is_some()
    {
        // Another key each time that somebody signs in, but always this file.
        *account = path.display().to_string();
    }
    Ok(recipe)
}

/// The file.
struct Profiles {
    /// The profile that is used unless another one is asked for.
    current: String,
    all: Vec<Fields>,
}

impl Profiles {
    fn parse(text: &str) -> Result<Self, FileError> {
        let form = || FileError::Form("JSON with profiles");
        let file: Value = serde_json::from_str(text).map_err(|_| form())?;
        let list = file.get("profiles").and_then(Value::as_array);
        let current = file.get("current").and_then(Value::as_str);
        Ok(Self {
            current: current.unwrap_or("default").to_owned(),
            all: list.ok_or_else(form)?.iter().filter_map(profile).collect(),
        })
    }

    /// `seen` are the profiles that led here.
    fn recipe<'a>(
        &'a self,
        name: &'a str,
        around: &Surroundings,
        seen: &mut Vec<&'a str>,
    ) -> Result<Recipe, FileError> {
        if seen.contains(&name) {
            return Err(FileError::Circle);
        }
        seen.push(name);
        let found = self.all.iter().find(|fields| fields.profile == name);
        let fields = found.ok_or_else(|| FileError::NoProfile(name.to_owned()))?;
        let mode = fields.need("mode")?;
        match mode {
            "AK" => Ok(Recipe::access_key(fields.access_key(None)?)),
            "StsToken" => {
                let token = fields.need("sts_token")?;
                Ok(Recipe::access_key(fields.access_key(Some(token))?))
            }
            "RamRoleArn" => {
                let token = fields.text("sts_token");
                assume_role(
                    fields,
                    around,
                    Recipe::access_key(fields.access_key(token)?),
                )
            }
            "EcsRamRole" => Ok(around.role_of_the_machine(fields.text("ram_role_name"))),
            "OIDC" => Ok(Recipe::Oidc(OidcRole {
                role: fields.role(&ROLE)?,
                provider_arn: fields.need("oidc_provider_arn")?.to_owned(),
                token: SecretSource::File(fields.need("oidc_token_file")?.into()),
                sts: fields.sts(around)?,
            })),
            "ChainableRamRoleArn" => {
                let signer = self.recipe(fields.need("source_profile")?, around, seen)?;
                assume_role(fields, around, signer)
            }
            "CredentialsURI" => {
                let uri = Secret::new(fields.need("credentials_uri")?);
                let wrong = || fields.wrong(CredentialsError::NotAUrl("credentials_uri"));
                Recipe::uri(uri).ok_or_else(wrong)
            }
            // The daemon starts no programs that another program's file names: whoever may write that
            // file would be the daemon.
            "External" => Err(fields.kind(mode, "would run a program")),
            other => Err(fields.kind(other, "is not followed")),
        }
    }
}

fn assume_role(
    fields: &Fields,
    around: &Surroundings,
    signer: Recipe,
) -> Result<Recipe, FileError> {
    Ok(Recipe::AssumeRole(Box::new(AssumedRole {
        role: fields.role(&ROLE)?,
        external_id: fields.text("external_id").map(str::to_owned),
        sts: fields.sts(around)?,
        signer,
    })))
}

fn profile(value: &Value) -> Option<Fields> {
    let fields = value.as_object()?;
    let values = fields.iter().filter_map(|(name, value)| {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(switch) => switch.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => return None,
        };
        Some((name.clone(), Secret::new(text)))
    });
    Some(Fields::new(fields.get("name")?.as_str()?, values))
}

#[cfg(test)]
mod tests;
