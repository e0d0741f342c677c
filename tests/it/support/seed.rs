//! Certificates in the store that no CA has issued.

use std::collections::{BTreeMap, BTreeSet};

use vodcertd::certificate::{Chain, KeyType};
use vodcertd::clock::Clock;
use vodcertd::keys::PrivateKey;
use vodcertd::name::Label;
use vodcertd::renewal::{Event, Found, Issued, Record};
use vodcertd::secret::Secret;
use vodcertd::store::{KeyMaterial, NewGeneration, NewOrderRow, Store};
use vodcertd_sandbox::forge::{self, KeyKind};

use super::{Scene, target};

impl Scene {
    /// Makes each of these names a certificate that was just issued and is installed nowhere, as the
    /// cloud has said; only while no daemon runs.
    pub(crate) async fn seed(&self, names: &[&str]) {
        let store = self.open_store().await;
        let labels: Vec<Label> = names.iter().map(|name| name.parse().unwrap()).collect();
        store.ensure(&labels, Clock::System.now()).await.unwrap();
        for (label, name) in labels.iter().zip(names) {
            self.issue(&store, label, name).await;
        }
        store.close().await;
    }

    async fn issue(&self, store: &Store, label: &Label, name: &str) {
        let now = Clock::System.now();
        let forged = forge::issue(&[name], KeyKind::P256, forge::valid_now());
        let chain = Chain::from_pem(&forged.chain_pem).unwrap();
        let key = PrivateKey::from_pem(&Secret::new(forged.pkcs8_pem)).unwrap();
        let directory = self.pebble.directory_url();
        let mut record = Record::default();
        record.apply(
            Event::Issued(Box::new(Issued {
                generation: 1,
                leaf: chain.leaf().clone(),
                extra_names: BTreeSet::new(),
                chain: chain.fingerprints(),
                issuer: "pebble".to_owned(),
                directory: directory.clone(),
                account: String::new(),
                profile: None,
                at: now,
                renewal_info: None,
                stored: BTreeMap::new(),
                unusable: None,
                revoked: false,
            })),
            now,
        );
        let target = target(name);
        let found = Found::Nothing;
        record.apply(Event::ReadBack { target, found }, now);

        let lease = store.claim(label, now).await.unwrap().unwrap();
        let order = NewOrderRow {
            intent_at: now,
            issuer: "pebble".to_owned(),
            directory: directory.clone(),
            account: String::new(),
            names: [name.parse().unwrap()].into(),
            key_type: KeyType::EcdsaP256,
            profile: None,
            replaces: None,
            draws: Vec::new(),
            overdraws: false,
        };
        let order = store.save_order_intent(&lease, &record, now, &order, &[]);
        let order = order.await.unwrap().unwrap();
        let new = NewGeneration {
            generation: 1,
            chain: &chain,
            key: &KeyMaterial::new(key.pkcs8().to_vec()),
            issuer: "pebble",
            directory: &directory,
        };
        store
            .save_generation(&lease, &record, now, &order, &new, &[])
            .await
            .unwrap();
        store.release(&lease, now).await.unwrap();
    }
}
