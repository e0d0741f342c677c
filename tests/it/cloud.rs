//! The daemon's client of the sandbox's cloud.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test writes files and fails by panicking"
)]

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::LazyLock;

use url::Url;
use vodcertd::aliyun::{
    Client, Cloud, CredentialSource, Endpoints, Environment, Limiter, Rate, Signature,
};
use vodcertd::clock::Clock;
use vodcertd::net::Network;
use vodcertd::secret::SecretSource;
use vodcertd_sandbox::gateway::Gateway;

/// A client with the access key that every gateway knows.
pub(crate) fn client(gateway: &Gateway) -> Client {
    let signature = Signature::default();
    client_with(gateway, signature, SECRET_FILE.clone(), &Network::default())
}

/// The same with the secret in a file of one's own.
pub(crate) fn client_with(
    gateway: &Gateway,
    signature: Signature,
    secret: PathBuf,
    network: &Network,
) -> Client {
    // No gateway limits anything unless a test says so.
    let fast = NonZeroU32::new(1000).unwrap();
    let cloud = Cloud {
        signature,
        rate: Rate {
            install: fast,
            other: fast,
        },
        ..settings(gateway, secret)
    };
    let environment = Environment::default();
    Client::new(
        cloud,
        network,
        &environment,
        Clock::System,
        Limiter::default(),
    )
    .unwrap()
}

/// A client of a cloud that shares this limiter.
pub(crate) fn client_of(cloud: Cloud, limiter: Limiter) -> Client {
    let (network, environment) = (Network::default(), Environment::default());
    Client::new(cloud, &network, &environment, Clock::System, limiter).unwrap()
}

/// The cloud of a gateway, its secret in this file.
pub(crate) fn settings(gateway: &Gateway, secret: PathBuf) -> Cloud {
    let url: Url = gateway.url().parse().unwrap();
    Cloud {
        name: "default".into(),
        credentials: CredentialSource::Static {
            access_key_id: Gateway::ACCESS_KEY_ID.into(),
            access_key_secret: SecretSource::File(secret),
        },
        account: None,
        signature: Signature::default(),
        endpoints: Endpoints {
            alidns: url.clone(),
            cas: Some(url.clone()),
            imds: url.clone(),
            sts: Some(url.clone()),
            vod: url,
        },
        rate: Rate::default(),
    }
}

/// Written once: the tests of a process run side by side.
static SECRET_FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join(format!("access-key-secret-{}", std::process::id()));
    std::fs::write(&path, Gateway::ACCESS_KEY_SECRET).unwrap();
    path
});
