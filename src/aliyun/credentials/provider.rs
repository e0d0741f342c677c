//! What is held of a source, and when it is fetched anew.
//!
//! Temporary credentials are fetched by the first call that needs them, and all that need them
//! meanwhile wait for that one request. When they are nearly over, one call fetches new ones and the
//! others go on with the old ones; so does that call if it gets none. A call that is dropped while it
//! fetches leaves nothing behind: the next one fetches.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::Sha256;
use tokio::time::Instant;
use url::Url;

use super::chain::Link;
use super::error::CredentialsError;
use super::given::Givers;
use super::recipe::{AssumedRole, Recipe, Role, Surroundings, account};
use super::{CredentialSource, Credentials, Environment, Fetched, sts};
use crate::aliyun::client::Cloud;
use crate::aliyun::sign::Signature;
use crate::aliyun::transport::Transport;
use crate::clock::Clock;
use crate::net::{Network, NetworkError};
use crate::time::Timestamp;

/// New credentials are fetched when the old ones last no longer than this, or half as long as at
/// first, whichever is shorter.
const MARGIN: Duration = Duration::from_mins(15);

/// After an attempt that failed, and between two that a refusal asks for, nobody is asked for so
/// long.
const PAUSE: Duration = Duration::from_secs(10);

/// Gives credentials to the calls of one cloud.
#[derive(Debug)]
pub(in crate::aliyun) struct Provider {
    cloud: String,
    source: CredentialSource,
    around: Surroundings,
    metadata: Url,
    signature: Signature,
    /// Whose limit the calls use up, where the configuration says it.
    account: Option<String>,
    clock: Clock,
    givers: Givers,
    state: Mutex<State>,
    /// Held by whoever fetches.
    fetching: tokio::sync::Mutex<()>,
}

/// Credentials with whose limit they use up.
#[derive(Clone, Debug)]
pub(in crate::aliyun) struct Held {
    pub(in crate::aliyun) credentials: Credentials,
    pub(in crate::aliyun) account: String,
}

#[derive(Debug, Default)]
struct State {
    /// The link of the chain that has given credentials.
    pinned: Option<Link>,
    kept: Option<Kept>,
    /// The last attempt to fetch, if it failed.
    failed: Option<(Instant, Arc<CredentialsError>)>,
    /// The last attempt that a refusal asked for.
    forced: Option<Instant>,
}

/// Temporary credentials that were fetched. Times are of our clock: what the other side says of its
/// own is counted from its own.
#[derive(Debug)]
struct Kept {
    recipe: Recipe,
    credentials: Credentials,
    renew_at: Timestamp,
    expires: Timestamp,
}

/// What a look at what is held says.
enum Look {
    /// To be used.
    Good(Held),
    /// To be used, but nearly over.
    Aging(Held),
    /// There is nothing to be used.
    Nothing,
}

type Outcome<T> = Result<T, Arc<CredentialsError>>;

impl Provider {
    pub(in crate::aliyun) fn new(
        cloud: &Cloud,
        network: &Network,
        environment: &Environment,
        clock: Clock,
    ) -> Result<Self, NetworkError> {
        Ok(Self {
            cloud: cloud.name.clone(),
            source: cloud.credentials.clone(),
            around: Surroundings {
                environment: environment.clone(),
                sts: cloud.endpoints.sts.clone(),
            },
            metadata: cloud.endpoints.imds.clone(),
            signature: cloud.signature,
            account: cloud.account.clone(),
            clock,
            givers: Givers::new(network)?,
            state: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
        })
    }

    /// The credentials for a call.
    pub(in crate::aliyun) async fn credentials(&self, transport: &Transport) -> Outcome<Held> {
        match self.look()? {
            Look::Good(held) => Ok(held),
            Look::Aging(old) => {
                let Ok(_fetching) = self.fetching.try_lock() else {
                    return Ok(old);
                };
                if let Look::Good(held) = self.look()? {
                    return Ok(held);
                }
                if self.just_failed().is_some() {
                    return Ok(old);
                }
                Ok(self.fetch(transport).await.unwrap_or(old))
            }
            Look::Nothing => {
                let _fetching = self.fetching.lock().await;
                match (self.look()?, self.just_failed()) {
                    (Look::Good(held) | Look::Aging(held), _) => Ok(held),
                    (Look::Nothing, Some(error)) => Err(error),
                    (Look::Nothing, None) => self.fetch(transport).await,
                }
            }
        }
    }

    /// Other credentials than those that were just refused, if there are any. Permanent ones are read
    /// anew for every call anyway.
    pub(in crate::aliyun) async fn renew(
        &self,
        refused: &Held,
        transport: &Transport,
    ) -> Outcome<Option<Held>> {
        let others = |held: Held| (held.credentials != refused.credentials).then_some(held);
        if refused.credentials.security_token.is_none() {
            return Ok(None);
        }
        let _fetching = self.fetching.lock().await;
        if let Look::Good(held) | Look::Aging(held) = self.look()?
            && let Some(held) = others(held)
        {
            return Ok(Some(held));
        }
        if let Some(error) = self.just_failed() {
            return Err(error);
        }
        let now = Instant::now();
        let forced = self.state().forced.replace(now);
        if let Some(forced) = forced.filter(|forced| now < *forced + PAUSE) {
            self.state().forced = Some(forced);
            return Ok(None);
        }
        self.fetch(transport).await.map(others)
    }

    /// Adds all that the credentials hang on, as it is now, to a digest.
    pub(in crate::aliyun) fn digest(&self, hash: &mut Sha256) {
        for link in self.links() {
            // What cannot be read now may be read later: that is another digest.
            if let Ok(recipe) = self.recipe(link) {
                recipe.digest(hash);
            }
        }
    }

    /// Fetches credentials by the first link that has any.
    async fn fetch(&self, transport: &Transport) -> Outcome<Held> {
        let mut said = Vec::new();
        for link in self.links() {
            match self.follow(link, transport).await {
                Ok(held) => {
                    self.pin(link);
                    return Ok(held);
                }
                Err(error) => said.push((link, error)),
            }
        }
        let error = match (self.source.asks_the_chain(), said.pop()) {
            (false, Some((_, only))) => only,
            (_, last) => {
                said.extend(last);
                CredentialsError::Chain(said)
            }
        };
        let error = Arc::new(error);
        let mut state = self.state();
        state.failed = Some((Instant::now(), Arc::clone(&error)));
        if state.kept.is_some() {
            let cause: &dyn std::error::Error = &*error;
            tracing::warn!(
                cloud = self.cloud,
                error = cause,
                "could not renew temporary credentials"
            );
        }
        Err(error)
    }

    async fn follow(&self, link: Link, transport: &Transport) -> Result<Held, CredentialsError> {
        let recipe = self.recipe(link)?;
        let fetched = self.perform(&recipe, transport).await?;
        let held = self.held(&recipe, fetched.credentials);
        let Some(lasts) = fetched.lasts else {
            return Ok(held);
        };
        if lasts.is_zero() {
            return Err(CredentialsError::Expired);
        }
        let now = self.clock.now();
        let expires = now + lasts;
        let mut state = self.state();
        state.failed = None;
        state.kept = Some(Kept {
            recipe,
            credentials: held.credentials.clone(),
            // What is given out already aged is not asked for at every call.
            renew_at: (expires - MARGIN.min(lasts / 2)).max(now + PAUSE),
            expires,
        });
        Ok(held)
    }

    /// Does what a recipe says.
    async fn perform(
        &self,
        recipe: &Recipe,
        transport: &Transport,
    ) -> Result<Fetched, CredentialsError> {
        let now = self.clock.now();
        match recipe {
            Recipe::AtHand { credentials, .. } => Ok(Fetched {
                credentials: credentials.clone(),
                lasts: None,
            }),
            Recipe::AssumeRole(assumed) => {
                let signer = Box::pin(self.perform(&assumed.signer, transport)).await?;
                let (signature, signer) = (self.signature, &signer.credentials);
                sts::assume_role(transport, assumed, signature, signer, now).await
            }
            Recipe::Oidc(oidc) => sts::assume_role_with_oidc(transport, oidc, now).await,
            Recipe::EcsRole {
                name,
                without_token,
            } => {
                let (service, name) = (&self.metadata, name.as_deref());
                let givers = &self.givers;
                givers
                    .of_the_machine(service, name, *without_token, now)
                    .await
            }
            Recipe::Uri(uri) => self.givers.at(uri, now).await,
        }
    }

    /// What is held now, without asking anybody. What a recipe is made from may have changed.
    fn look(&self) -> Outcome<Look> {
        let link = match (self.source.asks_the_chain(), self.state().pinned) {
            (true, None) => return Ok(Look::Nothing),
            (true, Some(link)) => link,
            (false, _) => Link::Environment,
        };
        let recipe = self.recipe(link);
        let recipe = recipe.map_err(|error| self.in_the_chain(link, error))?;
        if let Recipe::AtHand { credentials, .. } = &recipe {
            return Ok(Look::Good(self.held(&recipe, credentials.clone())));
        }
        let (state, now) = (self.state(), self.clock.now());
        let kept = state.kept.as_ref().filter(|kept| kept.recipe == recipe);
        Ok(match kept {
            Some(kept) if now < kept.renew_at => {
                Look::Good(self.held(&recipe, kept.credentials.clone()))
            }
            Some(kept) if now < kept.expires => {
                Look::Aging(self.held(&recipe, kept.credentials.clone()))
            }
            Some(_) | None => Look::Nothing,
        })
    }

    /// The links to be followed: where the chain is not asked, there is one way, whatever the link.
    fn links(&self) -> Vec<Link> {
        match (self.source.asks_the_chain(), self.state().pinned) {
            (true, None) => Link::ORDER.to_vec(),
            (true, Some(link)) => vec![link],
            (false, _) => vec![Link::Environment],
        }
    }

    fn recipe(&self, link: Link) -> Result<Recipe, CredentialsError> {
        self.source.recipe(link, &self.around)
    }

    fn pin(&self, link: Link) {
        let before = self.state().pinned.replace(link);
        if self.source.asks_the_chain() && before.is_none() {
            tracing::info!(cloud = self.cloud, from = %link, "credentials found");
        }
    }

    fn in_the_chain(&self, link: Link, error: CredentialsError) -> Arc<CredentialsError> {
        Arc::new(if self.source.asks_the_chain() {
            CredentialsError::Chain(vec![(link, error)])
        } else {
            error
        })
    }

    fn held(&self, recipe: &Recipe, credentials: Credentials) -> Held {
        let written = self.account.as_deref().map(account);
        Held {
            credentials,
            account: written.unwrap_or_else(|| recipe.account()),
        }
    }

    /// The failure of an attempt that was made a moment ago.
    fn just_failed(&self) -> Option<Arc<CredentialsError>> {
        let state = self.state();
        let (at, error) = state.failed.as_ref()?;
        (Instant::now() < *at + PAUSE).then(|| Arc::clone(error))
    }

    /// A thread that panicked while it held the lock left nothing half done.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CredentialSource {
    /// Whether the chain is asked, be it for those that take a role on.
    fn asks_the_chain(&self) -> bool {
        match self {
            Self::Chain => true,
            Self::Static { .. } | Self::EcsRole(_) => false,
            Self::AssumeRole(assume) => assume.source.asks_the_chain(),
        }
    }

    /// How credentials are had; by this link where the chain is asked.
    fn recipe(&self, link: Link, around: &Surroundings) -> Result<Recipe, CredentialsError> {
        match self {
            Self::Static {
                access_key_id,
                access_key_secret,
            } => match access_key_secret.read() {
                Ok(access_key_secret) => Ok(Recipe::access_key(Credentials {
                    access_key_id: access_key_id.clone(),
                    access_key_secret,
                    security_token: None,
                })),
                Err(source) => Err(CredentialsError::Secret {
                    access_key_id: access_key_id.clone(),
                    source,
                }),
            },
            Self::Chain => link.recipe(around),
            Self::EcsRole(name) => Ok(around.role_of_the_machine(Some(name))),
            Self::AssumeRole(assume) => Ok(Recipe::AssumeRole(Box::new(AssumedRole {
                role: Role::new(assume.role.clone()),
                external_id: assume.external_id.clone(),
                sts: around.sts()?,
                signer: assume.source.recipe(link, around)?,
            }))),
        }
    }
}
