//! What a panic says of a key.

use std::panic::catch_unwind;

use vodcertd::aliyun::Credentials;
use vodcertd::aliyun::vod::{Env, Https, SetCertificate};
use vodcertd::certificate::KeyType;
use vodcertd::keys::{KeyFormat, PrivateKey};
use vodcertd::secret::Secret;
use vodcertd::store::{Generation, KeyMaterial};

use super::planted::Planted;

/// What a step holds when it panics may be in the message of the panic.
#[test]
fn a_panic_shows_no_key() {
    let key = PrivateKey::generate(KeyType::EcdsaP256).unwrap();
    let planted = Planted::of(&key);
    let pem = key.to_pem(KeyFormat::Traditional).unwrap();
    let call = SetCertificate {
        domain: "v.example.com".parse().unwrap(),
        https: Https::Upload {
            cert_name: "name".parse().unwrap(),
            chain_pem: "chain".to_owned(),
            key_pem: pem.clone(),
        },
        env: Env::Production,
    };
    let material = KeyMaterial::new(key.pkcs8().to_vec());
    let generation = Generation {
        chain_pem: "chain".to_owned(),
        key: KeyMaterial::new(key.pkcs8().to_vec()),
    };
    let credentials = Credentials {
        access_key_id: "id".to_owned(),
        access_key_secret: Secret::new(planted.pem.clone()),
        security_token: Some(Secret::new(planted.line())),
    };
    let held = (key, pem, call, material, generation, credentials);
    let message = message_of(move || panic!("{held:?} {held:#?}"));
    assert!(message.contains("Secret(…)"), "{message}");
    assert_eq!(planted.found_in(&message), None, "{message}");
}

fn message_of(panics: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let payload = catch_unwind(panics).unwrap_err();
    payload.downcast_ref::<String>().unwrap().clone()
}
